# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""FDDWNet (Liu et al., ICASSP 2020, arXiv 1911.00632).

Parameter names follow the published Cityscapes weights, so that they load unchanged.
Shapes: B batch, C channels, H and W image height and width in pixels.
"""

from collections.abc import Sequence

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_training.networks.base import SegmentationNetwork
from vidseg_training.networks.pretrained import replace_classes


class AxisConv(nn.Conv2d):
    """A depthwise convolution along one axis, 3x1 or 1x3, whose gradient is quick on a CPU.

    PyTorch has no quick gradient for dilated depthwise convolutions there. Along one axis a
    dilation of d is none among every d-th row or column, and those are one view away: rows
    (H, W) are (H/d, d W), columns (W) of each row are (W/d, d).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        step = max(self.dilation)
        if step == 1 or not self.training or x.device.type != 'cpu':
            return super().forward(x)
        along_rows = self.kernel_size[0] > 1
        batch, channels, height, width = x.shape
        more = -(height if along_rows else width) % step
        x = F.pad(x, (0, 0, 0, more) if along_rows else (0, more)).permute(0, 2, 3, 1)  # B H W C
        padded = x.shape
        if along_rows:
            x, kernel = x.reshape(batch, -1, step * width, channels), self.weight
        else:
            x, kernel = x.reshape(batch * height, -1, step, channels), self.weight.mT
        x = F.conv2d(x.permute(0, 3, 1, 2), kernel, self.bias, padding=(1, 0), groups=channels)
        x = x.permute(0, 2, 3, 1).reshape(padded)[:, :height, :width]
        return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _conv_norm(
    channels: int, kernel: tuple[int, int], *, dilation: int = 1, depthwise: bool, relu: bool
) -> nn.Sequential:
    """Build convolution + batch norm (+ ReLU) that keeps channels and size."""
    padding = (kernel[0] // 2 * dilation, kernel[1] // 2 * dilation)
    groups = channels if depthwise else 1
    layers: list[nn.Module] = [
        (AxisConv if depthwise else nn.Conv2d)(
            channels, channels, kernel, 1, padding, dilation=dilation, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Downsampling(nn.Module):
    """Halve the resolution: strided convolution beside max pooling (paper Fig. 2b)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Build the unit; the pooled input supplies ``in_channels`` of the outputs."""
        super().__init__()
        learned = out_channels - in_channels
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, learned, 3, 2, 1, bias=False),
            nn.BatchNorm2d(learned),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H/2, W/2)."""
        return torch.cat([self.conv(x), F.max_pool2d(x, 3, 2, 1)], dim=1)


class Eerm(nn.Module):
    """Extremely efficient residual module: factorised depthwise convolutions (paper Fig. 2a)."""

    def __init__(self, channels: int, dilation: int) -> None:
        """Build the module; only its second pair of 1-D convolutions is dilated."""
        super().__init__()
        self.conv = nn.Sequential(
            _conv_norm(channels, (3, 1), depthwise=True, relu=False),
            _conv_norm(channels, (1, 3), depthwise=True, relu=False),
            _conv_norm(channels, (1, 1), depthwise=False, relu=True),
            _conv_norm(channels, (3, 1), dilation=dilation, depthwise=True, relu=False),
            _conv_norm(channels, (1, 3), dilation=dilation, depthwise=True, relu=False),
            _conv_norm(channels, (1, 1), depthwise=False, relu=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return F.relu(x + self.conv(x))


class Upsampling(nn.Module):
    """Double the resolution by transposed convolution (paper Fig. 2c)."""

    def __init__(self, in_channels: int, out_channels: int, *, relu: bool) -> None:
        """Build the unit; the classifier goes without ``relu``."""
        super().__init__()
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(in_channels, out_channels, 3, 2, 1, output_padding=1),
            nn.BatchNorm2d(out_channels),
        ]
        if relu:
            layers.append(nn.ReLU(inplace=True))
        self.up_conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, 2H, 2W)."""
        up: Tensor = self.up_conv(x)
        return up


def _modules(channels: int, dilations: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(Eerm(channels, dilation) for dilation in dilations))


class FDDWNet(SegmentationNetwork):
    """FDDWNet with 31 layers and one skip connection at a quarter of the resolution."""

    def __init__(self, classes: int) -> None:
        """Build the network with ``classes`` output channels."""
        super().__init__()
        self.layer1 = Downsampling(3, 16)
        self.layer2 = Downsampling(16, 64)
        self.layer3_7 = _modules(64, (1, 1, 1, 1, 1))
        self.layer8 = Downsampling(64, 128)
        self.layer9_16 = _modules(128, (1, 2, 5, 9, 1, 2, 5, 9))
        self.layer17_24 = _modules(128, (2, 5, 9, 17, 2, 5, 9, 17))
        self.layer25 = Upsampling(128, 64, relu=True)
        self.layer26_27 = _modules(64, (1, 1))
        self.layer28 = Upsampling(64, 16, relu=True)
        self.layer29_30 = _modules(16, (1, 1))
        self.layer31 = Upsampling(16, classes, relu=False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits.

        Args:
            images: (B, 3, H, W) float, normalised; H and W multiples of 8.

        Returns:
            (B, classes, H, W) float logits.
        """
        skip = self.layer3_7(self.layer2(self.layer1(images)))  # B 64 H/4 W/4
        x = self.layer17_24(self.layer9_16(self.layer8(skip)))  # B 128 H/8 W/8
        x = self.layer26_27(self.layer25(x)) + skip  # B 64 H/4 W/4
        x = self.layer29_30(self.layer28(x))  # B 16 H/2 W/2
        logits: Tensor = self.layer31(x)  # B classes H W
        return logits

    def shift_logits(self, offset: Tensor) -> None:
        """Add (C,) ``offset`` to the logits by the bias of the last batch norm."""
        norm = self.layer31.up_conv[1]
        assert isinstance(norm, nn.BatchNorm2d)
        with torch.no_grad():
            norm.bias.add_(offset)


def load_fddwnet(
    weights: dict[str, Tensor], classes: int, head_rows: Sequence[int | None] | None = None
) -> FDDWNet:
    """Build an FDDWNet from published weights, optionally with other classes.

    Args:
        weights: State dict with the names of the published checkpoint.
        classes: Number of classes of the new network.
        head_rows: For each new class the class of ``weights`` that starts it, or None for
            random weights; no list at all keeps the classifier as it is.

    Returns:
        The network with every weight loaded.

    Raises:
        ValueError: If ``head_rows`` is not one row per class.
    """
    if head_rows is None:
        head_rows = range(classes)
    if len(head_rows) != classes:
        msg = f'{len(head_rows)} head rows for {classes} classes'
        raise ValueError(msg)
    network, state = replace_classes(FDDWNet, weights, head_rows)
    network.load_state_dict(state)
    assert isinstance(network, FDDWNet)
    return network
