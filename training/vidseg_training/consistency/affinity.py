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

from vidseg_training.processes import joint_mean

_FLOOR: Final = 1 / 255
"""Added to probabilities before the logarithm: the step in which a teacher's are kept."""

_LEAST_LENGTH: Final = 1e-4
"""Of a description that says anything: rounding leaves some 1e-6 where all classes are alike."""


def describe_places(probabilities: Tensor, grid: tuple[int, int]) -> Tensor:
    """Describe the places of a grid by unit vectors.

    Args:
        probabilities: (B, C, h, w) float; a class map may have taken some of the mass away.
        grid: Rows and columns; the probabilities of a cell are averaged, and shares of their sum
            taken.

    Returns:
        (B, N, C) float: log(p + 1/255) less its mean over the classes, of length 1; of length 0
        where all probabilities are the same, as where all are 0.
    """
    cells = F.adaptive_avg_pool2d(probabilities, grid).flatten(2).transpose(1, 2)  # B N C
    cells = cells / cells.sum(-1, keepdim=True).clamp(min=_FLOOR)
    logs = (cells + _FLOOR).log()
    centred = logs - logs.mean(-1, keepdim=True)
    says_something = centred.square().sum(-1, keepdim=True) > _LEAST_LENGTH**2
    return F.normalize(centred, dim=-1) * says_something


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

    Mean over batch and pairs of places of (a_student - a_teacher)^2, each pair weighted by how
    much of its two places the teacher speaks of: the sum of its probabilities. With the same frame
    twice it is the pair-wise term within a frame.

    Args:
        student: (B, C, h, w) float probabilities of each of the two frames; where the teacher
            says little, as little of the student's, see `spoken_of`.
        teacher: (B, D, h', w') float probabilities of the same frames; their sum may be below 1.
        grid: Rows and columns of the places.

    Returns:
        Scalar from 0 to 4; 0 where the teacher says nothing at all.
    """
    first, second = (
        F.adaptive_avg_pool2d(frame.detach().sum(1, keepdim=True), grid).flatten(1)
        for frame in teacher
    )  # B N each
    weights = first[:, :, None] * second[:, None]  # B N N
    ours, theirs = (
        affinity(*(describe_places(frame, grid) for frame in frames))
        for frames in (student, teacher)
    )
    squares = (ours - theirs.detach()).square()
    return joint_mean((weights * squares).sum(), weights.sum())


def spoken_of(logits: Tensor, said: Tensor, known: list[int]) -> tuple[Tensor, Tensor]:
    """Return what student and teacher say of the classes that both know, where the teacher speaks.

    Args:
        logits: (B, C, h, w) float of the student.
        said: (B, C, h, w) float probabilities of the teacher in the student's classes; all 0 where
            it says nothing, as beyond the border of a picture.
        known: Ids of the classes that the teacher knows.

    Returns:
        (B, K, h, w) float each: the student's shares of the known classes times the sum of the
        teacher's probabilities, and those.
    """
    theirs = said[:, known]
    return logits[:, known].softmax(1) * theirs.sum(1, keepdim=True), theirs
