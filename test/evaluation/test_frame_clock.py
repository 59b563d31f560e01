# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Gaps and jumps among the stamps of frames."""

from itertools import accumulate

import pytest

from vidseg_ros.evaluation.frame_clock import FrameClock

MS = 1_000_000


def watch(steps_ms: list[int], fps: float | None = None) -> tuple[FrameClock, list[bool]]:
    """Take frames some ms apart; return whether each is compared with the one before."""
    clock = FrameClock(fps)
    return clock, [clock.add(ms * MS) for ms in accumulate(steps_ms, initial=0)][1:]


def test_a_gap_is_more_than_four_usual_steps() -> None:
    clock, compared = watch([100, 100, 100, 400, 100, 401, 100])
    assert compared == [True] * 5 + [False, True]
    assert (clock.gaps, clock.gap_ns, clock.duration_ns) == (1, 401 * MS, 900 * MS)
    (problem,) = clock.problems()
    assert problem.startswith('gaps in the recording: 1, 0.40 s in all (more than 4 times')


@pytest.mark.parametrize(('fps', 'gaps'), [(10.0, 1), (None, 0)])
def test_the_rate_of_the_source_says_what_is_usual_at_its_start(
    fps: float | None, gaps: int
) -> None:
    clock, _ = watch([2000, 100, 100], fps)
    assert clock.gaps == gaps


def test_a_camera_that_becomes_slower_has_no_gaps_for_long() -> None:
    _, compared = watch([100] * 40 + [1000] * 40, 10.0)
    assert compared[:40] == [True] * 40
    assert compared.index(True, 40) == 56, 'half of 31 steps are slow'
    assert all(compared[56:])


def test_frames_with_the_same_stamp_make_no_gaps_of_the_others() -> None:
    clock, compared = watch([0, 0, 0, 0, 0, 100, 0, 100, 0])
    assert all(compared)
    assert clock.problems() == []


def test_of_slow_footage_ten_seconds_are_a_jump() -> None:
    clock, compared = watch([5000] * 4 + [10_000, 10_001, -1])
    assert compared == [True] * 5 + [False, False]
    assert (clock.gaps, clock.jumps, clock.duration_ns) == (0, 2, 30_000 * MS)
    (problem,) = clock.problems()
    assert problem.startswith('the clock jumps back, or by more than 10 s, 2 times')
