# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
import platform
import shutil
from typing import Any

import cv2
import numpy as np
import pytest

from vidseg_ros.cli import convert
from vidseg_ros.cli.main import main
from vidseg_ros.core.errors import ModelError
from vidseg_ros.inference.model_file import read_model


def test_a_model_is_converted_and_checked_on_footage(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ('footage', 'truth'):
        (tmp_path / folder).mkdir()
    for number in range(3):
        ids = np.random.default_rng(number).integers(0, 3, (12, 16)).astype(np.uint8)
        bgr = np.ascontiguousarray((np.eye(3, dtype=np.uint8)[ids] * 200)[..., ::-1])
        cv2.imwrite(str(tmp_path / 'footage' / f'{number}.png'), bgr)
        cv2.imwrite(str(tmp_path / 'truth' / f'{number}.png'), ids)
    out = tmp_path / 'half.onnx'
    frames = ['--check', str(tmp_path / 'footage'), '--labels', str(tmp_path / 'truth')]
    command = ['convert', str(tiny_model), '--precision', 'fp16', '--out', str(out), *frames]
    assert main([*command, '--check-frames', '2']) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f'{out}: {out.stat().st_size:,} bytes, fp16; {tiny_model} has ')
    assert second == (
        'the two agree on 100.00% of the pixels of 2 frames, mIoU 1.0000; against true labels '
        f'1.0000, not 1.0000; frames of {tmp_path / "footage"}'
    )
    assert read_model(out).card.precision == 'fp16'


def test_without_footage_it_is_checked_on_made_up_streets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'half.onnx'
    assert main(['convert', 'street', '--precision', 'fp16', '--out', str(out)]) == 0
    err = capsys.readouterr().err
    assert 'of 8 frames' in err
    assert 'frames of made-up streets (for real ones: --check)' in err
    assert main(['convert', str(out), '--precision', 'fp16', '--out', str(out)]) == 2
    assert 'is fp16 already' in capsys.readouterr().err


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Return a folder of one-coloured images."""
    folder = tmp_path / 'drive'
    folder.mkdir()
    for number, color in enumerate([(200, 40, 10), (40, 200, 10), (10, 40, 200)] * 2):
        cv2.imwrite(str(folder / f'{number}.png'), np.full((12, 16, 3), color[::-1], np.uint8))
    return folder


def test_int8_is_calibrated_and_checked_on_other_frames_of_a_drive(
    layered_model: Path,
    drive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / 'int8.onnx'
    command = ['convert', str(layered_model), '--precision', 'int8', '--out', str(out)]
    command += ['--calibration', str(drive), '--calibration-frames', '3']
    assert main(command) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ['ranges of channels', 'ranges of activations']
    assert lines[-3].startswith(f'{out}: {out.stat().st_size:,} bytes, int8; {layered_model} has ')
    assert lines[-2] == f'3 of 3 layers are int8, by 3 frames of {drive}, for tensorrt'
    assert lines[-1] == (
        'the two agree on 100.00% of the pixels of 3 frames, mIoU 1.0000; '
        f'frames of {drive} that were not calibrated on'
    )
    monkeypatch.setattr(convert, 'has_vnni', lambda: False)
    monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')
    other = drive.rename(tmp_path / 'other')
    shutil.copytree(other, drive)
    assert main([*command, '--check', str(other), '--engine', 'onnxruntime']) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-3] == f'3 of 3 layers are int8, by 3 frames of {drive}, for onnxruntime'
    assert lines[-2].startswith('this CPU has no VNNI: sums saturate, so labels may differ')
    assert lines[-1].endswith(f'of 6 frames, mIoU 1.0000; frames of {other}')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--precision', 'int4'], "invalid choice: 'int4'"),
        (['--precision', 'int8'], '--precision int8 needs --calibration SOURCE: real frames'),
        (['--precision', 'fp16', '--calibration', 'x'], 'fp16 needs none'),
        (['--precision', 'fp16', '--engine', 'onnxruntime'], 'are for --precision int8'),
        (
            ['--precision', 'int8', '--calibration', 'x', '--check', './x'],
            '--check and --calibration are the same footage',
        ),
        (['--precision', 'fp16', '--labels', 'y'], '--labels needs --check SOURCE'),
    ],
)
def test_arguments_that_are_wrong(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(['convert', 'street', '--out', 'x.onnx', *options])
    assert message in capsys.readouterr().err


def test_a_calibration_that_is_not_there(
    layered_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['convert', str(layered_model), '--precision', 'int8', '--calibration', 'absent']
    assert main([*command, '--out', str(tmp_path / 'x.onnx')]) == 2
    assert 'absent' in capsys.readouterr().err


def test_one_frame_is_too_few_to_calibrate_and_compare_on(
    layered_model: Path, drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted(drive.iterdir())[1:]:
        path.unlink()
    command = ['convert', str(layered_model), '--precision', 'int8', '--calibration', str(drive)]
    command += ['--out', str(tmp_path / 'int8.onnx')]
    assert main(command) == 2
    assert 'has one frame only; name others to compare on with --check' in capsys.readouterr().err


def test_no_frame_is_calibrated_and_checked_on(
    layered_model: Path, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        cv2.imwrite(str(drive / f'{number}.png'), np.full((12, 16, 3), 40 * number, np.uint8))
    seen: list[list[int]] = []

    def spy(_source: Path, _target: Path, calibration: Any, samples: Any, **_: object) -> None:
        seen.append([int(image[0, 0, 0]) for image in calibration])
        seen.append([int(sample.image[0, 0, 0]) for sample in samples])
        raise ModelError('seen')

    monkeypatch.setattr(convert, 'convert_to_int8', spy)
    command = ['convert', str(layered_model), '--precision', 'int8', '--calibration', str(drive)]
    assert main([*command, '--calibration-frames', '3', '--out', str(tmp_path / 'x.onnx')]) == 2
    assert seen == [[0, 40, 80], [120, 160, 200]]
