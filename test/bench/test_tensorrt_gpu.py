# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of a GPU goes through on a fake one, and its targets are computed by hand."""

from collections.abc import Callable
from contextlib import closing
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import ModelError, ParameterError
from vidseg_ros.core.resources import find_model
from vidseg_ros.core.timing import LatencySummary
from vidseg_ros.evaluation.benchmark import run_benchmark
from vidseg_ros.inference.agreement import street_frames
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

Load = Callable[[str], ModuleType]


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Return a folder with one frame."""
    folder = tmp_path / 'drive'
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    cv2.imwrite(str(folder / '0.png'), noise)
    return folder


def test_all_precisions_with_one_and_several_cameras(
    fake_gpu: Any, script: Load, layered_model: Path, drive: Path
) -> None:
    out = drive.parent / 'result.json'
    options = ['--model', str(layered_model), '--size', '12x16', '--cameras', '2']
    options += ['--calibration', str(drive), '--check', str(drive)]
    options += ['--seconds', '0.001', '--out', str(out)]
    plain_status = script('tensorrt_gpu').main(options)
    plain = json.loads(out.read_text())
    assert plain_status == (0 if all(target['reached'] for target in plain['targets']) else 1)
    assert [(p, name) for p, run in plain['runs'].items() for name in run] == [
        ('fp32', 'all'),
        ('fp32', 'one'),
        ('fp16', 'all'),
        ('fp16', 'one'),
        ('int8', 'all'),
        ('int8', 'one'),
    ]
    assert plain['runs']['fp16']['all']['cameras'] == 2
    assert plain['runs']['fp16']['one']['agreement']['pixels'] > 0.99
    assert plain['runs']['int8']['one']['engine']['precision'].startswith('int8')
    assert len(plain['targets']) == 9
    assert plain['errors'] == {}
    assert fake_gpu.builds == 3, 'one camera runs on the engine of all'


def test_what_fails_is_written_down_and_the_rest_runs(
    fake_gpu: Any,
    script: Load,
    tiny_model: Path,
    drive: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = drive.parent / 'result.json'
    bench = script('tensorrt_gpu')
    written: list[list[str]] = []

    def run(model: Path, *_: Any, **more: Any) -> Any:
        plain = json.loads(out.read_text()) if out.exists() else {'runs': {}}
        written.append([f'{p} {name}' for p, runs in plain['runs'].items() for name in runs])
        if len(written) == 2:
            msg = 'incompatible function arguments'
            raise TypeError(msg)
        return run_benchmark(model, *_, **more)

    def convert(*_: Any) -> None:
        msg = 'it is not kept'
        raise ModelError(msg)

    monkeypatch.setattr(bench, 'run_benchmark', run)
    monkeypatch.setattr(bench, 'convert_to_int8', convert)
    options = ['--model', str(tiny_model), '--size', '12x16', '--cameras', '2']
    options += ['--calibration', str(drive), '--check', str(drive)]
    options += ['--seconds', '0.001', '--out', str(out)]
    assert bench.main(options) == 1
    assert written == [[], ['fp32 all'], ['fp32 all'], ['fp32 all', 'fp16 all']]
    plain = json.loads(out.read_text())
    assert plain['errors'] == {
        'fp32': {'one': 'TypeError: incompatible function arguments'},
        'int8': {'conversion': 'ModelError: it is not kept'},
    }
    assert list(plain['runs']['fp16']) == ['all', 'one']
    assert len(plain['targets']) == 3, 'of fp16 alone'
    assert fake_gpu.builds == 2


@pytest.mark.usefixtures('fake_gpu')
def test_precisions_are_chosen_and_their_files_kept(
    script: Load,
    layered_model: Path,
    drive: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench, out = script('tensorrt_gpu'), drive.parent / 'result.json'
    options = ['--model', str(layered_model), '--size', '12x16', '--seconds', '0.001']
    options += ['--check', str(drive)]
    options += ['--cameras', '1', '--out', str(out), '--files', str(drive.parent / 'files')]
    for attempt in ('converted', 'found'):
        bench.main([*options, '--precisions', 'fp16', 'fp32', 'fp16'])
        plain = json.loads(out.read_text())
        assert list(plain['runs']) == ['fp16', 'fp32'], attempt
        assert plain['network_size'] is None
        assert plain['versions']['tensorrt'] == '11.4.0.106'
        monkeypatch.setattr(bench, 'convert_to_fp16', lambda *_: pytest.fail('made again'))
    with pytest.raises(SystemExit):
        bench.main([*options, '--precisions', 'int8'])
    assert 'int8 needs --calibration' in capsys.readouterr().err


def test_a_network_of_convolutions_computes_at_another_size(script: Load, tmp_path: Path) -> None:
    resize, source = script('tensorrt_gpu').resize_network, find_model('camvid_fddwnet_fast')
    small = resize(source, (96, 160), tmp_path)
    model = read_model(small)
    assert model.card.input_size == (96, 160)
    assert model.outputs[0].shape == ('N', '96', '160')
    again = resize(small, read_model(source).card.input_size, tmp_path)
    (frame,) = street_frames('rgb8')[:1]
    with closing(OnnxRuntimeEngine(source)) as engine, closing(OnnxRuntimeEngine(again)) as other:
        labels = engine.infer([frame]).labels
        assert len(np.unique(labels)) > 2
        np.testing.assert_array_equal(other.infer([frame]).labels, labels)
    with pytest.raises(ParameterError, match='has AveragePool, Resize, Shape, which may'):
        resize(find_model('camvid_dual_resolution_small'), (96, 160), tmp_path)


def latency(p50_ms: float, p99_ms: float = 9.0) -> LatencySummary:
    return LatencySummary(count=9, p50_ms=p50_ms, p95_ms=p50_ms, p99_ms=p99_ms, max_ms=p99_ms)


def test_targets_by_hand(script: Load) -> None:
    stages = {'copy_in': latency(0.5), 'compute': latency(2.0), 'copy_out': latency(0.1)}
    alike = SimpleNamespace(artefact_miou=None)
    one = SimpleNamespace(
        cameras=1, pinned_latency=latency(3.0, 4.2), stages=stages, agreement=alike
    )
    batch = SimpleNamespace(
        cameras=6, pinned_latency=None, stages={'compute': latency(7.0)}, agreement=alike
    )
    end, spread, cost = script('tensorrt_gpu').judge({'fp16': {'one': one, 'all': batch}})
    assert end.limit == pytest.approx(2.0 + 1.3 * 0.6 + 0.2)
    assert (end.value, end.reached) == (3.0, False)
    assert (spread.value, spread.limit, spread.reached) == (pytest.approx(1.4), 1.5, True)
    assert (cost.value, cost.limit, cost.reached) == (3.5, 3.0, False)
    assert cost.what == 'fp16: compute of 6 cameras by that of one'


@pytest.mark.parametrize(('miou', 'reached'), [(0.692, True), (0.688, False)])
def test_int8_may_lose_one_point_against_fp32(script: Load, miou: float, *, reached: bool) -> None:
    runs = {
        precision: {'all': SimpleNamespace(agreement=SimpleNamespace(artefact_miou=value))}
        for precision, value in (('fp32', 0.70), ('fp16', 0.1), ('int8', miou))
    }
    (target,) = script('tensorrt_gpu').judge(runs)
    assert target.what == 'mIoU of fp32 less that of int8, points'
    assert target.value == pytest.approx(100 * (0.70 - miou))
    assert target.reached == reached
