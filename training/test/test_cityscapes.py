# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
import shutil

from cityscapesscripts.helpers import labels as official
import pytest

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.labels import CITYSCAPES
from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.cityscapes import Cityscapes, CITYSCAPES_IDS, CityscapesCoarse
from vidseg_training.data.sampling import TrainingSet
from vidseg_training.loop import Run
from vidseg_training.networks.compact import CompactNet

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


def test_coarse_images_follow_for_boosted_classes(cityscapes: Path) -> None:
    images = Cityscapes(cityscapes, 'trainval', boosted=True)
    assert [name.partition('_')[0] for name in images.names] == ['aachen', 'lindau', 'bayreuth']
    assert (len(images), images.boost_from) == (3, 2)
    assert images.source.name == 'Cityscapes fine and coarse, train'
    scored = Cityscapes(cityscapes, 'test', boosted=True)
    assert len(scored) == scored.boost_from == 1


def test_boosted_classes_are_drawn_from_coarse_images(cityscapes: Path, tmp_path: Path) -> None:
    for folder in ('leftImg8bit/train', 'gtFine/train'):
        (one,) = (cityscapes / folder / 'aachen').iterdir()
        for number in range(1, 6):
            shutil.copy(one, one.with_name(one.name.replace('000000', f'{number:06}', 1)))
    config = TrainConfig(
        name='cityscapes_dual_resolution',
        network='compact',
        dataset='cityscapes',
        data=cityscapes,
        crop_size=(16, 16),
        epochs=40,
        batch_size=3,
        class_uniform=1.0,
        boost_classes=('bicycle',),
    )
    images = open_dataset(config, 'train')
    run = Run(config, CompactNet(19), TrainingSet(images), tmp_path / 'run')
    draws = list(run._sampler.samples(0))
    # six fine images, two crops each of road, bicycle and person; bicycles are in seven images
    assert (len(images), len(draws), run.batches) == (7, 6, 2)
    found: dict[int, set[int]] = {}
    for epoch in range(20):
        for draw in run._sampler.samples(epoch):
            assert draw.contain is not None
            found.setdefault(images[draw.image][1][draw.contain], set()).add(draw.image)
    # the last epochs are not class-uniform, and so fine alone
    assert {draw.image for draw in run._sampler.samples(39)} == set(range(6))
    assert found == {0: set(range(6)), 18: set(range(7)), 11: set(range(6))}
    with pytest.raises(ParameterError, match='boost_classes: tram not among road, sidewalk'):
        Run(
            replace(config, boost_classes=('tram',)),
            CompactNet(19),
            TrainingSet(images),
            tmp_path / 'other',
        )


def test_a_boost_needs_coarse_images_and_uniform_crops() -> None:
    config = TrainConfig(name='x', network='compact', dataset='cityscapes', class_uniform=0.5)
    for setting in ({'dataset': 'camvid'}, {'class_uniform': 0.0}):
        with pytest.raises(ParameterError, match='boost_classes needs class_uniform crops, and'):
            replace(config, boost_classes=('rider',), **setting)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match='boost_classes and propagation: a run has one of th'):
        replace(
            config,
            boost_classes=('rider',),
            propagation='joint',
            propagated=Path('samples'),
            propagated_licence='MIT',
        )


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
