# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""mIoU by hand, and against a second implementation."""

import math

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.metrics import Confusion, confusion_matrix, intersection_over_union, mean_iou

TRUTH = np.array([[0, 0, 1], [1, 2, IGNORE_ID]], np.uint8)
PREDICTED = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
MATRIX = [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def random_maps(seed: int, classes: int = 11) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return truth with void pixels, and a prediction that is right in about two of three."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (60, 80), np.uint8)
    guess = rng.integers(0, classes, truth.shape, np.uint8)
    predicted = np.where(rng.random(truth.shape) < 2 / 3, truth, guess)
    truth[rng.random(truth.shape) < 0.1] = IGNORE_ID
    return truth, predicted


def test_confusion_matrix_by_hand() -> None:
    matrix = confusion_matrix(TRUTH, PREDICTED, 4)
    assert matrix.tolist() == MATRIX
    assert matrix.dtype == np.int64


def test_iou_by_hand() -> None:
    # Class 0: 1 hit, 1 missed, 1 false; class 1: 2 hits, 1 false; class 2: missed; 3: absent.
    iou = intersection_over_union(np.array(MATRIX))
    np.testing.assert_allclose(iou, [1 / 3, 2 / 3, 0, np.nan])
    confusion = Confusion(4)
    confusion.add(TRUTH, PREDICTED)
    assert confusion.pixels == 5
    assert confusion.miou() == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)


def test_ignored_pixels_count_nowhere_whatever_is_predicted_there() -> None:
    truth = np.full((2, 2), IGNORE_ID, np.uint8)
    confusion = Confusion(3)
    confusion.add(truth, np.array([[0, 1], [2, 200]], np.uint8))
    assert confusion.pixels == 0
    assert np.isnan(confusion.iou()).all()
    assert math.isnan(confusion.miou())


def test_frames_add_up_to_one_matrix_and_not_to_a_mean_of_means() -> None:
    perfect, wrong = np.zeros((1, 1), np.uint8), np.ones((1, 9), np.uint8)
    confusion = Confusion(2)
    confusion.add(perfect, perfect)
    confusion.add(wrong, np.zeros_like(wrong))
    np.testing.assert_allclose(confusion.iou(), [1 / 10, 0])


def test_merging_is_counting_together() -> None:
    together, first, second = Confusion(11), Confusion(11), Confusion(11)
    for seed, part in enumerate((first, second, second)):
        truth, predicted = random_maps(seed)
        together.add(truth, predicted)
        part.add(truth, predicted)
    first.merge(second)
    np.testing.assert_array_equal(first.matrix, together.matrix)


def test_ids_out_of_range_are_refused() -> None:
    good, bad = np.array([[1]], np.uint8), np.array([[2]], np.uint8)
    with pytest.raises(ValueError, match='true id 2 is out of range for 2 classes'):
        confusion_matrix(bad, good, 2)
    with pytest.raises(ValueError, match='predicted id 2 is out of range for 2 classes'):
        confusion_matrix(good, bad, 2)


def test_an_ignore_id_predicted_for_a_true_class_is_out_of_range() -> None:
    with pytest.raises(ValueError, match='predicted id 255 is out of range'):
        confusion_matrix(np.zeros((1, 1), np.uint8), np.full((1, 1), IGNORE_ID, np.uint8), 3)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r'truth \(2, 3\) and prediction \(3, 2\) differ'):
        confusion_matrix(TRUTH, PREDICTED.reshape(3, 2), 4)


def test_torchmetrics_agrees() -> None:
    torch = pytest.importorskip('torch')
    functional = pytest.importorskip('torchmetrics.functional.classification')
    ours, theirs = Confusion(11), torch.zeros((11, 11), dtype=torch.int64)
    for seed in range(5):
        truth, predicted = random_maps(seed)
        ours.add(truth, predicted)
        theirs += functional.multiclass_confusion_matrix(
            torch.from_numpy(predicted.astype(np.int64)),
            torch.from_numpy(truth.astype(np.int64)),
            num_classes=11,
            ignore_index=IGNORE_ID,
        )
    np.testing.assert_array_equal(ours.matrix, theirs.numpy())
    matrix = theirs.double()
    iou = matrix.diag() / (matrix.sum(0) + matrix.sum(1) - matrix.diag())
    np.testing.assert_allclose(ours.iou(), iou.numpy(), atol=1e-6)
    assert ours.miou() == pytest.approx(float(iou.mean()), abs=1e-6)


def test_torchmetrics_agrees_on_iou() -> None:
    torch = pytest.importorskip('torch')
    functional = pytest.importorskip('torchmetrics.functional')
    truth, predicted = random_maps(7)
    ours = Confusion(11)
    ours.add(truth, predicted)
    theirs = functional.jaccard_index(
        torch.from_numpy(predicted.astype(np.int64)),
        torch.from_numpy(truth.astype(np.int64)),
        task='multiclass',
        num_classes=11,
        ignore_index=IGNORE_ID,
    )
    assert ours.miou() == pytest.approx(float(theirs), abs=1e-6)


def test_mean_iou_and_accuracy_by_hand() -> None:
    confusion = Confusion(3)
    assert math.isnan(confusion.accuracy())
    assert math.isnan(mean_iou(confusion.matrix))
    confusion.add(np.array([0, 0, 1, 1], np.uint8), np.array([0, 1, 1, 1], np.uint8))
    assert confusion.accuracy() == 3 / 4
    assert mean_iou(confusion.matrix) == confusion.miou() == pytest.approx((1 / 2 + 2 / 3) / 2)
