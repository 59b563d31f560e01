# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of a GPU goes through on a fake one, and its targets are computed by hand."""

from collections.abc import Callable
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from vidseg_ros.core.timing import LatencySummary

Load = Callable[[str], ModuleType]


def test_all_precisions_with_one_and_several_cameras(
    fake_gpu: Any, script: Load, layered_model: Path, tmp_path: Path
) -> None:
    out, drive = tmp_path / 'result.json', tmp_path / 'drive'
    drive.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    cv2.imwrite(str(drive / '0.png'), noise)
    options = ['--model', str(layered_model), '--size', '12x16', '--cameras', '2']
    options += ['--calibration', str(drive), '--check', str(drive)]
    options += ['--seconds', '0.001', '--out', str(out)]
    plain_status = script('tensorrt_gpu').main(options)
    plain = json.loads(out.read_text())
    assert plain_status == (0 if all(target['reached'] for target in plain['targets']) else 1)
    assert [(p, name) for p, run in plain['runs'].items() for name in run] == [
        ('fp32', 'one'),
        ('fp32', 'all'),
        ('fp16', 'one'),
        ('fp16', 'all'),
        ('int8', 'one'),
        ('int8', 'all'),
    ]
    assert plain['runs']['fp16']['all']['cameras'] == 2
    assert plain['runs']['fp16']['one']['agreement']['pixels'] > 0.99
    assert plain['runs']['int8']['one']['engine']['precision'].startswith('int8')
    assert len(plain['targets']) == 9
    assert fake_gpu.builds == 6


def latency(p50_ms: float, p99_ms: float = 9.0) -> LatencySummary:
    return LatencySummary(count=9, p50_ms=p50_ms, p95_ms=p50_ms, p99_ms=p99_ms, max_ms=p99_ms)


def test_targets_by_hand(script: Load) -> None:
    stages = {'copy_in': latency(0.5), 'compute': latency(2.0), 'copy_out': latency(0.1)}
    one = SimpleNamespace(cameras=1, pinned_latency=latency(3.0, 4.2), stages=stages)
    batch = SimpleNamespace(cameras=6, pinned_latency=None, stages={'compute': latency(7.0)})
    end, spread, cost = script('tensorrt_gpu').judge({'fp16': {'one': one, 'all': batch}})
    assert end.limit == pytest.approx(2.0 + 1.3 * 0.6 + 0.2)
    assert (end.value, end.reached) == (3.0, False)
    assert (spread.value, spread.limit, spread.reached) == (pytest.approx(1.4), 1.5, True)
    assert (cost.value, cost.limit, cost.reached) == (3.5, 3.0, False)
    assert cost.what == 'fp16: compute of 6 cameras by that of one'
