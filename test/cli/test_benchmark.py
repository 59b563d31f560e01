# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vidseg_ros.cli import benchmark
from vidseg_ros.cli.main import main


def test_a_table_and_its_json(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'tiny.json'
    options = ['--engine', 'onnxruntime', '--seconds', '0.001', '--size', '12x16']
    assert (
        main(['benchmark', str(tiny_model), *options, '--cameras', '2', '--json', str(out)]) == 0
    )
    text = capsys.readouterr().out
    for part in ('tiny', 'onnxruntime', '2 x 12x16, made-up streets', 'of the pixels of 8 frames'):
        assert part in text
    assert 'frames to label maps' in text
    assert 'compute' not in text
    assert 'CUDA graph' not in text
    plain = json.loads(out.read_text())
    assert list(plain) == [
        'schema',
        'date',
        'machine',
        'model',
        'engine',
        'frames',
        'agreement',
        'latency',
        'pinned_latency',
        'stages',
        'enqueued_stages',
        'frames_per_second',
        'host_peak_bytes',
        'gpu_used_bytes',
        'power_w',
        'against',
    ]
    assert plain['against'] == []
    assert plain['schema'] == 1
    assert plain['frames'] == {'source': 'made-up streets', 'cameras': 2, 'size': [12, 16]}
    assert plain['model']['input_size'] == [12, 16]
    assert plain['stages'] is plain['enqueued_stages'] is plain['pinned_latency'] is None
    assert plain['power_w'] is None


def test_tensorrt_has_more_rows(
    fake_gpu: Any, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['benchmark', str(tiny_model), '--seconds', '0.001']) == 0
    text = capsys.readouterr().out
    for row in (
        'tensorrt',
        'from pinned frames',
        'copy in',
        'compute ',
        'copy out',
        'GPU memory',
        'compute, no CUDA graph',
    ):
        assert row in text
    assert '1 x 12x16' in text
    assert fake_gpu.builds == 1


def test_labels_with_foreign_ids_are_told_or_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / 'images' / '0.png'), np.zeros((12, 16, 3), np.uint8))
    ids = np.zeros((12, 16), np.uint8)
    options = ['--engine', 'onnxruntime', '--seconds', '0.001', '--size', '12x16']
    options += ['--check', str(tmp_path / 'images'), '--labels', str(tmp_path / 'labels')]
    ids[0, :5] = 3
    cv2.imwrite(str(tmp_path / 'labels' / '0.png'), ids)
    assert main(['benchmark', str(tiny_model), *options]) == 0
    note = 'vidseg: id 3 of the labels has no class: 5 pixels are taken as void'
    assert note in capsys.readouterr().err
    ids[1, :5] = 4
    cv2.imwrite(str(tmp_path / 'labels' / '0.png'), ids)
    assert main(['benchmark', str(tiny_model), *options]) == 2
    assert 'have ids without a class: 3, 4' in capsys.readouterr().err


def test_other_engines_stand_beside_it(
    fake_gpu: Any,
    fake_cuda_provider: list[Any],
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / 'tiny.json'
    command = ['benchmark', str(tiny_model), '--seconds', '0.001', '--json', str(out)]
    assert main([*command, '--against', 'onnxruntime-cuda', 'onnxruntime']) == 0
    text, progress = capsys.readouterr()
    assert 'the same, onnxruntime-cuda' in text
    assert progress.splitlines() == ['Building engine', 'comparing with ONNX Runtime']
    plain = json.loads(out.read_text())
    assert plain['engine']['name'] == 'tensorrt'
    assert [item['engine']['device'] for item in plain['against']] == ['GPU 0', 'CPU']
    assert all(item['latency']['count'] and not item['stages'] for item in plain['against'])
    assert 'host_peak_bytes' not in plain['against'][0]
    assert fake_cuda_provider
    assert fake_gpu.builds == 1


def test_an_engine_that_is_not_there_is_refused_before_measuring(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[object] = []
    monkeypatch.setattr(benchmark, 'run_benchmark', lambda *_, **__: measured.append(1))
    command = ['benchmark', str(tiny_model), '--engine', 'onnxruntime']
    assert main([*command, '--against', 'onnxruntime-cuda']) == 2
    assert 'has no CUDA here; install onnxruntime-gpu' in capsys.readouterr().err
    assert not measured


@pytest.mark.parametrize('text', ['0', '-1', 'nan', 'inf', 'soon'])
def test_seconds_that_are_none(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(['benchmark', 'tiny', f'--seconds={text}'])
    assert f'must be seconds above 0, not {text!r}' in capsys.readouterr().err


def test_json_that_cannot_be_written(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['benchmark', str(tiny_model), '--engine', 'onnxruntime', '--seconds', '0.001']
    assert main([*command, '--json', str(tmp_path)]) == 2
    assert f'cannot write {tmp_path}' in capsys.readouterr().err
