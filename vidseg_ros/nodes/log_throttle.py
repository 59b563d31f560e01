# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Keeps what is said again and again out of the log."""

from collections.abc import Hashable
import time


class LogThrottle:
    """Lets each kind of message pass once in a while.

    rclpy's ``throttle_duration_sec`` knows only the line of code: there, the fast camera would
    silence what that line has to say about the others.
    """

    def __init__(self, period_s: float) -> None:
        """Let everything pass once.

        Args:
            period_s: Least time between two messages of a kind, seconds; inf: each kind once.
        """
        self._period_s = period_s
        self._passed_s: dict[tuple[Hashable, ...], float] = {}

    def passes(self, *kind: Hashable) -> bool:
        """Return whether a message of this kind is due, and count it as said if it is."""
        now_s = time.monotonic()
        if now_s - self._passed_s.get(kind, -self._period_s) < self._period_s:
            return False
        self._passed_s[kind] = now_s
        return True
