# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Times of a video follow the stamps and always go forward."""

import pytest

from vidseg_ros.evaluation.video_clock import VideoClock

S = 1_000_000_000


@pytest.mark.parametrize(
    ('stamps', 'ticks'),
    [
        ([5 * S, 5 * S + 40_000_000, 6 * S], [0, 40, 1000]),
        ([5 * S, 4 * S, 4 * S + 10_000_000], [0, 100, 110]),  # a clock that was set back
        ([0, 60 * S, 121 * S], [0, 60_000, 60_100]),  # a jump of more than a minute
        ([0, 100, 200], [0, 1, 2]),  # closer than a tick
    ],
)
def test_ticks(stamps: list[int], ticks: list[int]) -> None:
    clock = VideoClock(1000, 100_000_000)
    assert [clock.tick(stamp) for stamp in stamps] == ticks
