# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A two-resolution residual network, meant to be quick on a CPU as on a GPU.

After a common stem one branch keeps stride 8 for detail while the other goes down to stride 32 for
context; the two exchange their features after each stage (DDRNet: Hong et al., arXiv 2101.06085;
RDRNet: Yang et al., arXiv 2406.12496). Everything is a dense 3x3 or 1x1 convolution, since dilated
and depthwise ones are slow for their arithmetic. Unlike there, the head goes on to stride 4, with
the stem's features beside it: at camera sizes of some hundred lines a pole is two pixels wide.

Shapes: B batch, C channels, H and W image height and width in pixels.
"""

from typing import Final, NamedTuple

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_training.networks.base import SegmentationNetwork
from vidseg_training.networks.layers import conv_norm, initialise, resize_to
from vidseg_training.networks.resnet import BasicBlock, residual_stage


class Widths(NamedTuple):
    """Channels of each part of the network."""

    stem: int
    """At strides 2 and 4."""
    detail: int
    """At stride 8."""
    context16: int
    """At stride 16."""
    context32: int
    """At stride 32."""
    pyramid: int
    """In each branch of the pyramid pooling."""
    head: int
    """At stride 4, before the classifier."""


FULL: Final = Widths(stem=24, detail=48, context16=96, context32=256, pyramid=64, head=32)
"""3.2 M parameters."""
SMALL: Final = Widths(stem=16, detail=48, context16=64, context32=96, pyramid=32, head=32)
"""Below 1 M parameters, for comparison with the compact networks of the literature."""


class PyramidPooling(nn.Module):
    """Context of growing windows, each refined with the one before (DAPPM of DDRNet)."""

    def __init__(self, in_channels: int, channels: int, out_channels: int) -> None:
        """Build four windows and the whole image, ``channels`` each."""
        super().__init__()
        self.scales = nn.ModuleList(conv_norm(in_channels, channels, kernel=1) for _ in range(5))
        self.refine = nn.ModuleList(conv_norm(channels, channels) for _ in range(4))
        self.merge = conv_norm(5 * channels, out_channels, kernel=1, relu=False)
        self.shortcut = conv_norm(in_channels, out_channels, kernel=1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, h, w) to (B, C_out, h, w)."""
        pooled = [
            x,
            F.avg_pool2d(x, 5, 2, 2),  # B C h/2 w/2
            F.avg_pool2d(x, 9, 4, 4),  # B C h/4 w/4
            F.avg_pool2d(x, 17, 8, 8),  # B C h/8 w/8
            F.avg_pool2d(x, x.shape[-2:]),  # B C 1 1; a mean does not export to operator set 17
        ]
        levels = [self.scales[0](x)]
        for scale, refine, level in zip(self.scales[1:], self.refine, pooled[1:], strict=True):
            levels.append(refine(resize_to(scale(level), x) + levels[-1]))
        return F.relu(self.merge(torch.cat(levels, 1)) + self.shortcut(x))


class Exchange(nn.Module):
    """What the two branches tell each other after a stage (bilateral fusion of DDRNet)."""

    def __init__(self, detail: int, context: int, halvings: int) -> None:
        """Build the exchange; ``halvings`` strides of 2 lie between the branches."""
        super().__init__()
        self.up = conv_norm(context, detail, kernel=1, relu=False)
        widths = [detail * 2**step for step in range(halvings)] + [context]
        self.down = nn.Sequential(
            *(
                conv_norm(
                    widths[step],
                    widths[step + 1],
                    stride=2,
                    relu=step < halvings - 1,
                )
                for step in range(halvings)
            )
        )

    def forward(self, detail: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Map detail (B, C, H, W) and context (B, D, h, w), both before their ReLU."""
        down = self.down(F.relu(detail))
        up = resize_to(self.up(F.relu(context)), detail)
        return F.relu(detail + up), F.relu(context + down)


class DualResolutionNet(SegmentationNetwork):
    """Detail at stride 8 beside context at strides 16 and 32, decided at stride 4."""

    def __init__(self, classes: int, widths: Widths = FULL) -> None:
        """Build the network with ``classes`` outputs."""
        super().__init__()
        w = widths
        self.stem = nn.Sequential(
            conv_norm(3, w.stem, stride=2),
            conv_norm(w.stem, w.stem, stride=2),
            BasicBlock(w.stem, w.stem),
        )
        self.stage8 = residual_stage(w.stem, w.detail, 2, stride=2)
        self.detail16 = residual_stage(w.detail, w.detail, 2, relu=False)
        self.context16 = residual_stage(w.detail, w.context16, 2, stride=2, relu=False)
        self.exchange16 = Exchange(w.detail, w.context16, halvings=1)
        self.detail32 = residual_stage(w.detail, w.detail, 2, relu=False)
        self.context32 = residual_stage(w.context16, w.context32, 2, stride=2, relu=False)
        self.exchange32 = Exchange(w.detail, w.context32, halvings=2)
        self.pyramid = PyramidPooling(w.context32, w.pyramid, w.detail)
        self.fuse = conv_norm(w.detail, w.head)
        self.lateral = conv_norm(w.stem, w.head, kernel=1)
        self.refine = conv_norm(w.head, w.head)
        self.classifier = nn.Conv2d(w.head, classes, 1)
        self.auxiliary = nn.Sequential(
            conv_norm(w.detail, w.detail), nn.Conv2d(w.detail, classes, 1)
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Compute logits; training takes batches of two or more, for the norm of the whole image.

        Args:
            images: (B, 3, H, W) float, normalised; H and W multiples of 8.

        Returns:
            (B, classes, H/4, W/4) float logits; in training mode also those of the auxiliary
            head, (B, classes, H/8, W/8).
        """
        at4 = self.stem(images)  # B stem H/4 W/4
        at8 = self.stage8(at4)  # B detail H/8 W/8
        detail, context = self.exchange16(self.detail16(at8), self.context16(at8))
        middle = detail
        detail, context = self.exchange32(self.detail32(detail), self.context32(context))
        context = self.pyramid(context)  # B C H/32 W/32
        x = self.fuse(detail + resize_to(context, detail))  # B C H/8 W/8
        x = self.refine(resize_to(x, at4) + self.lateral(at4))  # B C H/4 W/4
        logits: Tensor = self.classifier(x)
        return (logits, self.auxiliary(middle)) if self.training else logits

    @classmethod
    def small(cls, classes: int) -> 'DualResolutionNet':
        """Build the network below 1 M parameters."""
        return cls(classes, SMALL)
