# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import pytest

from vidseg_ros.core.fleet import Outcome
from vidseg_ros.core.fleet.job_progress import job_progress


def test_bars_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('TTY_COMPATIBLE', '1')
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLUMNS', '100')
    with job_progress(['first', '[b]second']) as (on_progress, on_result):
        on_progress(1, 3, 7)
        on_result(0, Outcome(job=0, result=1, error=None, attempts=1))
    said = capsys.readouterr().err
    assert '1/2' in said
    assert '[b]second' in said
    assert '3/7' in said


def test_nothing_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with job_progress(['first']) as (on_progress, on_result):
        on_progress(0, 1, None)
        on_result(0, Outcome(job=0, result=1, error=None, attempts=1))
    assert capsys.readouterr() == ('', '')
