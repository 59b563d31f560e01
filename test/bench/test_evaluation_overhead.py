# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable
import json
from pathlib import Path
import sys
from types import ModuleType

import numpy as np
import pytest

from vidseg_ros.bag_io import BagWriter


def test_result_names_what_was_compared(
    script: Callable[[str], ModuleType],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
    with BagWriter(tmp_path / 'drive') as bag:
        for index, image in enumerate(images):
            stamp_ns = index * 40_000_000
            bag.write_image('/cam', image, encoding='rgb8', stamp_ns=stamp_ns, frame_id='')
    arguments = ['--model', str(tiny_model), '--frames', '4', '--rounds', '1']
    out = tmp_path / 'result.json'
    monkeypatch.setattr(
        sys, 'argv', ['bench', str(tmp_path / 'drive'), *arguments, '--out', str(out)]
    )

    script('evaluation_overhead').main()  # the exit code is about speed

    result = json.loads(out.read_text())
    assert (result['equal_label_maps'], result['equal_counts']) == (True, True)
    assert (result['frames'], result['frame_size']) == (4, [48, 64])
    assert set(result['wall_s_by_workers']) == {'1', '2'}
    (ratio,), (speedup,) = result['ratio'], result['speedup']
    assert [target['value'] for target in result['targets']] == [ratio, speedup]
    assert [target['limit'] for target in result['targets']] == [1.35, 1.5]
    (one,), (two,) = result['wall_s_by_workers'].values()
    assert speedup == pytest.approx(one / two)
    assert result['frames_per_second_of_two_workers'] == pytest.approx(2 * 4 / two)
    (cpu,) = result['cpu_s_by_workers']['2']
    assert result['frames_per_core_hour'] == pytest.approx(3600 * 2 * 4 / cpu)


def test_nothing_is_timed_where_label_maps_differ(
    script: Callable[[str], ModuleType],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = script('evaluation_overhead')
    with BagWriter(tmp_path / 'drive') as bag:
        for index in range(3):
            image = np.full((48, 64, 3), (9, 0, 0), np.uint8)
            stamp_ns = index * 40_000_000
            bag.write_image('/cam', image, encoding='rgb8', stamp_ns=stamp_ns, frame_id='')
    monkeypatch.setattr(bench, 'resize_labels', lambda labels, _size: labels + 1)
    out = tmp_path / 'result.json'
    arguments = ['--model', str(tiny_model), '--out', str(out)]
    monkeypatch.setattr(sys, 'argv', ['bench', str(tmp_path / 'drive'), *arguments])

    assert bench.main() == 1

    assert 'give different label maps: no times' in capsys.readouterr().out
    assert not out.exists()
