# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Tensors carried along motion, with a gradient; for NumPy see `vidseg_ros.core.motion`.

Shapes: B batch, C channels, H and W height and width in pixels.
"""

import torch
from torch import Tensor
import torch.nn.functional as F


def backward_warp(images: Tensor, vectors: Tensor) -> Tensor:
    """Sample images where vectors point: out(p) = image(p + vector(p)).

    Bilinear; pixel centres are whole numbers (``align_corners=True``), so that a vector of zero
    changes nothing; outside of the picture the nearest border pixel counts.

    Args:
        images: (B, C, H, W) float.
        vectors: (B, 2, H, W) float, px, x and y.

    Returns:
        (B, C, H, W) float.
    """
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device, dtype=images.dtype).view(-1, 1)
    x = torch.arange(width, device=images.device, dtype=images.dtype)
    column = (x + vectors[:, 0]) * (2 / max(width - 1, 1)) - 1
    row = (y + vectors[:, 1]) * (2 / max(height - 1, 1)) - 1
    return F.grid_sample(
        images, torch.stack((column, row), -1), padding_mode='border', align_corners=True
    )
