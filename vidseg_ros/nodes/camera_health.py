# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What happened to the frames of one camera, counted and timed."""

from collections import Counter, deque
from collections.abc import Sequence
from statistics import median_low
import threading
import time
from typing import Final, NamedTuple

from vidseg_ros.core.timing import StageTimings, summarize
from vidseg_ros.nodes.clock_check import ClockReading, find_clock_problem
from vidseg_ros.nodes.diagnostics import (
    CAMERA_RULES,
    CameraFacts,
    EXTRAS_FAILED,
    InputFacts,
    judge,
    Limits,
    STAMP_BACKWARDS,
    Verdict,
    WINDOW_S,
)
from vidseg_ros.pipeline import REPLACED

_NS_PER_S: Final = 1e9
_NS_PER_MS: Final = 1e6


class _Arrival(NamedTuple):
    at_ns: int
    """Monotonic clock (ns)."""
    offset_ns: int | None
    """ROS clock minus stamp (ns); None: one of them is not known."""


class _Published(NamedTuple):
    at_ns: int
    """Monotonic clock (ns)."""
    timings: StageTimings
    stamp_ns: int
    """Stamp of the frame (ns)."""
    age_ns: int
    """ROS clock at publication minus the stamp (ns)."""


class CameraHealth:
    """Counts what happened to the frames of one camera. Safe to use from several threads."""

    def __init__(self, topic: str) -> None:
        """Start counting now.

        Args:
            topic: Topic of the camera, for people.
        """
        self.topic = topic
        self._lock = threading.Lock()
        self._received = 0
        self._dropped: Counter[str] = Counter()
        self._stamp_backwards = 0
        self._published = 0
        self._last_received_ns = self._last_accepted_ns = time.monotonic_ns()
        self._last_stamp_ns: int | None = None
        self._unanswered_ns: int | None = None
        # What happened in the last WINDOW_S, oldest first; times of the monotonic clock (ns).
        self._arrivals: deque[_Arrival] = deque()
        self._troubles: deque[tuple[int, str]] = deque()
        self._window: deque[_Published] = deque()
        self._newest: _Published | None = None
        self._first_published_ns: int | None = None

    def received(self, stamp_ns: int | None, clock_ns: int) -> bool:
        """Count a message that arrived, good or bad.

        Args:
            stamp_ns: Stamp of its header (ns); None if it cannot be read.
            clock_ns: ROS clock when it arrived (ns); 0: simulated time of which nothing was
                heard yet.

        Returns:
            Whether the stamp is older than the one before.
        """
        with self._lock:
            self._received += 1
            self._last_received_ns = time.monotonic_ns()
            offset_ns = None if stamp_ns is None or clock_ns == 0 else clock_ns - stamp_ns
            self._arrivals.append(_Arrival(self._last_received_ns, offset_ns))
            if stamp_ns is None:
                return False
            backwards = self._last_stamp_ns is not None and stamp_ns < self._last_stamp_ns
            self._last_stamp_ns = stamp_ns
            if backwards:
                self._stamp_backwards += 1
                self._troubles.append((self._last_received_ns, STAMP_BACKWARDS))
            return backwards

    def dropped(self, reason: str) -> None:
        """Count a frame that could not be decoded; reasons as in `ImageError`."""
        with self._lock:
            self._dropped[reason] += 1
            self._troubles.append((time.monotonic_ns(), reason))

    def accepted(self) -> None:
        """Note that a decoded frame is about to be given to the engine."""
        with self._lock:
            self._last_accepted_ns = time.monotonic_ns()
            if self._unanswered_ns is None:
                self._unanswered_ns = self._last_accepted_ns

    def published(self, timings: StageTimings, stamp_ns: int, clock_ns: int) -> None:
        """Count a published label map.

        Args:
            timings: Time in each stage (ns).
            stamp_ns: Stamp of the frame (ns).
            clock_ns: ROS clock at publication (ns).
        """
        with self._lock:
            self._published += 1
            self._unanswered_ns = None
            age_ns = clock_ns - stamp_ns
            self._newest = _Published(time.monotonic_ns(), timings, stamp_ns, age_ns)
            self._window.append(self._newest)
            if self._first_published_ns is None:
                self._first_published_ns = self._newest.at_ns

    def extras_failed(self) -> None:
        """Count a frame whose confidence or overlay failed; its mask is out already."""
        with self._lock:
            self._troubles.append((time.monotonic_ns(), EXTRAS_FAILED))

    def assess(
        self, *, replaced: int, inputs: InputFacts, clock: ClockReading, limits: Limits
    ) -> tuple[Verdict, dict[str, str]]:
        """Judge by `CAMERA_RULES`.

        Args:
            replaced: Frames since the start that a newer one replaced before their turn.
            inputs: How the topics look.
            clock: The node's clock now.
            limits: The integrator's limits.

        Returns:
            The verdict, and the values for the status.
        """
        with self._lock:
            now_ns = time.monotonic_ns()
            self._forget(now_ns - int(WINDOW_S * _NS_PER_S))
            facts = self._facts(now_ns, replaced, inputs, clock, limits)
            return judge(CAMERA_RULES, facts), self._values(now_ns, replaced, clock)

    def _forget(self, before_ns: int) -> None:
        while self._window and self._window[0].at_ns < before_ns:
            self._window.popleft()
        while self._troubles and self._troubles[0][0] < before_ns:
            self._troubles.popleft()
        while self._arrivals and self._arrivals[0].at_ns < before_ns:
            self._arrivals.popleft()

    def _facts(
        self, now_ns: int, replaced: int, inputs: InputFacts, clock: ClockReading, limits: Limits
    ) -> CameraFacts:
        waiting_ns = 0 if self._unanswered_ns is None else now_ns - self._unanswered_ns
        bad = Counter(reason for _, reason in self._troubles)
        backwards, extras_failed = bad.pop(STAMP_BACKWARDS, 0), bad.pop(EXTRAS_FAILED, 0)
        first_ns = now_ns if self._first_published_ns is None else self._first_published_ns
        ages_ns = [item.age_ns for item in self._window]
        return CameraFacts(
            topic=self.topic,
            inputs=inputs,
            limits=limits,
            silent_s=(now_ns - self._last_received_ns) / _NS_PER_S,
            blind_s=(now_ns - self._last_accepted_ns) / _NS_PER_S,
            waiting_s=waiting_ns / _NS_PER_S,
            bad_share=sum(bad.values()) / max(len(self._arrivals), 1),
            bad=', '.join(f'{reason} {n}' for reason, n in sorted(bad.items())) or 'none',
            backwards=backwards,
            clock_problem=find_clock_problem(self._last_stamp_ns, self._offset_ns(), clock),
            age_s=(summarize(ages_ns).p95_ms or 0.0) / 1e3,
            replaced_share=replaced / max(self._received, 1),
            serving_s=(now_ns - first_ns) / _NS_PER_S,
            extras_failed=extras_failed,
        )

    def _offset_ns(self) -> int | None:
        """Return the usual offset between clock and stamps (ns); None if no image tells.

        The median: when a played bag starts again, a few images meet the clock of the other
        round.
        """
        known = [item.offset_ns for item in self._arrivals if item.offset_ns is not None]
        return median_low(known) if known else None

    def _values(self, now_ns: int, replaced: int, clock: ClockReading) -> dict[str, str]:
        values = {
            'rate_hz': f'{_rate_hz([item.at_ns for item in self._window], now_ns):.1f}',
            'received_hz': f'{_rate_hz([item.at_ns for item in self._arrivals], now_ns):.1f}',
            'received': str(self._received),
            'segmented': str(self._published),
            f'dropped.{REPLACED}': str(replaced),
        }
        values |= {f'dropped.{reason}': str(n) for reason, n in sorted(self._dropped.items())}
        values[STAMP_BACKWARDS] = str(self._stamp_backwards)
        if (offset_ns := self._offset_ns()) is not None:
            values['clock_offset_ms'] = f'{offset_ns / _NS_PER_MS:.2f}'
        if self._newest is not None:
            age_ns = clock.now_ns - self._newest.stamp_ns
            values['newest_age_ms'] = f'{age_ns / _NS_PER_MS:.2f}'
        stages = {
            'decode': [item.timings.decode_ns for item in self._window],
            'wait': [item.timings.wait_ns for item in self._window],
            'infer': [item.timings.infer_ns for item in self._window],
            'fill': [item.timings.fill_ns for item in self._window],
            'total': [item.timings.total_ns for item in self._window],
            'age': [item.age_ns for item in self._window],
        }
        for stage, times_ns in stages.items():
            summary = summarize(times_ns)
            for percentile in ('p50_ms', 'p95_ms', 'p99_ms'):
                value = getattr(summary, percentile)
                values[f'{stage}.{percentile}'] = 'none' if value is None else f'{value:.2f}'
        return values


def _rate_hz(times_ns: Sequence[int], now_ns: int) -> float:
    """Return events per second between the first of these times and now."""
    if not times_ns:
        return 0.0
    span_ns = now_ns - times_ns[0]
    return (len(times_ns) - 1) / span_ns * _NS_PER_S if span_ns else 0.0
