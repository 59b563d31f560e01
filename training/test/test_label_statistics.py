# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_training.config import TrainConfig
from vidseg_training.data import label_statistics
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.class_uniform import class_centroids
from vidseg_training.data.label_statistics import (
    CENTROIDS,
    class_weights,
    COUNTS,
    crop_centroids,
    label_maps,
)
from vidseg_training.data.street import Street
from vidseg_training.fitting import run


@pytest.fixture
def images(camvid_folder: Path, tmp_path: Path) -> CamVid:
    """Return a training set whose files the test may change."""
    shutil.copytree(camvid_folder, tmp_path / 'camvid')
    return CamVid(tmp_path / 'camvid', 'train')


@pytest.fixture
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_statistics, 'label_maps', None)


def test_class_weights_follow_the_formula() -> None:
    class Two:
        label_set = Street.label_set

        def __len__(self) -> int:
            return 1

        @property
        def names(self) -> list[str]:
            return ['the image']

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            labels = np.zeros((10, 10), np.uint8)
            labels[0] = 1  # 10 %
            labels[1] = 255
            return np.zeros((10, 10, 3), np.uint8), labels

    weights = class_weights(Two(), 1.1)
    share = np.array([80 / 90, 10 / 90])
    np.testing.assert_allclose(
        weights[0] / weights[1], np.log(1.1 + share[1]) / np.log(1.1 + share[0]), rtol=1e-6
    )
    assert weights.mean() == pytest.approx(1)


def test_centroids_are_those_of_the_label_maps(images: CamVid, tmp_path: Path) -> None:
    expected = class_centroids(label_maps(images, 6, 'test'), 11, 20)
    assert crop_centroids(images, 20, folder=tmp_path) == expected
    assert crop_centroids(images, 20, folder=tmp_path) == expected
    assert sum(len(of_class) for of_class in expected) > 50


def test_the_bar_says_what_is_done(
    images: CamVid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def track(indices: range, description: str, **_: bool) -> range:
        said.append(description)
        return indices

    monkeypatch.setattr(label_statistics, 'track', track)
    monkeypatch.setattr(Street, '__len__', lambda _: 1)
    class_weights(Street('val', (24, 32)), 1.1)
    class_weights(images, 1.1)
    crop_centroids(images, 20, folder=tmp_path)
    assert said == [
        'rendering clips to count classes',
        'reading label maps to count classes',
        'reading label maps to place crops',
    ]


def test_what_was_counted_is_not_counted_again(
    images: CamVid, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    weights, centroids = (
        class_weights(images, 1.1, tmp_path),
        crop_centroids(images, 20, (), tmp_path),
    )
    request.getfixturevalue('nothing_is_read')
    np.testing.assert_array_equal(class_weights(images, 1.1, tmp_path), weights)
    assert (class_weights(images, 1.5, tmp_path) != weights).any(), 'counts are kept, not weights'
    assert crop_centroids(images, 20, (), tmp_path) == centroids
    with pytest.raises(TypeError):
        crop_centroids(images, 30, (), tmp_path)  # other tiles are read for


@pytest.mark.parametrize('damage', ['label map', 'cut short', 'flipped', 'empty', 'no file'])
def test_changed_labels_and_damaged_files_are_counted_again(
    images: CamVid, tmp_path: Path, damage: str
) -> None:
    before = class_weights(images, 1.1, tmp_path)
    kept = tmp_path / COUNTS
    if damage == 'label map':
        path = tmp_path / 'camvid' / 'trainannot' / '000.png'
        cv2.imwrite(str(path), np.zeros((48, 64), np.uint8))
    elif damage == 'cut short':
        kept.write_bytes(kept.read_bytes()[:50])
    elif damage == 'flipped':
        data = bytearray(kept.read_bytes())
        data[len(data) // 3] ^= 255
        kept.write_bytes(data)
    elif damage == 'empty':
        kept.write_bytes(b'')
    else:
        kept.unlink()
    after = class_weights(images, 1.1, tmp_path)
    np.testing.assert_array_equal(after, class_weights(images, 1.1))
    assert (after != before).any() == (damage == 'label map')


def test_a_resumed_run_reads_no_label_map_for_counting(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(small_config, class_uniform=0.5, class_uniform_tile=20)
    run(config, tmp_path)
    assert {COUNTS, CENTROIDS} <= {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr(label_statistics, 'label_maps', None)
    run(config, tmp_path)


def test_a_wrong_setting_spoils_nothing_that_was_counted(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(small_config, class_uniform=0.5, class_uniform_tile=20)
    run(config, tmp_path)
    before = (tmp_path / CENTROIDS).read_bytes()
    with pytest.raises(ParameterError, match='class_uniform_tile'):
        run(replace(config, class_uniform_tile=30), tmp_path)
    assert (tmp_path / CENTROIDS).read_bytes() == before


def test_of_several_processes_all_read_and_the_first_one_writes(
    images: CamVid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_statistics, 'process_index', lambda: 1)
    weights = class_weights(images, 1.1, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
    monkeypatch.setattr(label_statistics, 'process_index', lambda: 0)
    class_weights(images, 1.1, tmp_path / 'run')
    monkeypatch.setattr(label_statistics, 'process_index', lambda: 1)
    monkeypatch.setattr(label_statistics, 'label_maps', None)
    np.testing.assert_array_equal(class_weights(images, 1.1, tmp_path / 'run'), weights)


def test_nothing_but_void_is_refused(images: CamVid, tmp_path: Path) -> None:
    for path in (tmp_path / 'camvid' / 'trainannot').iterdir():
        cv2.imwrite(str(path), np.full((48, 64), 11, np.uint8))
    with pytest.raises(SourceError, match='label maps of all training images are void'):
        class_weights(images, 1.1)
