# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from itertools import permutations
import pickle

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.consistency import EVALUATION_SIZE, TemporalConsistency, VideoConsistency
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.motion import MotionTracker
from vidseg_ros.core.street import StreetClip

SECOND = 10**9


def _still(height: int, width: int) -> NDArray[np.float32]:
    return np.zeros((height, width, 2), np.float32)


def _no_motion(first: NDArray[np.uint8], _second: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _still(*first.shape[:2])


def test_tc_and_flips_of_two_frames_by_hand() -> None:
    """2x4 pixels, half a second apart: one of four pixels of class 0 turns into class 1."""
    earlier = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
    later = np.array([[0, 0, 1, 1], [1, 0, 1, 1]], np.uint8)
    steady = TemporalConsistency(3)
    pair = steady.add_pair(earlier, later, _still(2, 4), _still(2, 4), SECOND // 2)
    assert pair == (7 / 8, 1.0, pytest.approx((3 / 4 + 4 / 5) / 2))
    np.testing.assert_allclose(steady.class_tc(), [3 / 4, 4 / 5, np.nan])
    assert steady.tc() == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert steady.legacy_tc() == pytest.approx((3 / 4 + 4 / 5) / 3)  # the absent class counts
    assert steady.flips() == pytest.approx(1 / (8 * 0.5))
    np.testing.assert_allclose(steady.class_flips(), [1 / (4 * 0.5), 0, np.nan])


def test_labels_that_move_with_the_scene_are_steady() -> None:
    earlier = np.tile(np.array([0, 0, 1, 1, 2, 2], np.uint8), (3, 1))
    later = np.roll(earlier, 1, axis=1)
    later[:, 0] = 2  # comes into the picture
    forward, backward = _still(3, 6), _still(3, 6)
    forward[..., 0], backward[..., 0] = 1, -1
    moved = TemporalConsistency(3)
    pair = moved.add_pair(earlier, later, forward, backward, SECOND)
    assert pair.agreement == 1
    assert pair.visible == pytest.approx(5 / 6)  # the last column leaves the picture
    assert (moved.tc(), moved.flips()) == (1, 0)
    unmoved = TemporalConsistency(3)
    unmoved.add_pair(earlier, later, _still(3, 6), _still(3, 6), SECOND)
    assert unmoved.tc() < 0.4


def test_the_legacy_tc_invents_classes_between_two_others() -> None:
    earlier = np.tile(np.array([0, 0, 4, 4], np.uint8), (2, 1))
    half = _still(2, 4)
    half[..., 0] = 0.5
    score = TemporalConsistency(5)
    score.add_pair(earlier, earlier, half, -half, SECOND)
    assert score.legacy.matrix[0, 2] == 2  # (0 + 4) / 2
    assert score.carried.matrix[:, 1:4].sum() == 0


def test_hidden_pixels_do_not_count() -> None:
    earlier, later = np.zeros((2, 4), np.uint8), np.ones((2, 4), np.uint8)
    later[:, :2] = 0
    forward = _still(2, 4)
    forward[:, 2:, 0] = -2  # leads to where nothing leads back from
    score = TemporalConsistency(2)
    pair = score.add_pair(earlier, later, forward, _still(2, 4), SECOND)
    assert pair == (1.0, 0.5, 1.0)
    assert score.flips() == 0


def test_a_clip_starts_anew_after_a_cut_and_where_time_stands_still() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    score = TemporalConsistency(2, _no_motion)
    assert np.isnan(score.tc())
    assert np.isnan(score.legacy_tc())
    assert np.isnan(score.flips())
    assert score.add(image, np.zeros((8, 8), np.uint8), 0) is None
    assert score.add(image, np.ones((8, 8), np.uint8), 0) is None
    score.cut()
    assert score.add(image, np.zeros((8, 8), np.uint8), SECOND) is None
    pair = score.add(image, np.zeros((8, 8), np.uint8), 2 * SECOND)
    assert pair == (1.0, 1.0, 1.0)
    assert score.carried.pixels == EVALUATION_SIZE[0] * EVALUATION_SIZE[1]


def test_ids_out_of_range_are_refused() -> None:
    labels = np.full((2, 2), 5, np.uint8)
    with pytest.raises(ValueError, match='id 5 is out of range for 2 classes'):
        TemporalConsistency(2).add_pair(labels, labels, _still(2, 2), _still(2, 2), SECOND)


def test_two_halves_make_a_whole() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 3, (5, 6)).astype(np.uint8) for _ in range(4)]
    whole, first, second = (TemporalConsistency(3) for _ in range(3))
    for part, (a, b) in ((first, maps[:2]), (second, maps[2:])):
        for score in (whole, part):
            score.add_pair(a, b, _still(5, 6), _still(5, 6), SECOND)
    first.merge(second)
    assert first.tc() == whole.tc()
    assert first.legacy_tc() == whole.legacy_tc()
    assert first.flips() == whole.flips()


def test_true_labels_of_a_drive_are_steady_and_noise_is_not() -> None:
    clip = StreetClip(seed=5)
    rng = np.random.default_rng(0)
    steady, flickering = TemporalConsistency(10), TemporalConsistency(10)
    for number in range(20, 24):
        frame = clip.frame(number)
        noise = rng.integers(0, 10, frame.labels.shape).astype(np.uint8)
        steady.add(frame.image, frame.labels, number * SECOND // 15)
        flickering.add(frame.image, noise, number * SECOND // 15)
    assert steady.tc() > 0.8
    assert steady.legacy_tc() > 0.7
    assert steady.flips() < 1
    assert flickering.legacy_tc() < 0.15
    assert flickering.tc() == pytest.approx(1 / 19, abs=0.01)  # 1 / 10 of either's pixels agree
    assert flickering.flips() == pytest.approx(0.9 * 15, rel=0.02)


def _clip(frames: list[tuple[list[int], list[int]]], window: int) -> VideoConsistency:
    score = VideoConsistency(window)
    for truth, predicted in frames:
        score.add(np.array([truth], np.uint8), np.array([predicted], np.uint8))
    score.end_clip()
    return score


def test_vc_of_three_frames_by_hand() -> None:
    """Windows of 2. Pixels: right; steadily wrong; flips; truth changes; void."""
    frames = [
        ([1, 1, 1, 1, IGNORE_ID], [1, 2, 1, 1, 0]),
        ([1, 1, 1, 2, IGNORE_ID], [1, 2, 2, 2, 0]),
        ([1, 1, 1, 2, IGNORE_ID], [1, 2, 1, 2, 0]),
    ]
    score = _clip(frames, 2)
    # first window: 3 constant pixels, 2 steady, 1 right; second: 4, 3, 2 (the 4th came to rest)
    assert score.self_consistency() == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert score.correct_consistency() == pytest.approx((1 / 3 + 2 / 4) / 2)
    # class 1: three pixels in both windows, one of them right; class 2: the 4th in the second
    expected = [float('nan'), 2 / 6, 1.0]
    np.testing.assert_allclose(score.class_correct(3), expected)
    # class 1: two of three are steady in both windows
    np.testing.assert_allclose(score.class_self(3), [float('nan'), 4 / 6, 1.0])
    whole = _clip(frames, 3)
    score.merge(_clip(frames, 2))
    np.testing.assert_allclose(score.class_correct(3), expected)
    assert whole.self_consistency() == pytest.approx(2 / 3)
    assert whole.correct_consistency() == pytest.approx(1 / 3)


def test_vc_of_a_long_clip_keeps_no_frames() -> None:
    """500 windows: two of three pixels steady, one of three right, in all of them."""
    truth, predicted = np.array([[1, 1, 1]], np.uint8), np.array([[1, 2, 0]], np.uint8)
    score = VideoConsistency(2)
    sizes = []
    for number in range(501):
        predicted[0, 2] = number % 2
        score.add(truth, predicted.copy())
        sizes.append(len(pickle.dumps(score)))
    assert sizes[-1] <= sizes[10] + 16
    score.end_clip()
    assert score.clips == [(2 / 3, 1 / 3)]


def test_vc_is_one_for_perfect_and_low_for_flickering_predictions() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, (20, 20)).astype(np.uint8)
    for window in (8, 16):
        perfect, flickering = VideoConsistency(window), VideoConsistency(window)
        for _ in range(20):
            perfect.add(truth, truth)
            flickering.add(truth, rng.integers(0, 5, truth.shape).astype(np.uint8))
        for score in (perfect, flickering):
            score.end_clip()
        assert perfect.self_consistency() == perfect.correct_consistency() == 1
        assert (perfect.class_correct(5) == 1).all()
        assert flickering.self_consistency() < 0.001
        assert flickering.correct_consistency() < 0.001


def test_vc_is_the_mean_over_clips_and_short_clips_do_not_count() -> None:
    score = _clip([([1], [1]), ([1], [1])], 2)
    score.merge(_clip([([1], [2]), ([1], [2]), ([1], [2])], 2))
    score.add(np.array([[1]], np.uint8), np.array([[2]], np.uint8))
    score.end_clip()
    assert len(score.clips) == 2
    assert score.correct_consistency() == 0.5
    assert np.isnan(VideoConsistency(16).correct_consistency())


def test_vc_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match='at least 2 frames, not 1'):
        VideoConsistency(1)
    score = VideoConsistency(2)
    with pytest.raises(ValueError, match='differ'):
        score.add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    score.add(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match='call end_clip'):
        score.add(np.zeros((3, 2), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(ValueError, match='VC_2 cannot take in VC_3'):
        score.merge(VideoConsistency(3))


def test_motion_may_come_from_outside_once_for_several_models() -> None:
    frames = list(StreetClip(seed=4, size=(90, 160)).frames(4))
    alone = TemporalConsistency(10)
    shared, other = TemporalConsistency(10), TemporalConsistency(10)
    tracker = MotionTracker(EVALUATION_SIZE)
    for number, frame in enumerate(frames):
        expected = alone.add(frame.image, frame.labels, number)
        motion = tracker.add(frame.image, number)
        small = resize_labels(frame.labels, EVALUATION_SIZE)
        assert shared.add_moved(small, motion) == expected
        other.add_moved(np.zeros_like(small), motion)
    assert shared.tc() == alone.tc()
    assert shared.flips() == alone.flips()
    assert (other.tc(), other.flips()) == (1, 0)


def test_flips_do_not_depend_on_the_order_of_merging() -> None:
    parts = []
    for seed in range(3):
        earlier, later = np.random.default_rng(seed).integers(0, 2, (2, 9, 9), np.uint8)
        part = TemporalConsistency(2)
        part.add_pair(earlier, later, _still(9, 9), _still(9, 9), 33_333_331 + seed)
        parts.append(part)
    found = set()
    for order in permutations(parts):
        whole = TemporalConsistency(2)
        for part in order:
            whole.merge(part)
        found.add((whole.flips(), *whole.class_flips().tolist()))
    assert len(found) == 1
