# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Residual networks (He et al., CVPR 2016) with torchvision's parameter names.

Shapes: B batch, C channels, H and W height and width in pixels.
"""

from typing import ClassVar, Final

from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_training.networks.layers import conv_norm, initialise


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return conv_norm(in_channels, out_channels, kernel=1, stride=stride, relu=False)


def _conv3x3(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation=dilation, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, as in ResNet-18 and -34."""

    expansion: ClassVar[int] = 1
    """Channels that come out, as a multiple of those in the middle."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        relu: bool = True,
    ) -> None:
        """Build the block; without ``relu`` the sum comes out as it is."""
        super().__init__()
        self.conv1 = _conv3x3(in_channels, channels, stride, dilations[0])
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels, 1, dilations[1])
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)
        self._relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = shortcut + self.bn2(self.conv2(x))
        return F.relu(x) if self._relu else x


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut, as in ResNet-50 and above."""

    expansion: ClassVar[int] = 4
    """Channels that come out, as a multiple of those in the middle."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        relu: bool = True,
    ) -> None:
        """Build the block; its one 3x3 convolution strides, and has the first of ``dilations``."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels, stride, dilations[0])
        self.bn2 = nn.BatchNorm2d(channels)
        out_channels = channels * self.expansion
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)
        self._relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, 4 C, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = shortcut + self.bn3(self.conv3(x))
        return F.relu(x) if self._relu else x


def residual_stage(  # noqa: PLR0913  # a stage is all that
    in_channels: int,
    channels: int,
    blocks: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    relu: bool = True,
    block: type[BasicBlock | Bottleneck] = BasicBlock,
) -> nn.Sequential:
    """Build blocks in a row.

    Args:
        in_channels: Channels that go in.
        channels: Channels in the middle of a block.
        blocks: Number of blocks.
        stride: Of the first block.
        dilation: Of the 3x3 convolutions; the first has half of it, since what comes in was
            dilated less.
        relu: Whether the last sum goes through ReLU; all others do.
        block: Kind of block.
    """
    return nn.Sequential(
        *(
            block(
                in_channels if index == 0 else channels * block.expansion,
                channels,
                stride=stride if index == 0 else 1,
                dilations=(max(dilation // 2, 1) if index == 0 else dilation, dilation),
                relu=relu or index < blocks - 1,
            )
            for index in range(blocks)
        )
    )


RESNET18: Final = (BasicBlock, (2, 2, 2, 2))
RESNET101: Final = (Bottleneck, (3, 4, 23, 3))


class ResNet(nn.Module):
    """A residual network without its classifier that stays at stride 8.

    Its last two stages are dilated instead of strided (Yu and Koltun, ICLR 2016; Zhao et al.,
    CVPR 2017).

    Attributes:
        channels: Of the last but one and of the last stage.
    """

    classifier_names: ClassVar[tuple[str, ...]] = ('fc.',)
    """How parameters of published weights start that are left out here."""

    def __init__(
        self, block: type[BasicBlock | Bottleneck], blocks: tuple[int, int, int, int]
    ) -> None:
        """Build the network; ``blocks`` in each stage."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        wide = block.expansion
        self.layer1 = residual_stage(64, 64, blocks[0], block=block)
        self.layer2 = residual_stage(64 * wide, 128, blocks[1], stride=2, block=block)
        self.layer3 = residual_stage(128 * wide, 256, blocks[2], dilation=2, block=block)
        self.layer4 = residual_stage(256 * wide, 512, blocks[3], dilation=4, block=block)
        self.channels = (256 * wide, 512 * wide)
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 3, H, W) to what the last two stages say, (B, C, H/8, W/8) each."""
        x = F.relu(self.bn1(self.conv1(images)))  # B 64 H/2 W/2
        x = self.layer2(self.layer1(F.max_pool2d(x, 3, 2, 1)))  # B C H/8 W/8
        middle = self.layer3(x)
        return middle, self.layer4(middle)
