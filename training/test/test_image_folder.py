# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
import shutil
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from vidseg_ros.core.errors import SourceError
from vidseg_training.data import image_folder, open_dataset, Split
from vidseg_training.data.image_folder import ImageFolder
from vidseg_training.data.label_statistics import class_weights, crop_centroids
from vidseg_training.recipes import RECIPES

_DESCRIPTION = {
    'name': 'my drive',
    'licence': 'CC0',
    'classes': [
        {'name': 'road', 'color': [128, 64, 128]},
        {'name': 'tram', 'color': [0, 60, 100]},
    ],
    'void': [7],
    'train': {'images': 'train/pictures', 'masks': 'train/masks'},
    'val': {'images': 'val/pictures', 'masks': 'val/masks'},
}


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Return a data set of 2 images of 20x32 a split: left half road, then tram and void."""
    mask = np.zeros((20, 32), np.uint8)
    mask[:, 16:24], mask[:, 24:28], mask[:, 28:] = 1, 7, 255
    for split in ('train', 'val'):
        for folder in ('pictures', 'masks'):
            (tmp_path / split / folder).mkdir(parents=True)
        for name, ending in (('a', 'png'), ('b', 'jpg')):
            picture = np.full((20, 32, 3), (250, 0, 0), np.uint8)  # blue, in OpenCV's order
            cv2.imwrite(str(tmp_path / split / 'pictures' / f'{name}.{ending}'), picture)
            cv2.imwrite(str(tmp_path / split / 'masks' / f'{name}.png'), mask)
    _describe(tmp_path)
    return tmp_path


def _describe(folder: Path, **changes: Any) -> None:
    plain = {**_DESCRIPTION, **changes}
    plain = {key: value for key, value in plain.items() if value is not None}
    YAML(typ='safe').dump(plain, folder / 'dataset.yaml')


def test_images_come_with_their_masks(drive: Path) -> None:
    images = ImageFolder(drive, 'train')
    assert images.names == ['a.png', 'b.jpg']
    assert images.label_set.names == ('road', 'tram')
    assert images.label_set.colors[1] == (0, 60, 100)
    assert (images.source.name, images.source.licence) == ('my drive, train', 'CC0')
    for image, labels in (images[0], images[1]):
        assert image.shape == (20, 32, 3)
        assert image[..., 2].min() > 240
        assert image[..., 0].max() < 10  # RGB
        assert labels.dtype == np.uint8
        assert (labels[:, :16] == 0).all()
        assert (labels[:, 16:24] == 1).all()
        assert (labels[:, 24:] == 255).all()


def test_images_are_shrunk_to_the_network(drive: Path) -> None:
    images = ImageFolder(drive, 'val', (10, 16))
    image, labels = images[0]
    np.testing.assert_array_equal(images.labels(0), labels)
    assert image.shape == (10, 16, 3)
    np.testing.assert_array_equal(labels[0], [0] * 8 + [1] * 4 + [255] * 4)


def test_shrunken_images_are_read_once(drive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImageFolder(drive, 'train', (10, 16))
    first = images[0]
    (drive / 'train' / 'pictures' / 'a.png').unlink()
    for again, before in zip(images[0], first, strict=True):
        np.testing.assert_array_equal(again, before)
    monkeypatch.setattr(image_folder, 'MOST_KEPT', 2 * 10 * 16 * 4 - 1)  # there is room for one
    images[1]
    (drive / 'train' / 'pictures' / 'b.jpg').unlink()
    with pytest.raises(SourceError, match=r'b\.jpg'):
        images[1]


def test_without_test_images_the_validation_images_score(drive: Path) -> None:
    assert ImageFolder(drive, 'test').title == 'my drive val'
    shutil.copytree(drive / 'val', drive / 'test')
    _describe(drive, test={'images': 'test/pictures', 'masks': 'test/masks'})
    assert ImageFolder(drive, 'test').title == 'my drive test'
    assert ImageFolder(drive, 'trainval').names == ['a.png', 'b.jpg'] * 2


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'licence': None}, 'licence is missing'),
        ({'classes': [{'name': 'road'}]}, 'classes must be class names, or'),
        ({'classes': 'road'}, "or a list, not 'road'"),
        ({'classes': 3}, 'classes must be a list of'),
        ({'void': [300]}, r'void must be a list of ids from 0 to 255, not \[300\]'),
        ({'void': [254.0]}, r'void must be a list of ids from 0 to 255, not \[254\.0\]'),
        ({'train': {'images': None, 'masks': None}}, 'train must be {images: FOLDER, masks'),
        ({'train': {'images': 1, 'masks': 'x'}}, 'train must be {images: FOLDER, masks: FOLDER}'),
        ({'train': 'train'}, 'train must be {images: FOLDER, masks: FOLDER}, not train'),
        ({'train': {'images': 'nowhere', 'masks': 'x'}}, r'no images: train: .* in .*nowhere'),
        ({'void': []}, r'masks/a\.png has the ids \[7\], which are neither a class nor void'),
    ],
)
def test_a_wrong_description_says_what_is_wrong(
    drive: Path, changes: dict[str, Any], message: str
) -> None:
    _describe(drive, **changes)
    with pytest.raises(SourceError, match=message) as caught:
        ImageFolder(drive, 'train')[0]
    assert 'dataset.yaml' in str(caught.value)
    assert 'docs/own_data.md' in str(caught.value)


@pytest.mark.parametrize('text', ['a: [', '- 1', ''])
def test_a_description_that_is_no_mapping_is_refused(drive: Path, text: str) -> None:
    (drive / 'dataset.yaml').write_text(text, encoding='utf-8')
    with pytest.raises(SourceError, match=r'cannot be read|is no mapping'):
        ImageFolder(drive, 'train')


def test_a_missing_description_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'dataset\.yaml: cannot be read'):
        ImageFolder(tmp_path, 'train')


def test_bad_files_are_named(drive: Path) -> None:
    masks, pictures = drive / 'train' / 'masks', drive / 'train' / 'pictures'
    cv2.imwrite(str(masks / 'a.png'), np.zeros((20, 30), np.uint8))
    with pytest.raises(SourceError, match=r'a\.png differs in size from its image'):
        ImageFolder(drive, 'train')[0]
    cv2.imwrite(str(masks / 'a.png'), np.zeros((20, 32, 3), np.uint8))
    with pytest.raises(SourceError, match=r'a\.png has the mode RGB; expected one 8-bit channel'):
        ImageFolder(drive, 'train')[0]
    (pictures / 'a.png').write_bytes(b'no picture')
    with pytest.raises(SourceError, match=r'cannot read the image .*a\.png'):
        ImageFolder(drive, 'train')[0]
    (pictures / 'b.jpg').unlink()
    with pytest.raises(SourceError, match=r'no image for the label map .*b\.png \(1 missing\)'):
        ImageFolder(drive, 'train')
    shutil.copyfile(pictures / 'a.png', pictures / 'c.png')
    with pytest.raises(SourceError, match=r'no label map .*c\.png \(1 missing\)'):
        ImageFolder(drive, 'train')


def test_splits_may_share_a_folder_of_masks(drive: Path) -> None:
    description = drive / 'dataset.yaml'
    both = drive / 'all_masks'
    both.mkdir()
    for split in ('train', 'val'):
        for mask in (drive / split / 'masks').iterdir():
            shutil.copyfile(mask, both / mask.name)
    text = description.read_text(encoding='utf-8')
    shared = text.replace('train/masks', 'all_masks').replace('val/masks', 'all_masks')
    assert shared.count('all_masks') == 2
    description.write_text(shared, encoding='utf-8')
    assert ImageFolder(drive, 'train').names == ['a.png', 'b.jpg']
    (both / 'z.png').touch()
    with pytest.raises(SourceError, match=r'no image for .*z\.png \(1 missing\)'):
        ImageFolder(drive, 'train')


def test_what_was_counted_at_one_size_is_not_taken_for_another(
    drive: Path, tmp_path: Path
) -> None:
    kept = tmp_path / 'run'
    for size in ((10, 16), (5, 8), None):
        images = ImageFolder(drive, 'train', size)
        assert crop_centroids(images, 4, folder=kept) == crop_centroids(images, 4)
    weights = class_weights(images, 1.1, kept)
    _describe(drive, void=[1, 7])
    assert class_weights(ImageFolder(drive, 'train'), 1.1, kept).tolist() != weights.tolist()


def test_scores_are_taken_at_the_size_of_the_images(drive: Path) -> None:
    config = replace(RECIPES['own_compact'](), data=drive, input_size=(16, 16))
    shapes = {split: open_dataset(config, split)[0][1].shape for split in get_args(Split)}
    whole, shrunk = (20, 32), (16, 16)
    assert shapes == {'train': shrunk, 'trainval': shrunk, 'val': whole, 'test': whole}
