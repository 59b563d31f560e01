# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Label sets refuse what cannot be a label set, and paint their ids."""

import numpy as np
import pytest

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.labels import (
    CAMVID,
    CITYSCAPES,
    IGNORE_ID,
    LabelSet,
    STREET,
)

BLACK = (0, 0, 0)


@pytest.mark.parametrize(
    ('labels', 'count', 'some'),
    [
        (CAMVID, 11, {0: 'sky', 3: 'road', 10: 'bicyclist'}),
        (CITYSCAPES, 19, {0: 'road', 10: 'sky', 18: 'bicycle'}),
        (STREET, 10, {0: 'sky', 1: 'road', 9: 'cyclist'}),
    ],
)
def test_shipped_sets(labels: LabelSet, count: int, some: dict[int, str]) -> None:
    assert len(labels) == count
    assert {index: labels.names[index] for index in some} == some
    assert len(set(labels.colors)) == count, 'two classes look the same'


def test_palette_has_a_row_for_every_id() -> None:
    palette = STREET.palette()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    assert [tuple(row) for row in palette[:10].tolist()] == list(STREET.colors)
    assert not palette[10:].any()


def test_colorize_paints_ids_and_leaves_the_rest_black() -> None:
    picture = STREET.colorize(np.array([[1, 9], [10, IGNORE_ID]], np.uint8))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[128, 64, 128], [255, 120, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_a_set_may_have_254_classes() -> None:
    labels = LabelSet(names=tuple(map(str, range(254))), colors=(BLACK,) * 254)
    assert len(labels) == 254


@pytest.mark.parametrize('count', [0, 255])
def test_too_few_or_too_many_classes(count: int) -> None:
    with pytest.raises(ModelError, match=f'needs 1 to 254 classes, this one has {count}'):
        LabelSet(names=tuple(map(str, range(count))), colors=(BLACK,) * count)


def test_names_and_colours_must_pair() -> None:
    with pytest.raises(ModelError, match='2 class names but 1 colours'):
        LabelSet(names=('road', 'sky'), colors=(BLACK,))


def test_names_must_differ() -> None:
    with pytest.raises(ModelError, match='class names repeat: road, road'):
        LabelSet(names=('road', 'road'), colors=(BLACK, BLACK))


@pytest.mark.parametrize('color', [(0, 0), (0, 0, 256), (-1, 0, 0)])
def test_colours_must_be_three_bytes(color: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match="colour of class 'road' is not three numbers"):
        LabelSet(names=('road',), colors=(color,))
