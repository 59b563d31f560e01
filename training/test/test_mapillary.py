# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
import json
from pathlib import Path

import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_training.data.mapillary import MapillaryVistas

WritePair = Callable[..., None]

_LABELS = [
    ('animal--bird', 'Bird', [165, 42, 42], True),
    ('void--static', 'Static', [0, 0, 0], False),
    ('construction--flat--road', 'Road', [128, 64, 128], True),
    ('construction--flat--parking', 'Parking', [250, 170, 160], True),
    ('object--parking', 'Parking', [0, 0, 1], True),
    ('void--unlabeled', 'Unlabeled', [0, 0, 0], False),
]


def _write_config(path: Path) -> None:
    keys = ('name', 'readable', 'color', 'evaluate')
    labels = [dict(zip(keys, label, strict=True)) for label in _LABELS]
    path.write_text(json.dumps({'labels': labels, 'version': '0'}), encoding='utf-8')


@pytest.fixture
def vistas(tmp_path: Path, write_pair: WritePair) -> Path:
    """Return a release with both versions: 2.0 has the ids of 1.2 turned round."""
    for split in ('training', 'validation'):
        image = tmp_path / split / 'images' / f'{split}_a.jpg'
        for version, ids in (('v1.2', [[0, 1], [2, 5]]), ('v2.0', [[4, 3], [2, 0]])):
            write_pair(image, tmp_path / split / version / 'labels' / f'{image.stem}.png', ids)
    for version in ('1.2', '2.0'):
        _write_config(tmp_path / f'config_v{version}.json')
    return tmp_path


def test_classes_are_those_that_the_release_evaluates(vistas: Path) -> None:
    images = MapillaryVistas(vistas, 'train', '1.2')
    assert images.label_set.names == (
        'bird',
        'road',
        'construction--flat--parking',
        'object--parking',
    )
    assert images.label_set.colors[1] == (128, 64, 128)
    assert images.source.name == 'Mapillary Vistas 1.2, train'
    assert images.names == ['training_a.jpg']
    assert images[0][1][::8, ::8].tolist() == [[0, 255], [1, 255]]


def test_versions_and_splits(vistas: Path) -> None:
    images = MapillaryVistas(vistas, 'test', '2.0')
    assert (images.title, images.names) == (
        'Mapillary Vistas 2.0 validation',
        ['validation_a.jpg'],
    )
    assert images[0][1][::8, ::8].tolist() == [[3, 2], [1, 0]]
    assert len(MapillaryVistas(vistas, 'trainval', '2.0')) == 2


def test_a_release_of_version_1_alone(tmp_path: Path, write_pair: WritePair) -> None:
    labels = tmp_path / 'training' / 'labels' / 'a.png'
    write_pair(tmp_path / 'training' / 'images' / 'a.jpg', labels, [[2]])
    _write_config(tmp_path / 'config.json')
    assert MapillaryVistas(tmp_path, 'train', '1.2')[0][1].max() == 1


def test_an_id_behind_the_list_is_named(vistas: Path, write_pair: WritePair) -> None:
    image = vistas / 'training' / 'images' / 'training_a.jpg'
    write_pair(image, vistas / 'training' / 'v1.2' / 'labels' / 'training_a.png', [[6, 2]])
    with pytest.raises(SourceError, match=r'training_a\.png has the ids \[6\], which are'):
        MapillaryVistas(vistas, 'train', '1.2')[0]


@pytest.mark.parametrize('text', ['', '[]', '{"labels": [{"readable": "A"}]}', '{"labels": []}'])
def test_a_wrong_list_of_classes_is_named(vistas: Path, text: str) -> None:
    (vistas / 'config_v2.0.json').write_text(text, encoding='utf-8')
    with pytest.raises(SourceError, match=r'classes of .*config_v2\.0\.json.*; expected the fold'):
        MapillaryVistas(vistas, 'train', '2.0')


def test_missing_parts_are_named(vistas: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'cannot read the classes of .*nowhere/config\.json'):
        MapillaryVistas(tmp_path / 'nowhere', 'train', '1.2')
    (vistas / 'training' / 'v2.0' / 'labels' / 'training_a.png').unlink()
    with pytest.raises(SourceError, match=r'v2\.0/labels/training_a\.png \(1 missing\)'):
        MapillaryVistas(vistas, 'train', '2.0')
