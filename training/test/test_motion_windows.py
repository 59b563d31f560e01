# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import pytest
import torch

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.motion import dis_flow
from vidseg_training.data.clips import read_scenes, Scene, Window
from vidseg_training.data.motion_windows import first_guess, MotionWindows, to_sample
from vidseg_training.motion_config import MotionConfig


@pytest.fixture
def scenes(moving_clip: Path) -> list[Scene]:
    return read_scenes([str(moving_clip)], 72)[0]


@pytest.fixture
def config(moving_clip: Path) -> MotionConfig:
    return MotionConfig(clips=(str(moving_clip),), crop_size=(64, 64), spacing=2)


def test_a_window_depends_on_seed_and_number_alone(
    scenes: list[Scene], config: MotionConfig
) -> None:
    first, again = (MotionWindows(scenes, config, None) for _ in range(2))
    other = MotionWindows(scenes, replace(config, seed=1), None)
    for number in (5, 2):
        assert all(torch.equal(a, b) for a, b in zip(first[number], again[number], strict=True))
    assert not torch.equal(first[5].source, first[2].source)
    assert not torch.equal(first[5].source, other[5].source)


def test_windows_are_cropped_mirrored_and_lack_a_past(
    scenes: list[Scene], config: MotionConfig
) -> None:
    windows = MotionWindows(scenes, config, dis_flow)
    alone = 0
    shifts = set()
    for number in range(40):
        previous, source, guess, target = windows[number]
        assert source.shape == previous.shape == target.shape == (3, 64, 64)
        assert source.min() >= 0
        assert 0.5 < source.max() <= 1
        shifts.add(round(guess[0, 16:-16, 16:-16].median().item()))
        alone += torch.equal(previous, source)
    # 2 px a frame, one or two frames apart, either way by mirror or time.
    assert shifts == {-4, -2, 2, 4}
    assert 2 <= alone <= 20


def test_time_runs_either_way(config: MotionConfig) -> None:
    """Mirrors cannot be taken for it: each frame is even, and brighter than the one before."""
    frames = [np.full((72, 96, 3), 20 * number, np.uint8) for number in range(12)]
    windows = MotionWindows([Scene('brighter', frames)], config, None)
    forward = 0
    for number in range(40):
        previous, source, _, target = (plane.mean().item() for plane in windows[number])
        assert source != target
        forward += source < target
        if previous != source:  # it has a past, which is on the other side
            assert (previous < source) == (source < target)
    assert 10 <= forward <= 30


def test_a_flow_may_be_the_same_array_each_time(scenes: list[Scene], config: MotionConfig) -> None:
    buffer = np.zeros((64, 64, 2), np.float32)

    def flow(_first: NDArray[np.uint8], _second: NDArray[np.uint8]) -> NDArray[np.float32]:
        buffer[...] += 1
        return buffer

    windows = MotionWindows(scenes, config, flow)
    batch = [windows[number] for number in range(3)]
    assert [sample.guess.unique().tolist() for sample in batch] == [[1], [2], [3]]


def test_the_past_continues_the_motion(scenes: list[Scene], config: MotionConfig) -> None:
    windows = MotionWindows(scenes, config, dis_flow)
    for number in range(8):
        previous, source, guess, _ = windows[number]
        if not torch.equal(previous, source):
            shift = round(guess[0, 16:-16, 16:-16].median().item())
            moved = torch.roll(previous, -shift, 2)
            torch.testing.assert_close(moved[..., 8:-8], source[..., 8:-8], rtol=0, atol=0.01)


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full((*first.shape[:2], 2), float(first.mean()) - float(second.mean()), np.float32)


def test_the_guess_asks_for_the_motion_that_the_network_looks_for() -> None:
    window = Window(*(np.full((4, 5, 3), value, np.uint8) for value in (10, 30, 60)))
    assert (first_guess(window, 'reconstruction', _difference) == 60 - 30).all()
    assert (first_guess(window, 'prediction', _difference) == 30 - 10).all()
    assert (first_guess(window, 'prediction', None) == 0).all()


def test_prediction_lets_the_motion_of_the_step_before_go_on() -> None:
    frame = np.zeros((1, 5, 3), np.uint8)
    before = np.zeros((1, 5, 2), np.float32)
    before[0, :, 0] = 2, 0, 7, 0, -1

    def known(_first: NDArray[np.uint8], _second: NDArray[np.uint8]) -> NDArray[np.float32]:
        return before

    guess = first_guess(Window(frame, frame, frame), 'prediction', known)
    # Looked up at 0 + 2, 1, 2 + 7 (the border), 3 and 4 - 1.
    np.testing.assert_array_equal(guess[0, :, 0], [7, 0, -1, 0, 0])


def test_a_sample_has_its_channels_first() -> None:
    frame = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    sample = to_sample(Window(frame, frame, frame), np.ones((4, 5, 2), np.float32))
    assert sample.source[2, 1, 3].item() == pytest.approx(frame[1, 3, 2] / 255)
    assert sample.guess.shape == (2, 4, 5)


def test_a_crop_must_fit(scenes: list[Scene], config: MotionConfig) -> None:
    with pytest.raises(ParameterError, match=r'crop_size 64x80 is larger .* 96x72; give'):
        MotionWindows(scenes, replace(config, crop_size=(80, 64)), None)
