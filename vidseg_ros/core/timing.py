# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where a frame's time went, and what a run's latencies come to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

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
