# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

from cityscapesscripts.helpers import labels as official
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CITYSCAPES
from vidseg_training.data.cityscapes import Cityscapes, CITYSCAPES_IDS, CityscapesCoarse

WritePair = Callable[..., None]


@pytest.fixture
def cityscapes(tmp_path: Path, write_pair: WritePair) -> Path:
    """Return a Cityscapes of one image a split, with coarse labels and two more frames."""
    for split, kind, name in (
        ('train', 'gtFine', 'aachen_000000_000019'),
        ('val', 'gtFine', 'lindau_000001_000019'),
        ('train_extra', 'gtCoarse', 'bayreuth_000000_000350'),
    ):
        city = name.partition('_')[0]
        write_pair(
            tmp_path / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png',
            tmp_path / kind / split / city / f'{name}_{kind}_labelIds.png',
            [[7, 33], [6, 24]],  # road, bicycle, ground, person
        )
    sequence = tmp_path / 'leftImg8bit_sequence' / 'train' / 'aachen'
    for frame in (18, 21):
        path = sequence / f'aachen_000000_{frame:06}_leftImg8bit.png'
        write_pair(path, tmp_path / 'unused.png', [[frame]])
    return tmp_path


def test_ids_are_those_of_the_official_scripts() -> None:
    for label in official.labels:
        if label.id >= 0:
            assert CITYSCAPES_IDS[label.id] == label.trainId
            if label.trainId != 255:
                assert CITYSCAPES.names[label.trainId] == label.name
    assert CITYSCAPES_IDS[255] == 255
    assert (CITYSCAPES_IDS[34:255] == -1).all()


@pytest.mark.parametrize(
    ('data_set', 'split', 'names'),
    [
        (Cityscapes, 'train', ['aachen_000000_000019']),
        (Cityscapes, 'val', ['lindau_000001_000019']),
        (Cityscapes, 'test', ['lindau_000001_000019']),
        (Cityscapes, 'trainval', ['aachen_000000_000019', 'lindau_000001_000019']),
        (CityscapesCoarse, 'train', ['bayreuth_000000_000350']),
        (CityscapesCoarse, 'test', ['lindau_000001_000019']),
    ],
)
def test_splits(
    cityscapes: Path, data_set: type[Cityscapes], split: str, names: list[str]
) -> None:
    images = data_set(cityscapes, split)  # type: ignore[arg-type]  # parametrised
    assert images.names == [f'{name}_leftImg8bit.png' for name in names]
    image, labels = images[0]
    assert image[0, 0].tolist() == [21, 0, 0]
    assert labels[::8, ::8].tolist() == [[0, 18], [255, 11]]


def test_titles_say_what_scores(cityscapes: Path) -> None:
    assert Cityscapes(cityscapes, 'test').title == 'Cityscapes val gtFine'
    title = 'Cityscapes train_extra gtCoarse and val gtFine'
    assert CityscapesCoarse(cityscapes, 'trainval').title == title


def test_neighbours_come_from_the_snippet(cityscapes: Path) -> None:
    images = Cityscapes(cityscapes, 'train')
    assert images.neighbour(0, -1)[0, 0].tolist() == [54, 0, 0]
    assert images.neighbour(0, 2)[0, 0].tolist() == [63, 0, 0]
    with pytest.raises(SourceError, match=r'000000_000020_leftImg8bit\.png.*leftImg8bit_sequence'):
        images.neighbour(0, 1)
    for offset in (-20, 11):
        with pytest.raises(
            SourceError, match=r'aachen_000000_000019_leftImg8bit\.png: .*frames -19 to \+10'
        ):
            images.neighbour(0, offset)


def test_missing_parts_are_named(cityscapes: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='leftImg8bit/train; expected the folder of Cityscapes'):
        Cityscapes(tmp_path / 'nowhere', 'train')
    (cityscapes / 'gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png').unlink()
    with pytest.raises(SourceError, match=r'lindau_000001_000019_gtFine_labelIds\.png \(1 miss'):
        Cityscapes(cityscapes, 'val')
