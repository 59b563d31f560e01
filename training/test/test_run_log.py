# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
from pathlib import Path
import sys

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import OutputError, ParameterError
from vidseg_training.config import TrainConfig
from vidseg_training.fitting import run
from vidseg_training.run_log import RunLog

pytest.importorskip('tensorboard', reason='TensorBoard is not installed')

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def test_tensorboard_has_losses_scores_and_pictures(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    run(replace(small_config, tensorboard=True, sample_pictures=2), tmp_path)
    lines = (tmp_path / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    records = [json.loads(line) for line in lines]
    events = EventAccumulator(str(tmp_path / 'tensorboard')).Reload()
    for name in ('loss', 'learning_rate', 'validation_miou'):
        curve = [(event.step, event.value) for event in events.Scalars(name)]
        logged = [(record['step'], record[name]) for record in records if name in record]
        assert [step for step, _ in curve] == [step for step, _ in logged]
        assert [y for _, y in curve] == pytest.approx([y for _, y in logged], rel=1e-6)
    assert len(events.Scalars('loss')) == 9
    shown = cv2.imread(str(tmp_path / 'samples' / 'epoch_0003.png'))
    (picture,) = events.Images('samples')
    assert (picture.height, picture.width) == shown.shape[:2]
    assert picture.height > 2 * 48
    assert picture.width > 2 * 64


def test_pictures_are_rgb(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 200
    RunLog(tmp_path, 0).picture(0, 'red', image)
    assert cv2.imread(str(tmp_path / 'samples' / 'red.png'))[0, 0].tolist() == [0, 0, 200]


def test_missing_tensorboard_is_named(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    with pytest.raises(ParameterError, match=r"pip install 'vidseg-training\[tensorboard\]'"):
        run(replace(small_config, tensorboard=True), tmp_path)


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'log.jsonl').mkdir()
    with pytest.raises(OutputError, match=r'cannot write .*log\.jsonl: Is a directory; choose'):
        RunLog(tmp_path, 0)
    (tmp_path / 'log.jsonl').rmdir()
    log = RunLog(tmp_path, 0)
    (tmp_path / 'log.jsonl').mkdir()
    with pytest.raises(OutputError, match=r'cannot write .*log\.jsonl.*make room'):
        log.write(0, loss=1.0)


def _first_half(folder: Path) -> list[str]:
    """Write what a run logs that is killed in its fourth step; return the lines."""
    log = RunLog(folder, 0)
    for step in range(3):
        log.write(step, loss=1.0)
    log.write(3, epoch=1, validation_miou=0.5)
    log.write(3, loss=1.0)
    return (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines(keepends=True)


@pytest.mark.parametrize(('checkpoint', 'kept'), [(0, 0), (2, 2), (3, 4), (4, 5)])
def test_a_run_that_goes_on_has_every_step_once(
    tmp_path: Path, checkpoint: int, kept: int
) -> None:
    """Also of a run from before its first checkpoint, whose settings may have been others."""
    lines = _first_half(tmp_path)
    RunLog(tmp_path, checkpoint)
    assert (tmp_path / 'log.jsonl').read_text(encoding='utf-8') == ''.join(lines[:kept])


def test_half_a_line_is_forgotten(tmp_path: Path) -> None:
    lines = _first_half(tmp_path)
    with (tmp_path / 'log.jsonl').open('a', encoding='utf-8') as log:
        log.write('{"step": 4, "lo')
    RunLog(tmp_path, 5).write(4, loss=2.0)
    kept = (tmp_path / 'log.jsonl').read_text(encoding='utf-8')
    assert kept == ''.join(lines) + '{"step": 4, "loss": 2.0}\n'


def test_a_process_that_does_not_write_leaves_the_log_alone(tmp_path: Path) -> None:
    lines = _first_half(tmp_path)
    RunLog(tmp_path, 0, writes=False, tensorboard=True)
    assert [path.name for path in tmp_path.iterdir()] == ['log.jsonl']
    assert (tmp_path / 'log.jsonl').read_text(encoding='utf-8') == ''.join(lines)
