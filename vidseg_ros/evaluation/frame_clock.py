# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which neighbouring frames can be compared: not across a gap, nor across a jump of the clock."""

from collections import deque
from statistics import median
from typing import Final, final

LONGEST_STEP_NS: Final = 10_000_000_000
"""A longer time between two frames is a jump of the clock, ns."""

GAP_STEPS: Final = 4
"""A time between two frames of more than so many usual ones is a gap in the recording."""

_REMEMBERED: Final = (
    31  # steps: a camera that is slower from now on has no gaps after half of them
)
_LEAST: Final = 3  # steps: fewer say nothing about what is usual


@final
class FrameClock:
    """Watches the stamps of the frames of one source.

    Usual is the median of the last steps; of the first ones, what the source says of its rate.

    Attributes:
        duration_ns: Time that passed, without gaps and jumps, ns.
        gaps: Steps of more than `GAP_STEPS` usual ones.
        gap_ns: How long they are together, ns.
        jumps: Steps back, or of more than `LONGEST_STEP_NS`.
    """

    def __init__(self, fps: float | None = None) -> None:
        """Start without frames.

        Args:
            fps: Nominal rate, frames/s; None: not known.
        """
        self.duration_ns = self.gaps = self.gap_ns = self.jumps = 0
        known = [round(1e9 / fps)] * _LEAST if fps else []
        self._steps: deque[int] = deque(known, _REMEMBERED)
        self._stamp_ns: int | None = None

    def add(self, stamp_ns: int) -> bool:
        """Take the stamp of the next frame, ns.

        Returns:
            Whether the frame can be compared with the one before.
        """
        before, self._stamp_ns = self._stamp_ns, stamp_ns
        if before is None:
            return False
        step_ns = stamp_ns - before
        if not 0 <= step_ns <= LONGEST_STEP_NS:
            self.jumps += 1
            return False
        is_gap = len(self._steps) >= _LEAST and step_ns > GAP_STEPS * median(self._steps)
        if step_ns:
            self._steps.append(step_ns)
        if is_gap:
            self.gaps += 1
            self.gap_ns += step_ns
        else:
            self.duration_ns += step_ns
        return not is_gap

    def problems(self) -> list[str]:
        """Return what a reader of numbers about these frames should know."""
        problems = []
        if self.gaps:
            problems.append(
                f'gaps in the recording: {self.gaps}, {self.gap_ns / 1e9:.2f} s in all (more than '
                f'{GAP_STEPS} times the usual step): frames on both sides are not compared'
            )
        if self.jumps:
            seconds = LONGEST_STEP_NS / 1e9
            problems.append(
                f'the clock jumps back, or by more than {seconds:g} s, {self.jumps} times: '
                'frames on both sides of a jump are not compared'
            )
        return problems
