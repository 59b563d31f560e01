# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import LabelSet
from vidseg_training.config import TrainConfig
from vidseg_training.data import DATASETS, open_dataset
from vidseg_training.data.image_files import read_image
from vidseg_training.data.image_pairs import (
    find_pairs,
    id_table,
    ImagePairs,
    Pair,
)
from vidseg_training.data.label_statistics import label_maps

WritePair = Callable[..., None]


class _Two(ImagePairs):
    layout = 'expected two files'
    label_set = LabelSet(names=('road', 'car'), colors=((0, 0, 0), (1, 1, 1)))


@pytest.fixture
def pair(tmp_path: Path, write_pair: WritePair) -> Pair:
    """Return a pair with the ids 4 (road), 9 (car), 0 and 255 (void)."""
    files = Pair('first', tmp_path / 'image.png', tmp_path / 'ids.png')
    write_pair(files.image, files.labels, [[4, 9], [0, 255]])
    return files


def _open(pair: Pair) -> _Two:
    return _Two('two', [pair], id_table({4: 0, 9: 1}, void=[0, 255]))


def test_ids_become_classes(pair: Pair) -> None:
    images = _open(pair)
    assert (len(images), images.names, images.title) == (1, ['first'], 'two')
    image, labels = images[0]
    assert image.shape == (16, 16, 3)
    assert image[0, 0].tolist() == [12, 0, 0]  # RGB
    assert (labels.dtype, labels[::8, ::8].tolist()) == (np.uint8, [[0, 1], [255, 255]])


def test_label_maps_are_read_without_their_images(pair: Pair) -> None:
    images = _open(pair)
    expected = images[0][1]
    pair.image.unlink()
    (labels,) = label_maps(images, 1, 'see one')
    np.testing.assert_array_equal(labels, expected)
    pair.labels.unlink()
    with pytest.raises(SourceError, match=r'cannot read the mask .*; expected two files'):
        images.labels(0)


def test_a_class_may_be_void() -> None:
    table = id_table({0: 0, 2: 1}, void=[1])
    assert table[:4].tolist() == [0, 255, 1, -1]


def test_an_unknown_id_is_named(pair: Pair, write_pair: WritePair) -> None:
    write_pair(pair.image, pair.labels, [[4, 5], [7, 5]])
    message = r'ids\.png has the ids \[5, 7\], which are neither.*; expected two files'
    with pytest.raises(SourceError, match=message):
        _open(pair)[0]


def test_another_size_is_refused(pair: Pair) -> None:
    cv2.imwrite(str(pair.labels), np.zeros((16, 20), np.uint8))
    message = r'ids\.png differs in size from its image: 20x16 against 16x16; expected two'
    with pytest.raises(SourceError, match=message):
        _open(pair)[0]


@pytest.mark.parametrize('ending', ['png', 'jpg'])
@pytest.mark.parametrize('share', [0.0, 0.5, 0.98])
def test_a_truncated_image_is_refused(
    pair: Pair, tmp_path: Path, ending: str, share: float
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    path = tmp_path / f'noise.{ending}'
    cv2.imwrite(str(path), noise)
    assert read_image(path).shape == (16, 16, 3)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=rf'image .*noise\.{ending}: .*; expected two files'):
        _open(pair._replace(image=path))[0]


def test_what_is_missing_of_pairs_is_named(tmp_path: Path) -> None:
    def find(images: list[Path], label_files: list[Path] | None = None) -> list[Pair]:
        return find_pairs(
            images,
            label_files or [],
            where=tmp_path,
            layout='give pairs',
            name=lambda path: path.stem,
            labels=lambda path: path / 'ids.png',
        )

    with pytest.raises(SourceError, match=rf'no images: {tmp_path}; give pairs'):
        find([])
    with pytest.raises(SourceError, match=r'a/ids\.png \(2 missing\); give pairs'):
        find([tmp_path / 'b', tmp_path / 'a'])
    for name in 'abcd':
        (tmp_path / name).mkdir()
        (tmp_path / name / 'ids.png').touch()
    label_files = list(tmp_path.glob('*/ids.png'))
    with pytest.raises(SourceError, match=r'no image for .*b/ids\.png \(2 missing\); give pairs'):
        find([tmp_path / 'a', tmp_path / 'd'], label_files)
    assert len(find([tmp_path / name for name in 'abcd'], label_files)) == 4


def test_every_data_set_can_be_chosen() -> None:
    assert set(get_args(get_type_hints(TrainConfig)['dataset'])) == set(DATASETS)


def test_a_recipe_may_train_on_the_validation_images(small_config: TrainConfig) -> None:
    both = replace(small_config, train_split='trainval')
    assert open_dataset(both, 'train').title == 'CamVid trainval'
    assert len(open_dataset(both, 'train')) == 12
    assert open_dataset(both, 'val').title == open_dataset(small_config, 'val').title
    assert len(open_dataset(both, 'val')) == len(open_dataset(small_config, 'train')) == 6


def test_generated_validation_images_may_be_trained_on() -> None:
    config = TrainConfig(name='x', network='compact', dataset='street', train_split='trainval')
    images = open_dataset(config, 'train')
    assert images.title == 'procedural street clips, seeds 1000 to 1063 and 2000 to 2003'
    assert len(images) == 544
