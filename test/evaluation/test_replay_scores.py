# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A run's label maps are scored against true labels of whatever size fits."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.consistency import EVALUATION_SIZE
from vidseg_ros.core.errors import ModelError, SourceError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.motion import MotionTracker
from vidseg_ros.evaluation.consistency import ConsistencyMeter
from vidseg_ros.evaluation.replay import ReplayResults
from vidseg_ros.evaluation.sources import SourceFrame
from vidseg_ros.evaluation.true_labels import LabelDirectory

LABELS: Final = LabelSet(
    names=('red', 'green', 'blue'), colors=((255, 0, 0), (0, 255, 0), (0, 0, 255))
)
IMAGE: Final = np.zeros((48, 64, 3), np.uint8)
IDS: Final = np.random.default_rng(5).integers(0, 3, (12, 16), np.uint8)


def enlarged(scale: int) -> NDArray[np.uint8]:
    """Return `IDS` in squares of so many pixels; by 4 it is as large as `IMAGE`."""
    return IDS.repeat(scale, axis=0).repeat(scale, axis=1)


def frame(index: int) -> SourceFrame:
    return SourceFrame(
        index=index, name=f'{index:06d}', stamp_ns=index, frame_id='', decode=lambda _: IMAGE
    )


def true_labels(folder: Path, maps: dict[int, NDArray[np.uint8]]) -> LabelDirectory:
    for index, ids in maps.items():
        cv2.imwrite(str(folder / f'{index:06d}.png'), ids)
    return LabelDirectory(folder, LABELS)


def test_scores_by_hand(tmp_path: Path) -> None:
    wrong, void = enlarged(4), enlarged(4)
    wrong[:4, :4] = (wrong[:4, :4] + 1) % 3  # one square of 16 pixels has another true class
    void[:24] = 11  # ids without a class are not scored
    with ReplayResults(LABELS, truth=true_labels(tmp_path, {0: wrong, 1: void})) as results:
        for index in range(3):  # the third has no true labels
            results.add(frame(index), IMAGE, enlarged(4))
    scores = results.scores()
    predicted = np.concatenate([enlarged(4).ravel(), enlarged(4)[24:].ravel()])
    true = np.concatenate([wrong.ravel(), void[24:].ravel()])
    ious = [
        ((true == c) & (predicted == c)).sum() / ((true == c) | (predicted == c)).sum()
        for c in range(3)
    ]
    assert scores is not None
    assert scores.frames == 2
    assert [item.iou for item in scores.classes] == pytest.approx(ious)
    assert [item.pixels for item in scores.classes] == np.bincount(true).tolist()
    assert scores.miou == pytest.approx(sum(ious) / 3)
    assert scores.miou < 1


@pytest.mark.parametrize(('predicted', 'true'), [(1, 4), (4, 2), (2, 1)])
def test_labels_of_another_size_are_scored(tmp_path: Path, predicted: int, true: int) -> None:
    with ReplayResults(LABELS, truth=true_labels(tmp_path, {0: enlarged(true)})) as results:
        results.add(frame(0), IMAGE, enlarged(predicted))
    scores = results.scores()
    assert scores is not None
    assert scores.miou == 1
    assert sum(item.pixels for item in scores.classes) == IDS.size * true**2


def test_labels_of_other_footage_are_refused(tmp_path: Path) -> None:
    truth = true_labels(tmp_path, {0: enlarged(4)[:, :60]})
    with (
        ReplayResults(LABELS, truth=truth) as results,
        pytest.raises(SourceError, match='frame 000000 are 60x48, the frame is 64x48'),
    ):
        results.add(frame(0), IMAGE, enlarged(4))


def test_exact_labels_may_be_given_with_the_frame() -> None:
    with ReplayResults(LABELS) as results:
        results.add(frame(0), IMAGE, enlarged(4), truth=enlarged(4))
        results.skip('replaced', 3)
    scores = results.scores()
    assert scores is not None
    assert scores.miou == 1
    assert (results.segmented, results.drops) == (1, {'replaced': 3})


def test_a_model_with_more_classes_than_its_card_says_is_refused() -> None:
    message = 'frame 000000: predicted id 3 is out of range .* does not fit its card'
    with ReplayResults(LABELS) as results, pytest.raises(ModelError, match=message):
        results.add(frame(0), IMAGE, enlarged(4) + np.uint8(1), truth=enlarged(4))


def test_consistency_is_measured_between_frames_in_a_row(tmp_path: Path) -> None:
    """Class 0 everywhere for 9 frames; then class 1, whose first pair is torn by a lost frame."""
    maps = [np.full((12, 16), index > 9, np.uint8) for index in range(11)]
    truth = true_labels(tmp_path, {index: np.zeros((12, 16), np.uint8) for index in range(11)})
    with ReplayResults(LABELS, truth=truth, consistency=True) as results:
        for index in (*range(9), 10):
            if index == 10:
                results.skip('corrupt')
            results.add(frame(index), IMAGE, maps[index])
    found = results.consistency()
    assert found is not None
    assert (found.pairs, found.tc, found.flips_per_second) == (8, 1, 0)
    assert [item.tc for item in found.classes] == [1, None, None]
    assert [(w.window, w.self_consistency) for w in found.windows] == [(8, 1)]


def test_label_flips_have_the_unit_per_second() -> None:
    with ReplayResults(LABELS, consistency=True) as results:
        for index in range(3):
            at = SourceFrame(
                index=index,
                name=str(index),
                stamp_ns=index * 100_000_000,
                frame_id='',
                decode=lambda _: IMAGE,
            )
            results.add(at, IMAGE, np.full((12, 16), index % 2, np.uint8))
    found = results.consistency()
    assert found is not None
    assert found.flips_per_second == pytest.approx(10)
    assert found.tc == 0
    assert found.windows == ()


@pytest.mark.parametrize(
    ('steps', 'fps', 'pairs'),
    [
        ((0, 1, 2, 3, 53, 54, 55), None, 5),
        ((0, 50, 51, 52), 10.0, 2),  # an early gap shows beside the rate
        ((0, 50, 51, 52), None, 3),
    ],
)
def test_frames_on_both_sides_of_a_gap_are_not_compared(
    steps: tuple[int, ...], fps: float | None, pairs: int
) -> None:
    with ReplayResults(LABELS, consistency=True, fps=fps) as results:
        for index in steps:
            at = replace(frame(index), stamp_ns=index * 100_000_000)
            results.add(at, IMAGE, np.zeros((12, 16), np.uint8))
    found = results.consistency()
    assert found is not None
    assert found.pairs == pairs


def test_skipped_frames_are_no_gap() -> None:
    """Only the pair that they tear apart is missing."""
    with ReplayResults(LABELS, consistency=True, fps=10.0) as results:
        for index in range(12):
            at = replace(frame(index), stamp_ns=index * 100_000_000)
            if 4 <= index < 10:
                results.skip('corrupt', stamp_ns=at.stamp_ns)
            else:
                results.add(at, IMAGE, np.zeros((12, 16), np.uint8))
    found = results.consistency()
    assert found is not None
    assert found.pairs == 3 + 1


def test_consistency_is_left_out_unless_asked_for_or_without_a_pair() -> None:
    for asked, frames in ((False, 3), (True, 1)):
        with ReplayResults(LABELS, consistency=asked) as results:
            for index in range(frames):
                results.add(frame(index), IMAGE, IDS)
        assert results.consistency() is None


def test_clips_end_where_true_labels_change_their_size_or_time_goes_back() -> None:
    truth = np.zeros((12, 16), np.uint8)
    meter, tracker = ConsistencyMeter(len(LABELS)), MotionTracker(EVALUATION_SIZE)
    for stamp, size in ((0, 1), (1, 1), (2, 2), (3, 2), (1, 2), (2, 2)):
        meter.add(truth, tracker.add(IMAGE, stamp), truth.repeat(size, axis=0))
        meter.result(LABELS.names)  # asking changes nothing
    assert meter.video[0].clips == []  # no stretch has eight frames
    for stamp in range(3, 10):
        meter.add(truth, tracker.add(IMAGE, stamp), truth.repeat(2, axis=0))
    found = meter.result(LABELS.names)
    assert found is not None
    assert found.pairs == 4 + 7
    assert [window.window for window in found.windows] == [8]


def test_ids_that_are_no_class_are_the_models_fault() -> None:
    with ReplayResults(LABELS, consistency=True) as results:
        results.add(frame(0), IMAGE, np.full((12, 16), 7, np.uint8))
        with pytest.raises(ModelError, match='id 7 is out of range for 3 classes; the model does'):
            results.add(frame(1), IMAGE, np.full((12, 16), 7, np.uint8))
