# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The loss of a prediction against labels."""

from collections.abc import Sequence

from torch import Tensor
import torch.nn.functional as F

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.processes import joint_mean
from vidseg_training.relaxation import boundary_cross_entropy, relaxed_cross_entropy


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    *,
    relaxed: bool | None = None,
    strict: Sequence[int] = (),
) -> Tensor:
    """Cross-entropy at label resolution.

    Args:
        logits: (B, C, h, w) float at the network's own resolution.
        labels: (B, H, W) int64 ids, 255 ignored.
        weights: (C,) float class weights, or None.
        relaxed: True: boundaries relaxed; False: boundaries counted twice, the phase after that
            (`vidseg_training.relaxation`); None: plain.
        strict: Ids of classes that are not relaxed.

    Returns:
        Scalar, see `vidseg_training.processes.joint_mean`.
    """
    if logits.shape[-2:] != labels.shape[-2:]:
        logits = F.interpolate(
            logits, size=labels.shape[-2:], mode='bilinear', align_corners=False
        )
    if relaxed is not None:
        if relaxed:
            return relaxed_cross_entropy(logits, labels, weights, strict)
        return boundary_cross_entropy(logits, labels, weights)
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE_ID, reduction='none')
    pixel_weights = (labels != IGNORE_ID).to(losses.dtype)
    if weights is not None:
        pixel_weights = pixel_weights * weights[labels.clamp(max=len(weights) - 1)]
    return joint_mean((losses * pixel_weights).sum(), pixel_weights.sum())
