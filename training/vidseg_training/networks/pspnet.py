# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""PSPNet (Zhao et al., CVPR 2017) on several backbones.

With ResNet-18 and MobileNetV2 it is a student, with ResNet-101 the teacher of Liu et al. (ECCV
2020). Shapes: B batch, C channels, H and W image height and width in pixels.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn, Tensor

from vidseg_training.networks.base import SegmentationNetwork
from vidseg_training.networks.layers import conv_norm, initialise, pool_to_bins, resize_to
from vidseg_training.networks.mobilenet import MobileNetV2
from vidseg_training.networks.resnet import ResNet, RESNET18, RESNET101

_BINS: Final = (1, 2, 3, 6)
"""Rows and columns into which each level of the pyramid pools the image."""


class PyramidPoolingHead(nn.Module):
    """What is everywhere, in halves, thirds and sixths of the image, beside each pixel."""

    def __init__(self, channels: int, width: int, bins: Sequence[int] = _BINS) -> None:
        """Build the head: ``width`` channels a level and in the end."""
        super().__init__()
        self._bins = tuple(bins)
        self.levels = nn.ModuleList(conv_norm(channels, width, kernel=1) for _ in bins)
        self.merge = conv_norm(channels + len(self._bins) * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, width, H, W)."""
        pooled = [
            resize_to(level(pool_to_bins(x, bins)), x)
            for level, bins in zip(self.levels, self._bins, strict=True)
        ]
        merged: Tensor = self.merge(torch.cat([x, *pooled], 1))
        return merged


class PSPNet(SegmentationNetwork):
    """Pyramid pooling on a backbone of stride 8, with an auxiliary head in training.

    There is no dropout: whatever a killed run does when it goes on, it would have done.
    """

    def __init__(self, backbone: ResNet | MobileNetV2, classes: int) -> None:
        """Build the network with ``classes`` outputs."""
        super().__init__()
        middle, last = backbone.channels
        self.backbone = backbone
        self.head = PyramidPoolingHead(last, last // 4)
        self.classifier = nn.Conv2d(last // 4, classes, 1)
        self.auxiliary = nn.Sequential(
            conv_norm(middle, middle // 2), nn.Conv2d(middle // 2, classes, 1)
        )
        for part in (self.head, self.classifier, self.auxiliary):
            initialise(part)

    @classmethod
    def resnet18(cls, classes: int) -> 'PSPNet':
        """Build the student of 12.9 M parameters."""
        return cls(ResNet(*RESNET18), classes)

    @classmethod
    def resnet101(cls, classes: int) -> 'PSPNet':
        """Build the teacher of 70.3 M parameters."""
        return cls(ResNet(*RESNET101), classes)

    @classmethod
    def mobilenet_v2(cls, classes: int) -> 'PSPNet':
        """Build the student of 2.4 M parameters."""
        return cls(MobileNetV2(), classes)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Compute logits; training takes batches of two or more, for the norm of the whole image.

        Args:
            images: (B, 3, H, W) float, normalised; H and W multiples of 8.

        Returns:
            (B, classes, H/8, W/8) float logits; in training mode also those of the auxiliary
            head, of the same shape.
        """
        middle, last = self.backbone(images)
        logits: Tensor = self.classifier(self.head(last))
        return (logits, self.auxiliary(middle)) if self.training else logits
