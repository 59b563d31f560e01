# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Residual blocks (He et al., CVPR 2016) with torchvision's parameter names.

Shapes: B batch, C channels, H and W height and width in pixels.
"""

from torch import nn, Tensor
import torch.nn.functional as F


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, as in ResNet-18 and -34."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int = 1, relu: bool = True
    ) -> None:
        """Build the block; without ``relu`` the sum comes out as it is."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)
        self._relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = shortcut + self.bn2(self.conv2(x))
        return F.relu(x) if self._relu else x


def residual_stage(
    in_channels: int, channels: int, blocks: int, *, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """Build blocks in a row: the first strides, the last goes without ``relu`` if asked."""
    return nn.Sequential(
        *(
            BasicBlock(
                in_channels if index == 0 else channels,
                channels,
                stride=stride if index == 0 else 1,
                relu=relu or index < blocks - 1,
            )
            for index in range(blocks)
        )
    )
