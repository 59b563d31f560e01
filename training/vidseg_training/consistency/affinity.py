# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Structure of a prediction: how alike its places are, in one frame or between two.

Pair-wise distillation makes the student's affinities those of the teacher: within a frame (Liu et
al., CVPR 2019, section 3.2) and between two frames of a clip (pair-wise-frames dependency, PF; Liu
et al., ECCV 2020, section 3.2). Strides, widths and class sets of the two may differ, because only
affinities are compared, on a grid that both are brought to.

A place is described by its centred log-probabilities, that is, by its logits but for what softmax
does not see: a constant over the classes. In the official code it is the logits as they are.

Shapes: B batch, C classes, h and w of the prediction, N = rows x columns places of the grid.
"""

from typing import Final

from torch import Tensor
import torch.nn.functional as F

_FLOOR: Final = 1 / 255
"""Added to probabilities before the logarithm: the step in which a teacher's are kept."""


def describe_places(probabilities: Tensor, grid: tuple[int, int]) -> Tensor:
    """Describe the places of a grid by unit vectors.

    Args:
        probabilities: (B, C, h, w) float; a class map may have taken some of the mass away.
        grid: Rows and columns; the probabilities of a cell are averaged.

    Returns:
        (B, N, C) float: log(p + 1/255) less its mean over the classes, of length 1.
    """
    cells = F.adaptive_avg_pool2d(probabilities, grid).flatten(2).transpose(1, 2)  # B N C
    logs = (cells + _FLOOR).log()
    return F.normalize(logs - logs.mean(-1, keepdim=True), dim=-1)


def affinity(places: Tensor, others: Tensor) -> Tensor:
    """Return the cosine of every place with every other place.

    Args:
        places: (B, N, C) float unit vectors.
        others: (B, M, C) float unit vectors, of the same frame or of another one.

    Returns:
        (B, N, M) float, -1 to 1.
    """
    return places @ others.transpose(1, 2)


def affinity_loss(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], grid: tuple[int, int]
) -> Tensor:
    """Compare how alike the places of two frames are for student and teacher.

    Mean over batch and pairs of places of (a_student - a_teacher)^2. With the same frame twice it
    is the pair-wise term within a frame.

    Args:
        student: (B, C, h, w) float probabilities of each of the two frames.
        teacher: (B, D, h', w') float probabilities of the same frames.
        grid: Rows and columns of the places.

    Returns:
        Scalar from 0 to 4.
    """
    ours, theirs = (
        affinity(*(describe_places(frame, grid) for frame in frames))
        for frames in (student, teacher)
    )
    return F.mse_loss(ours, theirs.detach())
