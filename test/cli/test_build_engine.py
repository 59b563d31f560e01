# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from vidseg_ros.cli.main import main


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Return a folder of frames; beside it, in ``truth``, the true labels of the tiny model."""
    (tmp_path / 'footage').mkdir()
    (tmp_path / 'truth').mkdir()
    for number in range(3):
        ids = np.random.default_rng(number).integers(0, 3, (12, 16)).astype(np.uint8)
        bgr = np.ascontiguousarray((np.eye(3, dtype=np.uint8)[ids] * 200)[..., ::-1])
        cv2.imwrite(str(tmp_path / 'footage' / f'{number}.png'), bgr)
        cv2.imwrite(str(tmp_path / 'truth' / f'{number}.png'), ids)
    return tmp_path / 'footage'


def test_an_engine_is_built_checked_and_described(
    fake_gpu: Any, tiny_model: Path, footage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = str(footage.parent / 'truth')
    options = ['--frames', '2', '--size', '12x16', '--check', str(footage), '--labels', truth]
    assert main(['build-engine', str(tiny_model), *options, '--precision', 'fp32']) == 0
    out, err = capsys.readouterr()
    for text in (
        '.plan',
        '11.4.0.106',
        'Fake GPU, compute capability 9.0',
        'fp32 1',
        '1 x 12x16, 2 x 12x16',
        '3 frames, given frames',
        '100.00% of the pixels',
        '1.0000, ONNX Runtime 1.0000',
        'green',
    ):
        assert text in out
    assert err.splitlines() == ['Building engine', 'comparing with ONNX Runtime']
    assert fake_gpu.builds == 1


def test_json_is_the_side_car(
    fake_gpu: Any, tiny_model: Path, footage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['build-engine', str(tiny_model), '--json', '--check', str(footage)]
    for _ in range(2):
        assert main([*command, '--check-frames', '2']) == 0
        plain = json.loads(capsys.readouterr().out)
        assert Path(plain['file']).parent == fake_gpu.cache
        assert plain['bytes'] == Path(plain['file']).stat().st_size
        assert plain['key']['shapes'] == [[1, 12, 16]]
        assert plain['about']['agreement']['frames'] == 2
    assert fake_gpu.builds == 1
    assert main([*command, '--rebuild', '--cache', str(fake_gpu.cache / 'other')]) == 0
    assert Path(json.loads(capsys.readouterr().out)['file']).parent.name == 'other'
    assert fake_gpu.builds == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            ['--precision', 'int8'],
            'made by vidseg convert FP32_MODEL --precision int8 --calibration DRIVE --out FILE',
        ),
        (['--frames', '9'], '1 to 8 frames'),
        (['--device', '3'], 'there is no GPU of that number'),
        (['--check', 'absent'], 'absent'),
    ],
)
def test_what_cannot_be_built(
    fake_gpu: Any,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    assert main(['build-engine', str(tiny_model), *options]) == 2
    assert message in capsys.readouterr().err
    assert not fake_gpu.builds


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--size', '1080'], "must be height x width in pixels, such as 1080x1920, not '1080'"),
        (['--size', '0x5'], "not '0x5'"),
        (['--frames', '0'], "must be a whole number from 1, not '0'"),
        (['--labels', 'x'], '--labels needs --check SOURCE'),
    ],
)
def test_arguments_that_are_wrong(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(['build-engine', 'tiny', *options])
    assert message in capsys.readouterr().err


def test_without_tensorrt_it_says_what_to_install(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    assert main(['build-engine', str(tiny_model)]) == 2
    err = capsys.readouterr().err
    assert err.startswith('vidseg: TensorRT is not installed; JetPack and DRIVE bring it')


@pytest.mark.parametrize('fake_gpu', ['8.5.3.1', '11.4.0.106'], indirect=True)
def test_a_converted_file_is_built_in_its_precision(
    fake_gpu: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = str(tmp_path / 'half.onnx')
    assert main(['convert', str(tiny_model), '--precision', 'fp16', '--out', half]) == 0
    assert main(['build-engine', half, '--precision', 'fp16', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['key']['precision'] == 'fp16'
    assert fake_gpu.builds == 1


@pytest.mark.parametrize('fake_gpu', ['8.5.3.1', '11.4.0.106'], indirect=True)
def test_an_int8_file_is_built_and_one_for_onnx_runtime_is_refused(
    fake_gpu: Any,
    layered_model: Path,
    footage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / 'int8.onnx')
    convert = ['convert', str(layered_model), '--precision', 'int8', '--out', out]
    convert += ['--calibration', str(footage)]
    assert main(convert) == 0
    assert main(['build-engine', out, '--precision', 'int8', '--check', str(footage)]) == 0
    assert 'int8' in capsys.readouterr().out
    assert fake_gpu.builds == 1
    assert main([*convert, '--engine', 'onnxruntime']) == 0
    assert main(['build-engine', out]) == 2
    assert 'was made for ONNX Runtime, and TensorRT cannot read it' in capsys.readouterr().err
    assert fake_gpu.builds == 1
