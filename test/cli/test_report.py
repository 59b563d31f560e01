# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg report` writes the page of a real, small evaluation again."""

from pathlib import Path
import re

import cv2
import numpy as np
import pytest

from vidseg_ros.cli.main import main


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / 'drive'
    folder.mkdir()
    for at in range(4):
        image = np.roll(np.eye(3, dtype=np.uint8)[:, [0, 1, 2]] * 255, at, axis=0)
        picture = image[np.arange(48)[:, None] // 16, np.zeros(64, int)[None]]
        assert cv2.imwrite(str(folder / f'{at:06d}.png'), picture)
    return folder


def test_evaluate_leaves_a_report_that_can_be_written_again(
    drive: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / '[/b]'
    assert main(['evaluate', str(drive), '--model', str(tiny_model), '--out', str(out)]) == 0
    page = (out / 'report.html').read_text()
    (out / 'report.html').unlink()
    assert main(['report', str(out)]) == 0
    assert (out / 'report.html').read_text() == page
    assert 'MB)' in capsys.readouterr().out


def test_no_report(drive: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    argv = ['evaluate', str(drive), '--model', str(tiny_model), '--out', str(out), '--no-report']
    assert main(argv) == 0
    assert (out / 'results.json').is_file()
    assert not (out / 'report.html').exists()
    assert not list(out.rglob('clip'))


def test_no_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['report', str(tmp_path)]) == 2
    assert 'run vidseg evaluate first' in capsys.readouterr().err
    assert main(['report', str(tmp_path / 'nothere')]) == 2
    assert re.fullmatch(
        r'vidseg: there is no folder .*/nothere; name the --out of vidseg evaluate\n',
        capsys.readouterr().err,
    )
