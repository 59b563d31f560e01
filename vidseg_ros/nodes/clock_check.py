# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Whether the stamps of a camera and the node's clock tell the same time.

Where they do not, masks still come, but tf2, message filters and every "how old is this" of the
consumers fail without a word.
"""

from typing import Final, NamedTuple

BEHIND_LIMIT_S: Final = 5.0
"""Images may arrive this much later than their stamp; more is another clock, not a slow one."""

AHEAD_LIMIT_S: Final = 0.5
"""Images may arrive this much before their stamp."""

_UNITS: Final = ((365.25 * 86400, 'years'), (86400, 'days'), (3600, 'h'), (60, 'min'), (1, 's'))


class ClockReading(NamedTuple):
    """The node's ROS clock at one moment."""

    now_ns: int
    """Its time (ns); 0: simulated time of which nothing was heard yet."""
    simulated: bool
    """Whether it follows ``/clock`` (parameter ``use_sim_time``)."""


def find_clock_problem(stamp_ns: int | None, offset_ns: int | None, clock: ClockReading) -> str:
    """Compare a camera's stamps with the node's clock.

    Args:
        stamp_ns: Stamp of its newest image (ns); None before the first.
        offset_ns: ROS clock when an image arrived minus its stamp (ns); None: not known yet.
        clock: The node's clock now.

    Returns:
        What is wrong and how to fix it; '' if all is well.
    """
    if stamp_ns is None:
        return ''  # a player may not have begun yet
    if stamp_ns == 0:
        return 'stamps are zero; the camera driver must set header.stamp'
    if clock.simulated and clock.now_ns == 0:
        return (
            'use_sim_time is true, but nothing comes on /clock; play the bag with --clock '
            '(ros2 bag play --clock), or set use_sim_time to false for live cameras'
        )
    if offset_ns is None or -AHEAD_LIMIT_S * 1e9 <= offset_ns <= BEHIND_LIMIT_S * 1e9:
        return ''
    distance = f'{_duration(abs(offset_ns))} {"behind" if offset_ns > 0 else "ahead of"}'
    if clock.simulated:
        return (
            f'stamps are {distance} /clock; use_sim_time is true, so images and /clock must come '
            'from the same player (ros2 bag play --clock); set it to false for live cameras'
        )
    return (
        f"stamps are {distance} the node's clock; for a played bag start the node with "
        'use_sim_time:=true and play with --clock (ros2 bag play --clock), for a live camera '
        'synchronise the clocks'
    )


def _duration(time_ns: int) -> str:
    """Return a time for people, such as ``1.5 h``."""
    seconds = time_ns / 1e9
    size, unit = next((item for item in _UNITS if seconds >= item[0]), _UNITS[-1])
    return f'{seconds / size:.1f} {unit}'
