# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The demo's network: small, plain and quick on a CPU.

Shapes: B batch, C channels, H and W image height and width in pixels.
"""

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_training.networks.base import SegmentationNetwork


def _conv(in_channels: int, out_channels: int, *, stride: int = 1, kernel: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(self.conv1(x))))


class CompactNet(SegmentationNetwork):
    """Dense 3x3 convolutions at strides 4, 8 and 16, summed again at stride 4."""

    def __init__(self, classes: int, width: int = 24) -> None:
        """Build the network with ``classes`` outputs; ``width`` channels at stride 4."""
        super().__init__()
        self.stem = nn.Sequential(
            _conv(3, width, stride=2), _conv(width, width, stride=2), _Residual(width)
        )
        self.stage8 = nn.Sequential(
            _conv(width, 2 * width, stride=2), _Residual(2 * width), _Residual(2 * width)
        )
        self.stage16 = nn.Sequential(
            _conv(2 * width, 3 * width, stride=2), _Residual(3 * width), _Residual(3 * width)
        )
        self.lateral8 = _conv(3 * width, 2 * width, kernel=1)
        self.lateral4 = _conv(2 * width, width, kernel=1)
        self.head = nn.Sequential(_conv(width, width), nn.Conv2d(width, classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits.

        Args:
            images: (B, 3, H, W) float, normalised; H and W multiples of 16.

        Returns:
            (B, classes, H/4, W/4) float logits.
        """
        at4 = self.stem(images)  # B C H/4 W/4
        at8 = self.stage8(at4)  # B 2C H/8 W/8
        at16 = self.stage16(at8)  # B 3C H/16 W/16
        at8 = at8 + _double(self.lateral8(at16))
        at4 = at4 + _double(self.lateral4(at8))
        logits: Tensor = self.head(at4)
        return logits

    def shift_logits(self, offset: Tensor) -> None:
        """Add (C,) ``offset`` to the logits by the bias of the last convolution."""
        classifier = self.head[1]
        assert isinstance(classifier, nn.Conv2d)
        assert classifier.bias is not None
        with torch.no_grad():
            classifier.bias.add_(offset)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)
