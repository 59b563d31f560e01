# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_training import cross_validation
from vidseg_training.checkpoints import read_weights
from vidseg_training.config import TrainConfig
from vidseg_training.cross_validation import choose_submission, cross_validate, FoldScore


def test_the_best_on_all_images_is_handed_in_and_not_the_best_on_its_own_fold() -> None:
    scores = [
        FoldScore(held_out=0.9, labelled=0.6),
        FoldScore(held_out=0.2, labelled=0.7),
        FoldScore(held_out=0.5, labelled=0.65),
    ]
    assert choose_submission(scores) == 1


def test_every_fold_is_trained_without_its_images_and_one_is_chosen(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty images, so that a fold has three; the second call trains and scores nothing."""
    rng = np.random.default_rng(0)
    for name, shape, most in (('image_2', (48, 64, 3), 256), ('semantic', (48, 64), 34)):
        folder = tmp_path / 'kitti' / 'training' / name
        folder.mkdir(parents=True)
        for index in range(30):
            pixels = rng.integers(0, most, shape).astype(np.uint8)
            cv2.imwrite(str(folder / f'{index:06}_10.png'), pixels)
    config = replace(
        small_config, dataset='kitti', data=tmp_path / 'kitti', epochs=1, batch_size=9
    )
    text = cross_validate(config, tmp_path / 'out')
    result = json.loads((tmp_path / 'out' / 'cross_validation.json').read_text('utf-8'))
    best = result['submission']
    assert len(result['folds']) == 10
    assert f'handed in: fold {best}, ' in text
    submission = read_weights(tmp_path / 'out' / 'submission.safetensors')
    assert submission.config == replace(config, fold=best)
    assert len(list((tmp_path / 'out').glob('fold_*/last.safetensors'))) == 10
    monkeypatch.setattr(cross_validation, 'score', None)
    assert cross_validate(config, tmp_path / 'out') == text


def test_several_processes_are_refused(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(ParameterError, match=r'is one process, .*: leave out torchrun, or train'):
        cross_validate(replace(small_config, dataset='kitti'), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_data_without_folds_are_refused(small_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r'data set with folds \(kitti\).*not camvid and tra'):
        cross_validate(small_config, tmp_path)
    with pytest.raises(ParameterError, match='not kitti and trainval'):
        cross_validate(replace(small_config, dataset='kitti', train_split='trainval'), tmp_path)
