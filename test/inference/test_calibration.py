# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import onnx
import pytest

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference import calibration
from vidseg_ros.inference.calibration import (
    activation_ranges,
    best_range,
    channel_maxima,
    float_activations,
)

NAMES = ['network/image', 'network/logits', 'network/positive', 'network/same', 'network/spread']


def frame(*color: int) -> np.ndarray:
    return np.full((12, 16, 3), color, np.uint8)


def test_activations_are_those_of_the_network(layered_model: Path) -> None:
    found = float_activations(onnx.load(layered_model))
    assert sorted(value.name for value in found) == NAMES


@pytest.mark.parametrize(('most', 'passes'), [(1 << 30, 1), (2 * 4 * 3 * 12 * 16, 3)])
def test_maxima_of_channels_over_all_frames(
    layered_model: Path, most: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, '_BYTES', most)
    heard: list[float] = []
    frames = [frame(200, 10, 0), frame(100, 50, 80)]
    maxima = channel_maxima(onnx.load(layered_model), frames, heard.append)
    assert sorted(maxima) == NAMES
    assert maxima['network/image'] == pytest.approx([20, 5, 8])
    assert maxima['network/spread'] == pytest.approx([20, 200, 0.2])
    assert maxima['network/logits'] == pytest.approx([20, 5, 8])
    assert heard[-1] == 1
    assert len(heard) == 2 * passes


def test_ranges_of_activations(layered_model: Path) -> None:
    model = onnx.load(layered_model)
    ranges = activation_ranges(model, [frame(200, 0, 0)], lambda _: None, symmetric=False)
    assert ranges['network/image'] == pytest.approx((0, 20))
    both = activation_ranges(model, [frame(200, 0, 0)], lambda _: None, symmetric=True)
    assert both['network/image'] == pytest.approx((-20, 20))


def test_values_on_the_steps_keep_the_whole_range() -> None:
    steps = np.arange(256, dtype=np.float32)
    assert best_range(steps, (0, 255), symmetric=False) == (0, 255)
    assert best_range(steps - 127, (-127, 128), symmetric=True)[1] == pytest.approx(128, rel=0.03)
    assert best_range(steps[:128], (0, 127), symmetric=True) == (-127, 127)


def test_one_outlier_is_cut_off() -> None:
    values = np.append(np.linspace(-1, 1, 100_000, dtype=np.float32), np.float32(20))
    low, high = best_range(values, (-1, 20), symmetric=True)
    assert low == -high
    # Steps of 20/127 cost 0.157^2 / 12 = 0.0021 each; cutting at 1 costs 19^2 / 100000 = 0.0036.
    assert 1 < high < 20
    assert best_range(values[:-1], (-1, 1), symmetric=True) == (-1, 1)


def test_nothing_but_zero_has_no_range() -> None:
    assert best_range(np.zeros(9, np.float32), (0.0, 0.0), symmetric=True) == (0, 0)


def test_frames_that_do_not_fit(layered_model: Path) -> None:
    grey = np.zeros((12, 16, 1), np.uint8)
    with pytest.raises(EngineError, match='ONNX Runtime cannot run the network on a frame of 12x'):
        channel_maxima(onnx.load(layered_model), [grey], lambda _: None)
