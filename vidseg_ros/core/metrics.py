# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Mean intersection over union from one confusion matrix over the whole set."""

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.labels import IGNORE_ID


def confusion_matrix(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Count pixels by (true id, predicted id).

    Args:
        truth: uint8 ids of any shape; ``IGNORE_ID`` (255) pixels are left out.
        predicted: uint8 ids of the same shape.
        classes: Number of classes C.

    Returns:
        (C, C) int64 counts, one row per true id.

    Raises:
        ValueError: If the shapes differ, or a counted id is not below ``classes``.
    """
    if truth.shape != predicted.shape:
        msg = f'shapes of truth {truth.shape} and prediction {predicted.shape} differ'
        raise ValueError(msg)
    valid = truth != IGNORE_ID
    true_ids, predicted_ids = truth[valid], predicted[valid]
    for what, ids in (('true', true_ids), ('predicted', predicted_ids)):
        if ids.size and int(ids.max()) >= classes:
            msg = f'{what} id {int(ids.max())} is out of range for {classes} classes'
            raise ValueError(msg)
    pairs = true_ids.astype(np.int64) * classes + predicted_ids
    counts = np.bincount(pairs, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64, copy=False)


def intersection_over_union(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute IoU = TP / (TP + FP + FN) of each class (Everingham et al. 2010).

    Args:
        matrix: (C, C) int64 counts, one row per true id.

    Returns:
        (C,) float64 from 0 to 1; NaN for a class that is neither true nor predicted anywhere.
    """
    hits = np.diag(matrix).astype(np.float64)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix)
    iou = np.full(len(hits), np.nan)
    np.divide(hits, union, out=iou, where=union > 0)
    return iou


def mean_iou(matrix: NDArray[np.int64]) -> float:
    """Return the mean of `intersection_over_union` over the classes that occur; NaN without any.

    Args:
        matrix: (C, C) int64 counts, one row per true id.
    """
    iou = intersection_over_union(matrix)
    return float(np.nanmean(iou)) if np.isfinite(iou).any() else float('nan')


class Confusion:
    """One confusion matrix accumulated over a set of frames.

    Attributes:
        matrix: (C, C) int64 counts, one row per true id.
    """

    def __init__(self, classes: int) -> None:
        """Start with no pixels counted for ``classes`` classes."""
        self.matrix = np.zeros((classes, classes), np.int64)

    def add(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Count one frame; arguments and errors as in `confusion_matrix`."""
        self.matrix += confusion_matrix(truth, predicted, len(self.matrix))

    def merge(self, other: 'Confusion') -> None:
        """Add another set's counts, as if its frames had been counted here."""
        self.matrix += other.matrix

    @property
    def pixels(self) -> int:
        """Number of counted pixels."""
        return int(self.matrix.sum())

    def accuracy(self) -> float:
        """Return the share of counted pixels that are right, 0 to 1; NaN without any pixel."""
        pixels = self.pixels
        return int(np.trace(self.matrix)) / pixels if pixels else float('nan')

    def iou(self) -> NDArray[np.float64]:
        """Return the IoU of each class, see `intersection_over_union`."""
        return intersection_over_union(self.matrix)

    def miou(self) -> float:
        """Return the mean IoU over the classes that occur, 0 to 1; NaN without any pixel."""
        return mean_iou(self.matrix)
