# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
import pytest

pytest.importorskip('vidseg_training', reason='the training package is not installed')


def test_every_way_sees_every_frame_in_order(script: Callable[[str], ModuleType]) -> None:
    seen: dict[str, list[int]] = {'a': [], 'b': []}

    def make(name: str) -> Callable[[], Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]:
        def segment(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
            seen[name].append(int(frame.flat[0]))
            return frame

        return lambda: segment

    frames = [np.full((2, 2, 3), number, np.uint8) for number in range(7)]
    ways = {name: make(name) for name in seen}
    found = script('foil_latency').time_rounds(ways, frames, 3)
    assert seen == {'a': 3 * list(range(7)), 'b': 3 * list(range(7))}
    for times in found.values():
        assert 0 < times['mean_ms'] <= times['worst_ms']
