# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Scores come from exact counts: by hand, merged in any order, and through JSON."""

from itertools import permutations
import json

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.motion import PairMotion
from vidseg_ros.evaluation.tally import Metrics, ModelOutput, ModelTally, motion_tracker, SIZES


def still(size: tuple[int, int], elapsed_ns: int) -> PairMotion:
    return PairMotion(np.zeros((*size, 2), np.float32), np.ones(size, np.bool_), elapsed_ns)


def halves(left: int, right: int) -> NDArray[np.uint8]:
    return np.repeat(np.array([[left, right]], np.uint8), 4, axis=1).repeat(4, axis=0)


def output(labels: NDArray[np.uint8], time_ms: float = 1, sure: int = 255) -> ModelOutput:
    return ModelOutput(labels, np.full(labels.shape, sure, np.uint8), round(time_ms * 1e6))


@pytest.mark.parametrize('metrics', ['standard', 'fast'])
def test_scores_by_hand(metrics: Metrics) -> None:
    tally = ModelTally(3, metrics)
    motion = still(SIZES[metrics], 100_000_000)
    first = tally.add(output(halves(0, 1), 2, 255), None, halves(0, 1))
    second = tally.add(output(halves(0, 2), 4, 51), motion)
    assert (first.tc, first.flips, first.miou, first.confidence) == (None, None, 1, 1)
    assert first.shares == (0.5, 0.5, 0)
    assert (second.tc, second.flips, second.miou) == (pytest.approx(1 / 3), 0.5, None)
    assert second.confidence == pytest.approx(0.2)
    assert second.numbers(metrics) == {
        'inference_ms': 4,
        {'standard': 'tc', 'fast': 'tc_fast'}[metrics]: second.tc,
        {'standard': 'flips', 'fast': 'flips_fast'}[metrics]: 0.5,
        'confidence': second.confidence,
        'miou': None,
    }
    scores = tally.scores()
    here, there = ('', '_fast') if metrics == 'standard' else ('_fast', '')
    assert scores[f'tc{here}'] == pytest.approx(1 / 3)
    assert scores[f'tc_per_class{here}'] == [1, 0, 0]
    assert scores[f'flips_per_s{here}'] == 5, 'half of the pixels in a tenth of a second'
    assert scores[f'tc_legacy{here}'] == pytest.approx(1 / 3)
    assert [scores[f'{key}{there}'] for key in ('tc', 'tc_legacy', 'flips_per_s')] == [None] * 3
    assert (scores['miou'], scores['accuracy'], scores['iou']) == (1, 1, [1, 1, None])
    assert scores['confusion'] == [[16, 0, 0], [0, 16, 0], [0, 0, 0]]
    assert scores['class_share'] == [0.5, 0.25, 0.25]
    assert scores['confidence_mean'] == pytest.approx(0.6)
    assert scores['inference_ms'] == {'p50': 2, 'p95': 4, 'p99': 4, 'max': 4, 'mean': 3}
    assert (scores['vc8'], scores['vc16_self']) == (None, None)


def test_what_is_not_known_is_none() -> None:
    scores = ModelTally(2).scores()
    assert scores.pop('class_share') == [None, None]
    for name in (
        'iou',
        'tc_per_class',
        'flips_per_s_per_class',
        'vc8_per_class',
        'vc8_self_per_class',
        'vc16_per_class',
        'vc16_self_per_class',
    ):
        assert scores.pop(name) == [None, None]
    assert set(scores.pop('inference_ms').values()) == {None}
    assert set(scores.values()) == {None}


def test_vc_needs_eight_labelled_frames_in_a_row() -> None:
    tally = ModelTally(2)
    for number in range(8):
        motion = still(SIZES['standard'], 1) if number else None
        tally.add(output(halves(0, 0)), motion, halves(0, 1))
    tally.cut()
    scores = tally.scores()
    assert (scores['vc8'], scores['vc8_self'], scores['vc16']) == (0.5, 1, None)
    assert scores['vc8_per_class'] == [1, 0]
    assert scores['vc8_self_per_class'] == [1, 1]


def noise(seed: int) -> ModelTally:
    """Return the tally of a clip with labels, motion and odd times."""
    random = np.random.default_rng(seed)
    tally = ModelTally(4)
    for number in range(9):
        labels = random.integers(0, 4, (6, 8), np.uint8)
        motion = still(SIZES['standard'], 33_333_333 + seed) if number else None
        truth = halves(0, 1) if seed % 2 else None
        tally.add(output(labels, random.random() * 50, int(random.integers(256))), motion, truth)
    tally.cut()
    return tally


def test_the_order_of_merging_does_not_matter_not_even_in_the_last_bit() -> None:
    found = []
    for order in permutations(range(4)):
        whole = ModelTally(4)
        for seed in order:
            whole.merge(noise(seed))
        found.append(json.dumps([whole.scores(), whole.to_dict() | {'clips': None}]))
    assert len(set(found)) == 1
    assert json.loads(found[0])[0]['vc8'] is not None


def test_through_json_and_back() -> None:
    tally = noise(1)
    again = ModelTally.from_dict(json.loads(json.dumps(tally.to_dict())))
    assert again.to_dict() == tally.to_dict()
    assert again.scores() == tally.scores()


def test_ids_that_are_no_class_are_refused() -> None:
    with pytest.raises(ValueError, match='predicted id 2 is out of range for 2 classes'):
        ModelTally(2).add(output(halves(0, 2)), None)


def test_without_confidence() -> None:
    tally = ModelTally(2)
    scores = tally.add(ModelOutput(halves(0, 1), None, 1), None)
    assert scores.confidence is None
    assert tally.scores()['confidence_mean'] is None


def test_both_motions_are_measured_at_their_size() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    for metrics, size in SIZES.items():
        tracker = motion_tracker(metrics)
        assert tracker.add(picture, 0) is None
        motion = tracker.add(picture, 1)
        assert motion is not None
        assert motion.forward.shape == (*size, 2)
        assert np.abs(motion.forward).max() < 0.5
