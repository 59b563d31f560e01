# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""When the pictures of a drive are shown in a video of it."""

from typing import Final, final

_LONGEST_STEP_NS: Final = 60_000_000_000


@final
class VideoClock:
    """Turns stamps into times of a video that always go forward.

    Each frame is shown until the stamp of the next, so the video lasts as long as the drive,
    whatever frames are missing. Where stamps do not go forward, or jump by more than a minute, the
    next frame follows at the nominal rate.
    """

    def __init__(self, ticks_per_s: int, period_ns: int) -> None:
        """Start before the first frame.

        Args:
            ticks_per_s: Resolution of the video's times, 1/s.
            period_ns: Nominal time between frames, ns.
        """
        self._ticks_per_s = ticks_per_s
        self._period_ns = period_ns
        self._stamp_ns: int | None = None
        self._shown_ns = 0
        self._last_tick = 0

    def tick(self, stamp_ns: int) -> int:
        """Return when the next frame is shown, in ticks since the first: always later."""
        if self._stamp_ns is not None:
            step_ns = stamp_ns - self._stamp_ns
            self._shown_ns += step_ns if 0 < step_ns <= _LONGEST_STEP_NS else self._period_ns
            shown = round(self._shown_ns * self._ticks_per_s / 1e9)
            self._last_tick = max(self._last_tick + 1, shown)
        self._stamp_ns = stamp_ns
        return self._last_tick
