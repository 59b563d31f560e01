# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Temporal loss: neighbouring frames agree along the motion (Liu et al., ECCV 2020, section 3.1).

The class probabilities of a neighbour are carried to this frame and compared with this frame's,
weighted by how well the picture itself can be carried. Unlike the official code: probabilities and
not logits, an error of the colours of each pixel and not of their signed sum (in which they can
cancel), the weight once and not squared, and pixels that the neighbour does not show do not count.

Shapes: B pairs of frames, C classes, H and W of the frames, h and w of the logits.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor
import torch.nn.functional as F

from vidseg_training.consistency.settings import Gradient
from vidseg_training.networks import STD
from vidseg_training.processes import joint_mean
from vidseg_training.warping import backward_warp

USUAL_ERROR: Final = sum(STD) / len(STD)
"""Grey levels, one standard deviation of the input: lenient, for motion that is exact."""


class FramePair(NamedTuple):
    """Frames, their neighbours, and how to get there."""

    current: Tensor
    """(B, 3, H, W) uint8 RGB."""
    neighbour: Tensor
    """(B, 3, H, W) uint8 RGB."""
    motion: Tensor
    """(B, 2, H, W) float px: what is at p in ``current`` is at p + motion(p) in ``neighbour``."""
    visible: Tensor
    """(B, H, W) bool, True where a pixel of ``current`` is to be seen in ``neighbour``."""


def photometric_weight(pair: FramePair, picture_error: float = USUAL_ERROR) -> Tensor:
    """Weigh pixels by how well the neighbour's picture explains them.

    exp(-e), e being the mean over the three colours of the absolute difference between the frame
    and its neighbour carried to it, in units of ``picture_error``.

    Args:
        pair: The frames and their motion.
        picture_error: Difference in grey levels at which a pixel counts 1/e.

    Returns:
        (B, H, W) float, 1 where the colours agree, near 0 where they do not.
    """
    carried = backward_warp(pair.neighbour.float(), pair.motion)
    error = (pair.current - carried).abs().mean(1)  # B H W
    return torch.exp(-error / picture_error)


def temporal_loss(
    current: Tensor,
    neighbour: Tensor,
    pair: FramePair,
    gradient: Gradient = 'both',
    picture_error: float = USUAL_ERROR,
) -> Tensor:
    """Compare class probabilities with those of a neighbour, along the motion.

    sum V |q - q'|^2 / number of visible pixels; V is `photometric_weight`, q' the neighbour's
    probabilities carried to this frame, |.|^2 the sum over the classes.

    Args:
        current: (B, C, h, w) float logits of this frame.
        neighbour: (B, C, h, w) float logits of its neighbour.
        pair: The frames and their motion.
        gradient: Which predictions learn.
        picture_error: See `photometric_weight`.

    Returns:
        Scalar from 0 to 2, see `vidseg_training.processes.joint_mean`.
    """
    size = pair.visible.shape[-2:]
    here, there = (
        F.interpolate(logits, size, mode='bilinear', align_corners=False).softmax(1)
        for logits in (current, neighbour)
    )
    if gradient == 'current':
        there = there.detach()
    carried = backward_warp(there, pair.motion.to(there.dtype))
    weights = photometric_weight(pair, picture_error) * pair.visible
    squared = (here - carried).square().sum(1)  # B H W
    return joint_mean((weights * squared).sum(), pair.visible.sum().to(squared.dtype))
