# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""HRNetV2-W18-Small-v2 (Wang et al., PAMI 2020, arXiv 1908.07919), a student of Liu et al.

Parameter names of the trunk are those of the published weights. Shapes: B batch, C channels, H
and W image height and width in pixels; branch i has 1 / 2**i of the first one's size.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_training.networks.base import SegmentationNetwork
from vidseg_training.networks.layers import conv_norm, initialise, resize_to
from vidseg_training.networks.resnet import Bottleneck, residual_stage

_WIDTHS: Final = (18, 36, 72, 144)
"""Channels of each branch."""

_MODULES: Final = (1, 3, 2)
"""Modules of the stages with two, three and four branches."""


def _connection(widths: Sequence[int], target: int, source: int) -> nn.Module:
    """Build what brings a branch to another one's channels, and down to its size."""
    if source == target:
        return nn.Identity()
    if source > target:
        return conv_norm(widths[source], widths[target], kernel=1, relu=False)
    steps = target - source
    return nn.Sequential(
        *(
            conv_norm(
                widths[source],
                widths[target] if step == steps - 1 else widths[source],
                stride=2,
                relu=step < steps - 1,
            )
            for step in range(steps)
        )
    )


class HighResolutionModule(nn.Module):
    """Residual blocks in every branch, then each branch gets the sum of all."""

    def __init__(self, widths: Sequence[int]) -> None:
        """Build the module; channels of each branch."""
        super().__init__()
        count = range(len(widths))
        self.branches = nn.ModuleList(residual_stage(width, width, 2) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_connection(widths, target, source) for source in count)
            for target in count
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map the branches, (B, C_i, H/2**i, W/2**i) each, to others of the same shapes."""
        refined = [branch(x) for branch, x in zip(self.branches, branches, strict=True)]
        fused = []
        for like, connections in zip(refined, self.fuse_layers, strict=True):
            assert isinstance(connections, nn.ModuleList)
            parts = [layer(x) for layer, x in zip(connections, refined, strict=True)]
            total = sum((resize_to(part, like) for part in parts[1:]), resize_to(parts[0], like))
            fused.append(F.relu(total))
        return fused


class HighResolutionTrunk(nn.Module):
    """From images to four branches, at strides 4, 8, 16 and 32."""

    classifier_names: ClassVar[tuple[str, ...]] = (
        'incre_modules.',
        'downsamp_modules.',
        'final_layer.',
        'classifier.',
    )
    """How parameters of published weights start that are left out here."""

    def __init__(self) -> None:
        """Build the trunk."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = residual_stage(64, 64, 2, block=Bottleneck)
        self.transition1 = nn.ModuleList(
            [conv_norm(256, _WIDTHS[0]), nn.Sequential(conv_norm(256, _WIDTHS[1], stride=2))]
        )
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(*(HighResolutionModule(_WIDTHS[:branches]) for _ in range(modules)))
            for branches, modules in enumerate(_MODULES, start=2)
        )
        self.transition2, self.transition3 = (
            nn.ModuleList(
                [nn.Identity()] * branches
                + [nn.Sequential(conv_norm(*_WIDTHS[branches - 1 : branches + 1], stride=2))]
            )
            for branches in (2, 3)
        )
        initialise(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) to the branches: (B, 18, H/4, W/4) to (B, 144, H/32, W/32)."""
        x = F.relu(self.bn1(self.conv1(images)))  # B 64 H/2 W/2
        x = self.layer1(F.relu(self.bn2(self.conv2(x))))  # B 256 H/4 W/4
        branches = self.stage2([layer(x) for layer in self.transition1])
        for transition, stage in (
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            branches = stage([*branches, transition[-1](branches[-1])])
        fused: list[Tensor] = branches
        return fused


class HRNet(SegmentationNetwork):
    """All branches at stride 4, side by side, decided by 1x1 convolutions."""

    def __init__(self, classes: int) -> None:
        """Build the network with ``classes`` outputs."""
        super().__init__()
        self.backbone = HighResolutionTrunk()
        self.merge = conv_norm(sum(_WIDTHS), sum(_WIDTHS), kernel=1)
        self.classifier = nn.Conv2d(sum(_WIDTHS), classes, 1)
        for part in (self.merge, self.classifier):
            initialise(part)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits.

        Args:
            images: (B, 3, H, W) float, normalised; H and W multiples of 4.

        Returns:
            (B, classes, H/4, W/4) float logits.
        """
        first, *others = self.backbone(images)
        x = torch.cat([first, *(resize_to(branch, first) for branch in others)], 1)
        logits: Tensor = self.classifier(self.merge(x))
        return logits
