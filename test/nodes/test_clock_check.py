# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import pytest

from vidseg_ros.nodes.clock_check import (
    AHEAD_LIMIT_S,
    BEHIND_LIMIT_S,
    ClockReading,
    find_clock_problem,
)

SECOND = 10**9
YEAR_S = 365.25 * 86400
SYSTEM = ClockReading(1_800_000_000 * SECOND, simulated=False)
SIMULATED = ClockReading(1000 * SECOND, simulated=True)


@pytest.mark.parametrize('clock', [SYSTEM, SIMULATED])
@pytest.mark.parametrize('offset_s', [None, -AHEAD_LIMIT_S, 0, BEHIND_LIMIT_S])
def test_one_time(offset_s: float | None, clock: ClockReading) -> None:
    offset_ns = None if offset_s is None else int(offset_s * SECOND)
    assert find_clock_problem(1, offset_ns, clock) == ''


def test_nothing_received_yet() -> None:
    assert find_clock_problem(None, None, SYSTEM) == ''
    # A replay begins when the node is active: until then its clock stands.
    assert find_clock_problem(None, None, ClockReading(0, simulated=True)) == ''


@pytest.mark.parametrize(
    ('clock', 'offset_s', 'texts'),
    [
        (SYSTEM, 2 * YEAR_S, ('2.0 years behind', 'use_sim_time:=true', 'play --clock')),
        (SYSTEM, 6, ('6.0 s behind', 'synchronise the clocks')),
        (SYSTEM, -0.6, ('0.6 s ahead of',)),
        (SIMULATED, -7200, ('2.0 h ahead of /clock', 'set it to false for live cameras')),
        (SIMULATED, 3 * 86400, ('3.0 days behind /clock', 'ros2 bag play --clock')),
    ],
)
def test_another_time(clock: ClockReading, offset_s: float, texts: tuple[str, ...]) -> None:
    problem = find_clock_problem(1, int(offset_s * SECOND), clock)
    assert all(text in problem for text in texts), problem


def test_zero_stamps() -> None:
    assert find_clock_problem(0, SYSTEM.now_ns, SYSTEM) == (
        'stamps are zero; the camera driver must set header.stamp'
    )


def test_simulated_time_that_nobody_publishes() -> None:
    problem = find_clock_problem(5 * SECOND, -5 * SECOND, ClockReading(0, simulated=True))
    assert 'nothing comes on /clock' in problem
    assert '--clock' in problem
