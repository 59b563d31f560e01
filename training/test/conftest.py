# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the training tests."""

from collections.abc import Callable
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch

from vidseg_training.checkpoints import CHECKPOINT
from vidseg_training.config import TrainConfig


@pytest.fixture(scope='session')
def camvid_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny CamVid: 6 images of 48x64 a split, coloured blocks with ids 0 to 11."""
    folder = tmp_path_factory.mktemp('camvid')
    rng = np.random.default_rng(0)
    for split in ('train', 'val', 'test'):
        (folder / split).mkdir()
        (folder / f'{split}annot').mkdir()
        for index in range(6):
            labels = rng.integers(0, 12, (3, 4)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
            image = np.stack([labels * 20, 255 - labels * 20, labels * 7], axis=-1)
            cv2.imwrite(str(folder / split / f'{index:03}.png'), image)
            cv2.imwrite(str(folder / f'{split}annot' / f'{index:03}.png'), labels)
    return folder


@pytest.fixture
def small_config(camvid_folder: Path) -> TrainConfig:
    """Return a run of a few seconds."""
    return TrainConfig(
        name='camvid_fddwnet',
        network='compact',
        dataset='camvid',
        data=camvid_folder,
        input_size=(48, 64),
        crop_size=(32, 48),
        epochs=3,
        batch_size=2,
        learning_rate=1e-2,
        warmup_steps=1,
        checkpoint_steps=2,
        validate_epochs=3,
    )


@pytest.fixture(scope='session')
def write_pair() -> Callable[..., None]:
    """Return what writes an image, whose red channel is 3 x id, and its map of ids."""

    def write(image: Path, labels: Path, ids: object) -> None:
        pixels = np.array(ids, np.uint8).repeat(8, 0).repeat(8, 1)
        for path in (image, labels):
            path.parent.mkdir(parents=True, exist_ok=True)
        blank = np.zeros_like(pixels)
        assert cv2.imwrite(str(image), np.stack([blank, blank, pixels * 3], axis=-1))
        assert cv2.imwrite(str(labels), pixels)

    return write


@pytest.fixture(scope='session')
def moving_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 12 frames of 72x96 px: one soft texture, 2 px further left in each."""
    folder = tmp_path_factory.mktemp('moving')
    noise = np.random.default_rng(0).uniform(0, 255, (72, 128, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    texture = cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    for index in range(12):
        frame = texture[:, 2 * index : 2 * index + 96]
        cv2.imwrite(str(folder / f'drive_{index:03}.png'), frame)
    return folder


@pytest.fixture
def train_and_kill(tmp_path: Path) -> Callable[..., None]:
    """Return what runs ``vidseg-train`` and kills it once it has a checkpoint and some steps."""

    def kill(arguments: list[str], folder: Path, *, steps: int) -> None:
        code = f'from vidseg_training.cli import main; main({arguments!r})'
        threads = {'OMP_NUM_THREADS': str(torch.get_num_threads())}  # others sum differently
        log = tmp_path / 'log'
        with log.open('wb') as stream:
            process = subprocess.Popen(
                [sys.executable, '-c', code],
                stdout=stream,
                stderr=stream,
                env=os.environ | threads,
            )
            try:
                deadline = time.monotonic() + 120
                while not (folder / CHECKPOINT).exists() or _steps(folder) < steps:
                    assert process.poll() is None, log.read_text(encoding='utf-8')
                    assert time.monotonic() < deadline
                    time.sleep(0.005)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait(10)

    return kill


def _steps(folder: Path) -> int:
    lines = (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    return sum('"loss"' in line for line in lines)
