# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_ros.cli.main import main
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


def test_arguments_that_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(['convert', 'street', '--precision', 'int8', '--out', 'x.onnx'])
    assert "invalid choice: 'int8'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match='2'):
        main(['convert', 'street', '--precision', 'fp16', '--out', 'x.onnx', '--labels', 'y'])
    assert '--labels needs --check SOURCE' in capsys.readouterr().err
