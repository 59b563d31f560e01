# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file
import torch

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_training.checkpoints import CHECKPOINT
from vidseg_training.cli import main
from vidseg_training.data.clips import Scene
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_training import (
    split_scenes,
    train_motion,
    validation_windows,
)
from vidseg_training.motion_weights import WEIGHTS


@pytest.fixture
def config(moving_clip: Path) -> MotionConfig:
    """Return a run of a few seconds."""
    return MotionConfig(
        clips=(str(moving_clip),),
        flow='none',
        width=8,
        crop_size=(64, 64),
        spacing=1,
        epochs=2,
        windows=40,
        batch_size=2,
        checkpoint_steps=4,
    )


def _records(folder: Path) -> list[dict[str, float]]:
    lines = (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    return [json.loads(line) for line in lines]


def _losses(folder: Path) -> dict[float, float]:
    return {record['step']: record['loss'] for record in _records(folder) if 'loss' in record}


def test_training_explains_more_than_the_guess(config: MotionConfig, tmp_path: Path) -> None:
    weights = train_motion(config, tmp_path / 'run')
    scores = [record for record in _records(tmp_path / 'run') if 'psnr' in record]
    assert [record['epoch'] for record in scores] == [1, 2]
    last = scores[-1]
    assert last['psnr'] > last['guess_psnr'] + 3
    assert last['ssim'] > last['guess_ssim']
    assert last['interpolation_error'] < 0.7 * last['guess_interpolation_error']
    assert 'head.weight' in load_file(weights)
    picture = cv2.imread(str(tmp_path / 'run' / 'samples' / 'epoch_0002.png'))
    assert picture is not None
    assert picture.shape[1] > 4 * 96


def test_a_killed_run_resumes_on_the_same_loss_curve(
    config: MotionConfig, train_and_kill: Callable[..., None], tmp_path: Path
) -> None:
    folder = tmp_path / 'killed'
    arguments = ['motion', '--out', str(folder), '--clips', *config.clips]
    arguments += ['--flow', 'none', '--width', '8', '--crop-size', '64', '64']
    arguments += ['--spacing', '1', '--epochs', '2', '--windows', '40', '--batch-size', '2']
    arguments += ['--checkpoint-steps', '4']
    train_and_kill(arguments, folder, steps=6)
    killed_at = len(_losses(folder))
    assert killed_at < 40
    resumed, whole = train_motion(config, folder), train_motion(config, tmp_path / 'whole')
    assert _losses(folder) == _losses(tmp_path / 'whole')
    expected = load_file(whole)
    for name, value in load_file(resumed).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


def test_a_folder_of_other_settings_is_refused(config: MotionConfig, tmp_path: Path) -> None:
    short = replace(config, epochs=1, windows=4)
    train_motion(short, tmp_path)
    with pytest.raises(ParameterError, match=r'other settings \(learning_rate, mode\)'):
        train_motion(replace(short, mode='prediction', learning_rate=1e-4), tmp_path)
    assert train_motion(replace(short, workers=1), tmp_path) == tmp_path / WEIGHTS


def test_a_damaged_checkpoint_is_refused(config: MotionConfig, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b'nonsense')
    with pytest.raises(SourceError, match='cannot read the checkpoint'):
        train_motion(config, tmp_path)
    torch.save({'network': {}}, tmp_path / CHECKPOINT)
    with pytest.raises(SourceError, match='is no checkpoint of vidseg-train'):
        train_motion(config, tmp_path)


def test_scores_of_clips_kept_apart_and_a_flow_of_ones_own(
    config: MotionConfig, tmp_path: Path
) -> None:
    def exact(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        assert first.shape == second.shape
        calls.append(first.shape)
        return np.zeros((*first.shape[:2], 2), np.float32)

    calls: list[tuple[int, ...]] = []
    short = replace(config, flow='own', epochs=1, windows=4, validation=config.clips)
    train_motion(short, tmp_path, exact)
    assert calls == [(64, 64, 3)] * 4 + [(72, 96, 3)] * 10  # windows, then those that are scored
    with pytest.raises(ParameterError, match="flow is 'own' if, and only if, a function is given"):
        train_motion(short, tmp_path)


def test_a_tenth_of_long_scenes_is_kept_for_validation() -> None:
    frames = [np.full((2, 2, 3), index, np.uint8) for index in range(40)]
    long, short = Scene('long', frames), Scene('short', frames[:5])
    train, validation = split_scenes([long, long, short])
    assert [len(scene.frames) for scene in train] == [36, 36, 5]
    assert [len(scene.frames) for scene in validation] == [4, 5]
    assert validation[0].frames[0][0, 0, 0] == 36
    windows = validation_windows(validation)
    assert [window.target[0, 0, 0] for window in windows] == [38, 39, 2, 3, 4]
    assert len(validation_windows([long])) == 16


def test_settings_are_checked(config: MotionConfig) -> None:
    with pytest.raises(ParameterError, match='epochs must be 1 or more, not 0'):
        replace(config, epochs=0)
    with pytest.raises(ParameterError, match='learning_rate must be above zero'):
        replace(config, learning_rate=0)
    with pytest.raises(ParameterError, match='clips: give at least one'):
        replace(config, clips=())
    with pytest.raises(ParameterError, match=r'crop_size must be 64 px or more .* not \(32, 64\)'):
        replace(config, crop_size=(32, 64))
    with pytest.raises(ParameterError, match='windows must be a multiple of batch_size 2, not 5'):
        replace(config, windows=5)


def test_the_command_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / 'none.mp4')
    assert main(['motion', '--out', str(tmp_path / 'run'), '--clips', missing]) == 2
    assert f'vidseg-train: no clip at {missing}' in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(config: MotionConfig, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match=r'cannot write to .*file/run: Not a directory'):
        train_motion(config, tmp_path / 'file' / 'run')


def test_a_run_that_diverges_stops(config: MotionConfig, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r'step \d+: \w+ not finite; lower learning_rate'):
        train_motion(replace(config, learning_rate=1e30), tmp_path)
