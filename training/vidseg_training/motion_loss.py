# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What tells good motion vectors from bad ones without any labels.

The terms are those of Zhu et al. (CVPR 2019): the warped frame must look like the target, so must
its gradients, and vectors must be smooth. Their code adds gradients on a scale of 0 to 255 to
colours on a scale of 0 to 1, so that gradients outweigh all else; here every picture term is on
the scale of 0 to 1, and smoothness alone is in pixels. Their gradient term compares absolute
gradients, so that a dark edge may lie on a bright one; here the sign counts. Their smoothness
acts everywhere alike; here it is weaker where the target has an edge (Heise et al., ICCV 2013).

Shapes: B batch, C channels, H and W height and width in pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
import torch.nn.functional as F

from vidseg_ros.core.errors import ParameterError

_C1 = 0.01**2
_C2 = 0.03**2


@dataclass(frozen=True, kw_only=True)
class MotionLossWeights:
    """How much each term counts; pictures are on a scale of 0 to 1, vectors in px."""

    photometric: float = 1.0
    """Of the mean absolute difference of colours."""
    gradient: float = 0.0
    """Of the mean absolute difference of colour gradients, along x plus along y."""
    similarity: float = 0.2
    """Of (1 - SSIM) / 2 (Wang et al. 2004, windows of 3x3), as in Godard et al., CVPR 2017."""
    smoothness: float = 0.02
    """Of the mean absolute gradient of the vectors, along x plus along y, px."""
    edge: float = 10.0
    """Smoothness counts exp(-edge * colour gradient); 0: everywhere alike."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If a weight is below zero, or no term compares pictures.
        """
        for name, value in vars(self).items():
            if not value >= 0:  # NaN is not either
                msg = f'loss weight {name} must be zero or above, not {value}'
                raise ParameterError(msg)
        if self.photometric + self.gradient + self.similarity == 0:
            msg = 'loss weights: one of photometric, gradient and similarity must be above zero'
            raise ParameterError(msg)


def _gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return forward differences along x (B, C, H, W - 1) and along y (B, C, H - 1, W)."""
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def gradient_loss(warped: Tensor, target: Tensor) -> Tensor:
    """Compare the gradients of two batches of pictures, (B, C, H, W) float; scalar."""
    return torch.stack(
        [F.l1_loss(a, b) for a, b in zip(_gradients(warped), _gradients(target), strict=True)]
    ).sum()


def similarity_loss(warped: Tensor, target: Tensor) -> Tensor:
    """Compute the mean of (1 - SSIM) / 2 over windows of 3x3.

    Args:
        warped: (B, C, H, W) float, 0 to 1.
        target: The same shape.

    Returns:
        Scalar, 0 for equal pictures and at most 1.
    """
    mean_w, mean_t = F.avg_pool2d(warped, 3, 1), F.avg_pool2d(target, 3, 1)
    var_w = F.avg_pool2d(warped.square(), 3, 1) - mean_w.square()
    var_t = F.avg_pool2d(target.square(), 3, 1) - mean_t.square()
    covariance = F.avg_pool2d(warped * target, 3, 1) - mean_w * mean_t
    same = (2 * mean_w * mean_t + _C1) * (2 * covariance + _C2)
    most = (mean_w.square() + mean_t.square() + _C1) * (var_w + var_t + _C2)
    return ((1 - same / most) / 2).mean()


def smoothness_loss(vectors: Tensor, target: Tensor, edge: float) -> Tensor:
    """Compute the mean absolute gradient of vectors, less where the target has an edge.

    Args:
        vectors: (B, 2, H, W) float px.
        target: (B, C, H, W) float, 0 to 1.
        edge: A vector gradient counts exp(-edge * mean absolute colour gradient).

    Returns:
        Scalar, px: along x plus along y.
    """
    terms = []
    for slope, contrast in zip(_gradients(vectors), _gradients(target), strict=True):
        weight = torch.exp(-edge * contrast.abs().mean(1, keepdim=True))
        terms.append((weight * slope.abs()).mean())
    return torch.stack(terms).sum()


def motion_loss(
    warped: Tensor, target: Tensor, vectors: Tensor, weights: MotionLossWeights
) -> Tensor:
    """Judge motion vectors by the picture they make.

    Args:
        warped: (B, C, H, W) float, 0 to 1: the source frame carried along the vectors.
        target: (B, C, H, W) float, 0 to 1: what it should look like.
        vectors: (B, 2, H, W) float px.
        weights: Of the terms.

    Returns:
        Scalar.
    """
    loss = weights.photometric * F.l1_loss(warped, target)
    if weights.gradient:
        loss = loss + weights.gradient * gradient_loss(warped, target)
    if weights.similarity:
        loss = loss + weights.similarity * similarity_loss(warped, target)
    if weights.smoothness:
        loss = loss + weights.smoothness * smoothness_loss(vectors, target, weights.edge)
    return loss
