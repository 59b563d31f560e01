# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the segmentation node says about its own health on ``/diagnostics``."""

from collections import Counter, deque
from collections.abc import Mapping
import threading
import time
from typing import Final, NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vidseg_ros.core.timing import StageTimings, summarize
from vidseg_ros.pipeline import REPLACED

WINDOW_S: Final = 10.0
"""Rate, latencies and warnings look this far back, seconds."""

SILENCE_S: Final = 2.0
"""No frame, or a frame without its mask, for longer than this is a warning, seconds."""

STAMP_BACKWARDS: Final = 'stamp_backwards'
"""Key under which frames are counted whose stamp is older than the one before; not a drop."""

_NS_PER_S: Final = 1e9
_NS_PER_MS: Final = 1e6


class _Published(NamedTuple):
    at_ns: int
    """Monotonic clock (ns)."""
    timings: StageTimings
    age_ns: int


class CameraHealth:
    """Counts what happened to the frames of one camera. Safe to use from several threads."""

    def __init__(self, topic: str) -> None:
        """Start counting now.

        Args:
            topic: Topic of the camera, for people.
        """
        self._topic = topic
        self._lock = threading.Lock()
        self._received = 0
        self._dropped: Counter[str] = Counter()
        self._stamp_backwards = 0
        self._published = 0
        self._last_received_ns = time.monotonic_ns()
        self._last_stamp_ns: int | None = None
        self._unanswered_ns: int | None = None
        self._troubles: deque[tuple[int, str]] = deque()
        self._window: deque[_Published] = deque()
        self._newest: _Published | None = None

    def received(self, stamp_ns: int | None) -> bool:
        """Count a message that arrived, good or bad.

        Args:
            stamp_ns: Stamp of its header (ns); None if it cannot be read.

        Returns:
            Whether the stamp is older than the one before.
        """
        with self._lock:
            self._received += 1
            self._last_received_ns = time.monotonic_ns()
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
            if self._unanswered_ns is None:
                self._unanswered_ns = time.monotonic_ns()

    def published(self, timings: StageTimings, age_ns: int) -> None:
        """Count a published label map.

        Args:
            timings: Time in each stage (ns).
            age_ns: ROS clock at publication minus the stamp of the frame (ns).
        """
        with self._lock:
            self._published += 1
            self._unanswered_ns = None
            self._newest = _Published(time.monotonic_ns(), timings, age_ns)
            self._window.append(self._newest)

    def status(self, name: str, replaced: int) -> DiagnosticStatus:
        """Summarise.

        Args:
            name: Name of the status.
            replaced: Frames that a newer one replaced before their turn.
        """
        with self._lock:
            now_ns = time.monotonic_ns()
            self._forget(now_ns - int(WINDOW_S * _NS_PER_S))
            level, message = self._judge(now_ns)
            return DiagnosticStatus(
                level=level,
                name=name,
                message=message,
                hardware_id=self._topic,
                values=key_values(self._values(now_ns, replaced)),
            )

    def _forget(self, before_ns: int) -> None:
        while self._window and self._window[0].at_ns < before_ns:
            self._window.popleft()
        while self._troubles and self._troubles[0][0] < before_ns:
            self._troubles.popleft()

    def _judge(self, now_ns: int) -> tuple[bytes, str]:
        if self._unanswered_ns is not None:
            waiting_s = (now_ns - self._unanswered_ns) / _NS_PER_S
            if waiting_s > SILENCE_S:
                return DiagnosticStatus.WARN, (
                    f'frames arrive, but no mask for {waiting_s:.0f} s: '
                    'the engine is slow or hangs'
                )
        silent_s = (now_ns - self._last_received_ns) / _NS_PER_S
        if silent_s > SILENCE_S:
            return DiagnosticStatus.WARN, (
                f'no frame on {self._topic} for {silent_s:.0f} s; '
                'check the camera driver, the topic and its type'
            )
        if self._troubles:
            counts = Counter(reason for _, reason in self._troubles)
            listed = ', '.join(f'{reason} {count}' for reason, count in sorted(counts.items()))
            return DiagnosticStatus.WARN, f'bad frames in the last {WINDOW_S:.0f} s: {listed}'
        return DiagnosticStatus.OK, 'frames are segmented'

    def _values(self, now_ns: int, replaced: int) -> dict[str, str]:
        values = {
            'rate_hz': f'{self._rate_hz(now_ns):.1f}',
            'received': str(self._received),
            'segmented': str(self._published),
            f'dropped.{REPLACED}': str(replaced),
        }
        values |= {f'dropped.{reason}': str(n) for reason, n in sorted(self._dropped.items())}
        values[STAMP_BACKWARDS] = str(self._stamp_backwards)
        if self._newest is not None:
            values['newest_age_ms'] = _ms(self._newest.age_ns + now_ns - self._newest.at_ns)
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

    def _rate_hz(self, now_ns: int) -> float:
        """Frames per second between the first frame in the window and now."""
        if not self._window:
            return 0.0
        span_ns = now_ns - self._window[0].at_ns
        return (len(self._window) - 1) / span_ns * _NS_PER_S if span_ns else 0.0


def key_values(values: Mapping[str, str]) -> list[KeyValue]:
    """Return texts by name as diagnostic_msgs has them."""
    return [KeyValue(key=key, value=value) for key, value in values.items()]


def _ms(time_ns: int) -> str:
    return f'{time_ns / _NS_PER_MS:.2f}'
