# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Account, age, share and memory under overload, by hand."""

from collections.abc import Callable
import os
from types import ModuleType
from typing import Any

import pytest

MS = 1_000_000

Load = Callable[[str], ModuleType]


def run(script: Load, masks: list[int]) -> Any:
    """Six cameras: a frame each, and so many masks of each, 100 ms and a little more old."""
    overload, peers = script('overload'), script('peers')
    scenario = overload.SCENARIOS['six cameras']
    topics = scenario.topics('{}image')
    sent = [overload.Sent(topic, n, 0, n * MS) for n, topic in enumerate(topics)]
    received = [
        peers.Mask(topic, n, (n + 100 + count) * MS, 10 + n % 2)
        for n, topic in enumerate(scenario.topics('segmentation/{}label_map'))
        for count in range(masks[n])
    ]
    values = {'received': '9', 'segmented': '4', 'dropped.replaced': '3', 'dropped.step': '1'}
    node = 'bench_0f/segmentation'
    diagnostics = [{f'{node}: engine': {'state': 'active'}, f'{node}: front/left': values}]
    memory = [{'all': mb, 'own': mb / 2, 'shared': 0.0} for mb in (50, 90, *[100] * 5, 101)]
    return overload.Run(sent, overload.Masks(received, {}, diagnostics), memory)


def test_every_received_frame_has_to_turn_up_again(script: Load) -> None:
    overload = script('overload')
    accounts = overload._accounts(run(script, [1] * 6).masks.diagnostics[0])
    assert accounts == {
        'segmentation: front/left': {
            'received': 9,
            'published': 4,
            'dropped.replaced': 3,
            'dropped.step': 1,
            'missing': 1,
        }
    }


def test_the_numbers_of_a_run(script: Load) -> None:
    overload = script('overload')
    scenario = overload.SCENARIOS['six cameras']
    row = overload._row(scenario, run(script, [10, 10, 10, 10, 10, 4]))
    assert row['sent'] == 6
    assert list(row['masks'].values()) == [10, 10, 10, 10, 10, 4]
    assert row['masks_lost'] == 4 - 54
    assert row['least_share'] == pytest.approx(4 / 9)
    assert row['age']['max_ms'] == pytest.approx(109)
    assert row['age_in_inferences'] == pytest.approx(0.109 * 8)
    assert row['memory_mb']['own']['growth'] == pytest.approx(0.25), 'the first quarter warms up'
    assert [target.reached for target in overload._targets('six', row)] == [
        False,
        False,
        True,
        False,
    ]


def test_a_mask_of_another_picture_is_found(script: Load) -> None:
    overload = script('overload')
    scenario = overload.SCENARIOS['six cameras']
    done = run(script, [1] * 6)
    assert overload._right(scenario, done, {'720p': [10], '360p': [11]})
    assert not overload._right(scenario, done, {'720p': [10], '360p': [12]})
    assert not overload._right(scenario, run(script, [0] * 6), {'720p': [10], '360p': [11]})


def test_memory_of_this_process(script: Load) -> None:
    found = script('overload')._memory_mb(os.getpid())
    assert found.keys() == {'all', 'own', 'shared'}
    assert 5 < found['own'] <= found['all'] < 1e5
