# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Layers that several networks are made of.

Shapes: B batch, C channels, H and W height and width in pixels.
"""

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


def initialise(network: nn.Module) -> None:
    """Draw weights for ReLU networks (He et al., ICCV 2015); batch norms start as identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
            if module.bias is not None:
                nn.init.zeros_(module.bias)
