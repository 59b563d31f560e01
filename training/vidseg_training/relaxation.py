# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Boundary label relaxation (Zhu et al., CVPR 2019, section 3.3).

At a boundary any of the classes in a pixel's 3x3 neighbourhood is right: the loss is
-log of the sum of their probabilities. Labels are least sure there, most of all propagated ones.
Two rules are explicit here: a void pixel is never learned from (in the official code it learns the
class it touches), and what lies outside the image belongs to no class.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
import torch.nn.functional as F

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.processes import joint_mean


def in_whole_precision(logits: Tensor) -> Tensor:
    """Return logits in float32 where they are half or bfloat16, others as they are.

    A sum over the pixels of a few crops is beyond the largest half, 65504.
    """
    return logits.float() if logits.dtype in {torch.float16, torch.bfloat16} else logits


def neighbour_classes(labels: Tensor, classes: int) -> Tensor:
    """Return which classes occur in the 3x3 neighbourhood of each pixel.

    Args:
        labels: (B, H, W) int64 ids, 255 void.
        classes: Number of classes, C.

    Returns:
        (B, C, H, W) bool; void counts for no class.
    """
    around = F.pad(_one_hot(labels, classes), (1, 1, 1, 1))  # B C H+2 W+2
    rows = around[..., :-2, :] | around[..., 1:-1, :] | around[..., 2:, :]
    return rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:]


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return (B, C, H, W) bool of (B, H, W) ids; void is no class."""
    ids = torch.arange(classes, device=labels.device).view(-1, 1, 1)
    return labels[:, None] == ids


def relaxed_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, strict: Sequence[int] = ()
) -> Tensor:
    """Negative log-likelihood of the set of classes around each pixel.

    With one class around it is the cross-entropy. Written as a difference of two log-sum-exp, so
    it cannot become NaN; a pixel's value depends on its own image only.

    Args:
        logits: (B, C, H, W) float at label resolution; half ones are computed with in float32.
        labels: (B, H, W) int64 ids, 255 ignored.
        weights: (C,) float class weights, or None; a pixel has the mean weight of its classes.
        strict: Ids of classes, thin ones, whose own pixels keep their one label.

    Returns:
        Scalar, the weighted mean over the pixels that are not void (`processes.joint_mean`); 0
        with a gradient of 0 if there is none.
    """
    logits = in_whole_precision(logits)
    classes = logits.shape[1]
    around = neighbour_classes(labels, classes)
    own = _one_hot(labels, classes)
    hard = torch.isin(labels, torch.tensor(strict, dtype=labels.dtype, device=labels.device))
    allowed = torch.where(hard[:, None], own, around)
    valid = labels != IGNORE_ID
    allowed = allowed | ~valid[:, None]  # nothing to learn there, and nothing infinite
    losses = logits.logsumexp(1) - logits.masked_fill(~allowed, -torch.inf).logsumexp(1)
    pixel_weights = valid.to(logits.dtype)
    if weights is not None:
        of_set = torch.einsum('bchw,c->bhw', allowed.to(logits.dtype), weights.to(logits.dtype))
        pixel_weights = pixel_weights * of_set / allowed.sum(1)
    return joint_mean((losses * pixel_weights).sum(), pixel_weights.sum())


def boundary_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy that counts pixels at a boundary twice: what follows relaxation.

    The official code ends its training so (`rlx_off_epoch`).

    Args:
        logits: (B, C, H, W) float at label resolution; half ones are computed with in float32.
        labels: (B, H, W) int64 ids, 255 ignored.
        weights: (C,) float class weights, or None.

    Returns:
        Scalar, the weighted mean over the pixels that are not void (`processes.joint_mean`); 0
        with a gradient of 0 if there is none.
    """
    logits = in_whole_precision(logits)
    boundary = neighbour_classes(labels, logits.shape[1]).sum(1) > 1
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE_ID, reduction='none')
    pixel_weights = (1 + boundary.to(logits.dtype)) * (labels != IGNORE_ID)
    if weights is not None:
        pixel_weights = pixel_weights * weights[labels.clamp(max=len(weights) - 1)]
    return joint_mean((losses * pixel_weights).sum(), pixel_weights.sum())
