# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where a frame's time went, and what a run's latencies come to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Final

import numpy as np

BIN_NS: Final = 10_000
"""Width of a bin of `LatencyHistogram`, ns."""

_NS_PER_MS = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class StageTimings:
    """Time one frame spent in each stage, ns.

    Attributes:
        decode_ns: Message to picture.
        wait_ns: Decoded, waiting for the worker.
        infer_ns: Picture to labels; a frame of a batch counts the whole batch.
        fill_ns: Labels to the size and memory of the output.
    """

    decode_ns: int
    wait_ns: int
    infer_ns: int
    fill_ns: int

    @property
    def total_ns(self) -> int:
        """Return the sum of the stages, ns."""
        return self.decode_ns + self.wait_ns + self.infer_ns + self.fill_ns


@dataclass(frozen=True, kw_only=True)
class LatencySummary:
    """Percentiles of a set of latencies, ms; None (null in JSON) when there was none.

    Attributes:
        count: Number of latencies.
        p50_ms: Median.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        max_ms: Largest.
    """

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    def to_dict(self) -> dict[str, int | float | None]:
        """Return the fields by name, ready for JSON."""
        return asdict(self)


def summarize(latencies_ns: Sequence[int]) -> LatencySummary:
    """Summarise latencies with ``numpy.percentile``, method 'linear' (between two neighbours).

    Args:
        latencies_ns: Latencies in any order, ns; may be empty.

    Returns:
        Count, percentiles and maximum.
    """
    if not len(latencies_ns):
        return LatencySummary(count=0, p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None)
    p50, p95, p99, largest = np.percentile(latencies_ns, (50, 95, 99, 100)) / _NS_PER_MS
    return LatencySummary(
        count=len(latencies_ns),
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        max_ms=float(largest),
    )


class LatencyHistogram:
    """Latencies of any number of frames in little memory; merged exactly, in any order.

    Attributes:
        bins: Number of latencies by their size in units of `BIN_NS`, rounded up.
        sum_ns: Sum of all latencies, ns.
        max_ns: The largest, ns.
    """

    def __init__(self, bins: Mapping[int, int] = {}, sum_ns: int = 0, max_ns: int = 0) -> None:
        """Start with what an earlier one had counted, or with nothing."""
        self.bins = Counter(bins)
        self.sum_ns = sum_ns
        self.max_ns = max_ns

    def add(self, latency_ns: int) -> None:
        """Count a latency, ns."""
        self.bins[-(-latency_ns // BIN_NS)] += 1
        self.sum_ns += latency_ns
        self.max_ns = max(self.max_ns, latency_ns)

    def merge(self, other: 'LatencyHistogram') -> None:
        """Add what another one has counted."""
        self.bins += other.bins
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def to_dict(self) -> dict[str, float | None]:
        """Return ``p50``, ``p95``, ``p99``, ``max`` and ``mean`` in ms; None without latencies.

        Percentiles are the smallest latency that so many do not exceed, rounded up to a bin.
        """
        count = self.bins.total()
        if not count:
            return dict.fromkeys(('p50', 'p95', 'p99', 'max', 'mean'))
        return {
            **{f'p{percent}': self._percentile(percent) for percent in (50, 95, 99)},
            'max': self.max_ns / _NS_PER_MS,
            'mean': self.sum_ns / count / _NS_PER_MS,
        }

    def _percentile(self, percent: int) -> float:
        wanted = ceil(self.bins.total() * percent / 100)
        for size in sorted(self.bins):
            wanted -= self.bins[size]
            if wanted <= 0:
                break
        return min(size * BIN_NS, self.max_ns) / _NS_PER_MS
