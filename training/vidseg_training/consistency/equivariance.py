# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Steadiness without video: what a small movement of the camera does to a single picture.

The picture is moved by a random affine map and its exposure and noise are changed, as from frame
to frame; the prediction must move along and not change otherwise. Motion is known exactly, so the
temporal loss applies as it is. It is the consistency under augmentation with which Araslanov and
Roth (CVPR 2021) and SEAM (Wang et al., CVPR 2020) learn without labels, used here on every
training image against flicker.

Shapes: B batch, H and W height and width in pixels.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from vidseg_training.consistency.temporal_loss import FramePair
from vidseg_training.processes import process_count, process_index
from vidseg_training.warping import backward_warp

ZOOM: Final = 0.05
"""Largest relative change of size."""
ROTATION: Final = 0.035
"""Largest rotation, radians."""
SHIFT: Final = 0.03
"""Largest shift, share of the height."""
EXPOSURE: Final = 0.1
"""Largest relative change of brightness."""
NOISE: Final = 3.0
"""Largest standard deviation of the noise, grey levels."""


class View(NamedTuple):
    """A picture, and how it looks from a little further on."""

    pair: FramePair
    """The pictures as they are, the movement between them, and what both of them show."""
    altered: Tensor
    """(B, 3, H, W) uint8 RGB: the neighbour with another exposure and noise, for the network."""


def affine_motion(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Return where affine maps about the centre of a picture lead its pixels.

    Args:
        matrices: (B, 2, 3) float, rows (a, b, shift) of x and of y, px.
        size: Height and width in pixels.

    Returns:
        (B, 2, H, W) float px, x and y.
    """
    height, width = size
    y = torch.arange(height, device=matrices.device) - (height - 1) / 2
    x = torch.arange(width, device=matrices.device) - (width - 1) / 2
    points = torch.stack(
        (x.expand(height, width), y[:, None].expand(height, width), x.new_ones(height, width))
    )  # 3 H W
    moved = torch.einsum('bij,jhw->bihw', matrices, points.to(matrices.dtype))
    return moved - points[:2]


def draw_movement(batch: int, height: int) -> Tensor:
    """Draw affine maps from torch's global random numbers, (B, 2, 3) float32.

    Args:
        batch: How many.
        height: Of the pictures, pixels.
    """
    draws = 2 * torch.rand(4, batch) - 1
    zoom, angle = 1 + ZOOM * draws[0], ROTATION * draws[1]
    x, y = SHIFT * height * draws[2:]
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    return torch.stack((cosine, -sine, x, sine, cosine, y), -1).view(batch, 2, 3)


def invert(matrices: Tensor) -> Tensor:
    """Return the affine maps that undo (B, 2, 3) affine maps."""
    linear = torch.linalg.inv(matrices[..., :2])
    return torch.cat((linear, -linear @ matrices[..., 2:]), -1)


def move_camera(images: Tensor) -> View:
    """Look at pictures from a little further on; draws from torch's global random numbers.

    Every process draws for the joint batch and uses its part, so that one process or several see
    the same views.

    Args:
        images: (B, 3, H, W) uint8 RGB.
    """
    height, width = images.shape[-2:]
    joint = (len(images) * process_count(), 1, 1, 1)
    first = len(images) * process_index()
    part = slice(first, first + len(images))
    matrices = draw_movement(joint[0], height)[part].to(images.device)
    there = affine_motion(matrices, (height, width))
    back = affine_motion(invert(matrices), (height, width))
    moved = backward_warp(images.float(), back)
    gain = 1 + EXPOSURE * (2 * torch.rand(joint, device=images.device)[part] - 1)
    deviation = NOISE * torch.rand(joint, device=images.device)[part]
    noise = torch.randn(joint[0], *moved.shape[1:], device=images.device)[part]
    altered = moved * gain + deviation * noise
    pair = FramePair(images, _as_picture(moved), there, _stays_inside(there))
    return View(pair, _as_picture(altered))


def _stays_inside(motion: Tensor) -> Tensor:
    """Return which pixels (B, 2, H, W) motion keeps in the picture: (B, H, W) bool."""
    height, width = motion.shape[-2:]
    x = torch.arange(width, device=motion.device) + motion[:, 0]
    y = torch.arange(height, device=motion.device)[:, None] + motion[:, 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def _as_picture(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
