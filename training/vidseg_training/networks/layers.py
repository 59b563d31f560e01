# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Layers that several networks are made of.

Shapes: B batch, C channels, H and W height and width in pixels.
"""

import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F


def conv_norm(
    in_channels: int,
    out_channels: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Build convolution + batch norm (+ ReLU); stride 1 keeps height and width."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Bring (B, C, h, w) bilinearly to the height and width of ``like`` (B, D, H, W)."""
    return F.interpolate(x, size=like.shape[-2:], mode='bilinear', align_corners=False)


def pool_to_bins(x: Tensor, bins: int) -> Tensor:
    """Average (B, C, H, W) over ``bins`` rows and columns of rectangles: (B, C, bins, bins).

    Equal to adaptive average pooling, whose rectangles overlap where the size is no multiple;
    that one cannot be exported to operator set 17 for every size, two matrix products can.
    """
    rows, columns = (_averages(side, bins).to(x) for side in x.shape[-2:])
    return rows @ x @ columns.T


def _averages(side: int, bins: int) -> Tensor:
    """Return the (bins, side) matrix whose rows average the pixels of each bin."""
    matrix = np.zeros((bins, side))  # NumPy's, so that an export sees nothing but the constant
    for index in range(bins):
        first, last = index * side // bins, -(-(index + 1) * side // bins)
        matrix[index, first:last] = 1 / (last - first)
    return torch.from_numpy(matrix)


def initialise(network: nn.Module) -> None:
    """Draw weights for ReLU networks (He et al., ICCV 2015); batch norms start as identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
            if module.bias is not None:
                nn.init.zeros_(module.bias)
