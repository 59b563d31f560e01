# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The cost of a frame, by hand: 100 frames a second, one lost, one while the engine slept."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

MS = 1_000_000

Load = Callable[[str], ModuleType]


def turn(latency: ModuleType, size: str, begin: int, count: int) -> Any:
    """Frame k is sent at 10 k ms and has the stamp k."""
    sent = [latency.Sent('image', k, k % 2, 10 * k * MS) for k in range(begin, begin + count)]
    return latency.Turn('ours', size, sent)


def masks(latency: ModuleType, stamps: list[int]) -> list[Any]:
    """Received 6 ms after they were sent."""
    return [latency.Mask('label_map', k, (10 * k + 6) * MS, 7) for k in stamps]


def test_the_engine_s_time_is_taken_from_each_frame(script: Load) -> None:
    latency = script('node_latency')
    turns = [turn(latency, '720p', 1, 8), turn(latency, '1080p', 9, 8)]
    stamps = [k for k in range(1, 17) if k != 7]
    # The warm-up, then every frame; also the 7th, whose mask got lost. The last comes too late.
    session = [(-5 * MS, 0), *(((10 * k + 1) * MS, (10 * k + 3) * MS) for k in range(1, 16))]
    session.append((165 * MS, 167 * MS))
    infer = [(begin - MS // 2, end) for begin, end in session]
    engine = latency.EngineTimes(session, infer)
    row = latency._row(turns, 'ours', masks(latency, stamps), engine)
    assert {key: row['720p'][key] for key in ('sent', 'without_mask', 'unclear')} == {
        'sent': 8,
        'without_mask': 1,
        'unclear': 0,
    }
    assert row['1080p']['unclear'] == 1
    # 5 frames of a turn warm up; of 6, 7, 8 one is lost, of 14, 15, 16 one is unclear.
    for size in ('720p', '1080p'):
        assert row[size]['all']['count'] == 2
        assert row[size]['all']['p50_ms'] == pytest.approx(6)
        assert row[size]['minus_session']['p50_ms'] == pytest.approx(4)
        assert row[size]['minus_engine']['p50_ms'] == pytest.approx(3.5)


def test_without_an_engine_nothing_is_taken_off(script: Load) -> None:
    latency = script('node_latency')
    turns = [turn(latency, '720p', 1, 6)]
    engine = latency.EngineTimes([], [])
    row = latency._row(turns, 'ours', masks(latency, list(range(1, 7))), engine)
    assert row['720p']['minus_engine'] == row['720p']['all']
    assert row['1080p']['all']['p50_ms'] is None


@pytest.mark.parametrize(('wrong', 'expected'), [(0, 1.0), (1, 0.75)])
def test_the_worst_mask_counts(script: Load, wrong: int, expected: float) -> None:
    latency = script('node_latency')
    right = [np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)]
    found = right[1].copy()
    found[0, :wrong] = 2
    received = [
        latency.Mask('label_map', 1, 16 * MS, checksum=11),
        latency.Mask('label_map', 2, 26 * MS, checksum=10),
    ]
    collected = latency.Masks(received, {10: right[0], 11: found}, [])
    turns = [turn(latency, '720p', 1, 2)]
    assert latency._agreement(turns, 'ours', collected, {'720p': right}) == expected


def test_masks_of_another_size_or_none_do_not_agree(script: Load) -> None:
    latency = script('node_latency')
    right = [np.zeros((2, 2), np.uint8)] * 2
    turns = [turn(latency, '720p', 1, 2)]
    small = latency.Masks(masks(latency, [1]), {7: np.zeros((1, 2), np.uint8)}, [])
    assert latency._agreement(turns, 'ours', small, {'720p': right}) == 0
    assert latency._agreement(turns, 'ours', latency.Masks([], {}, []), {'720p': right}) == 0


def test_targets_compare_like_with_like(script: Load) -> None:
    latency = script('node_latency')

    def row(engine: float | None, session: float | None, everything: float | None) -> Any:
        numbers = {'minus_engine': engine, 'minus_session': session, 'all': everything}
        return {
            size: {name: {'p50_ms': value} for name, value in numbers.items()}
            for size in latency.SIZES
        }

    rows = {'ours': row(6, 8, 20), 'echo': row(5, 5, 5), 'usual': row(32, 32, 50)}
    targets = latency._targets(rows)
    assert [target.value for target in targets] == [1.2, 4.0, 1.2, 4.0]
    assert all(target.reached for target in targets)
    rows['echo'] = row(None, None, None)
    assert [target.reached for target in latency._targets(rows)] == [False, True, False, True]
