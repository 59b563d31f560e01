# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

import json

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from vidseg_ros.core.timing import LatencyHistogram, StageTimings, summarize


def test_total_is_the_sum_of_the_stages() -> None:
    timings = StageTimings(decode_ns=1, wait_ns=20, infer_ns=300, fill_ns=4000)
    assert timings.total_ns == 4321


def test_summary_of_known_latencies() -> None:
    # 1..101 ms in scrambled order: percentile p of the linear method is p + 1 exactly.
    latencies = [(i * 37 % 101 + 1) * 1_000_000 for i in range(101)]
    summary = summarize(latencies)
    assert summary.count == 101
    assert summary.p50_ms == pytest.approx(51.0)
    assert summary.p95_ms == pytest.approx(96.0)
    assert summary.p99_ms == pytest.approx(100.0)
    assert summary.max_ms == 101.0


def test_percentiles_lie_between_neighbours() -> None:
    summary = summarize([0, 1_000_000])
    assert summary.p50_ms == pytest.approx(0.5)
    assert summary.p95_ms == pytest.approx(0.95)
    assert summary.max_ms == 1.0


def test_one_latency_is_every_percentile() -> None:
    assert summarize([2_500_000]).to_dict() == {
        'count': 1,
        'p50_ms': 2.5,
        'p95_ms': 2.5,
        'p99_ms': 2.5,
        'max_ms': 2.5,
    }


@pytest.mark.parametrize('latencies', [[], [7_000_000, 9_000_000]])
def test_to_dict_is_strict_json(latencies: list[int]) -> None:
    fields = summarize(latencies).to_dict()
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    assert fields['count'] == len(latencies)
    assert (fields['p50_ms'] is None) == (not latencies)


def test_histogram_by_hand() -> None:
    histogram = LatencyHistogram()
    assert set(histogram.to_dict().values()) == {None}
    for latency_ns in (1, 10_000, 10_001, 5_000_000):
        histogram.add(latency_ns)
    assert histogram.bins == {1: 2, 2: 1, 500: 1}
    found = histogram.to_dict()
    assert found == pytest.approx(
        {'p50': 0.01, 'p95': 5, 'p99': 5, 'max': 5, 'mean': 5.020002 / 4}
    )


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_percentiles_of_a_histogram_are_exact_up_to_a_bin(times: list[int]) -> None:
    whole, half = LatencyHistogram(), LatencyHistogram()
    for number, latency_ns in enumerate(times):
        (half if number % 2 else whole).add(latency_ns)
    whole.merge(half)
    found = whole.to_dict()
    for percent in (50, 95, 99):
        exact_ms = np.percentile(times, percent, method='inverted_cdf') / 1e6
        rounded_ms = found[f'p{percent}']
        assert rounded_ms is not None
        assert exact_ms - 1e-9 <= rounded_ms <= exact_ms + 0.01 + 1e-9
    assert found['max'] == max(times) / 1e6
    assert found['mean'] == pytest.approx(sum(times) / len(times) / 1e6)
