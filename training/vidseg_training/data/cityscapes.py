# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes (Cordts et al., CVPR 2016): 19 classes, 2975 train and 500 val images.

Of 2048x1024 pixels each; 20000 more have coarse labels.
"""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CITYSCAPES, IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.image_files import read_image
from vidseg_training.data.image_pairs import find_pairs, id_table, ImagePairs, Pair, Split

_EVALUATED: Final = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Id in the label files of each of the 19 classes; KITTI's semantics have the same ids."""

_ALL_IDS: Final = range(34)

CITYSCAPES_IDS: Final = id_table(
    {file_id: train_id for train_id, file_id in enumerate(_EVALUATED)},
    void=[*_ALL_IDS, IGNORE_ID],
)
"""What an id of the files ``_labelIds.png`` stands for, see `id_table`."""

_LICENCE: Final = 'Cityscapes licence, non-commercial use (Cordts et al. 2016)'

_IMAGE: Final = '_leftImg8bit.png'
_LABELS: Final = '_labelIds.png'

_TRAIN: Final = ('train', 'gtFine')
_VAL: Final = ('val', 'gtFine')
_TRAIN_COARSE: Final = ('train_extra', 'gtCoarse')

_FRAMES: Final = range(-19, 11)
"""Frames of a snippet, counted from the labelled one."""


class Cityscapes(ImagePairs):
    """One split of Cityscapes with fine labels; ``test`` scores on val."""

    layout = (
        'expected the folder of Cityscapes with leftImg8bit/SPLIT/CITY/*_leftImg8bit.png, '
        'gtFine/SPLIT/CITY/*_gtFine_labelIds.png, for coarse labels '
        'gtCoarse/SPLIT/CITY/*_gtCoarse_labelIds.png, and for neighbours '
        'leftImg8bit_sequence/SPLIT/CITY/*_leftImg8bit.png; give it with --data'
    )
    parts: ClassVar[dict[Split, tuple[tuple[str, str], ...]]] = {
        'train': (_TRAIN,),
        'val': (_VAL,),
        'test': (_VAL,),
        'trainval': (_TRAIN, _VAL),
    }
    """Folder and kind of labels of the images of each split."""
    label_set: LabelSet = CITYSCAPES
    source = DataSource(name='Cityscapes, train', licence=_LICENCE, use='training')

    def __init__(self, folder: Path, split: Split, *, boosted: bool = False) -> None:
        """List the images of a split.

        Args:
            folder: Folder of the data set.
            split: Which images.
            boosted: Whether coarsely labelled images follow those to train on, for crops of
                boosted classes.

        Raises:
            SourceError: If the folder or a label map is missing.
        """
        parts = self.parts[split]
        fine = [pair for part in parts for pair in self._find(folder, *part)]
        boost = boosted and split in {'train', 'trainval'}
        coarse = self._find(folder, *_TRAIN_COARSE) if boost else []
        title = ' and '.join(' '.join(part) for part in parts)
        super().__init__(f'Cityscapes {title}', fine + coarse, CITYSCAPES_IDS)
        self.boost_from = len(fine)
        self._sequences = folder / 'leftImg8bit_sequence'
        if boosted:
            self.source = replace(self.source, name='Cityscapes fine and coarse, train')

    def _find(self, folder: Path, part: str, kind: str) -> list[Pair]:
        images = folder / 'leftImg8bit' / part
        return find_pairs(
            images.glob(f'*/*{_IMAGE}'),
            (folder / kind / part).glob(f'*/*{_LABELS}'),
            where=images,
            layout=self.layout,
            name=lambda path: path.name,
            labels=lambda path: _labels_of(path, folder / kind / part),
        )

    def neighbour(self, index: int, offset: int) -> NDArray[np.uint8]:
        """Read an unlabelled frame of the snippet of 30 around a labelled image (17 Hz).

        Args:
            index: The labelled image, which is the 20th frame of its snippet.
            offset: Frames after it, -19 to 10.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            SourceError: If the snippet has no such frame, or its file is missing or damaged.
        """
        if offset not in _FRAMES:
            msg = (
                f'frame {offset:+d} of {self.names[index]}: a snippet of Cityscapes has the '
                f'frames {_FRAMES.start} to +{_FRAMES.stop - 1}'
            )
            raise SourceError(msg)
        image = self._pairs[index].image
        city, sequence, frame = image.name.removesuffix(_IMAGE).split('_')
        name = f'{city}_{sequence}_{int(frame) + offset:06}{_IMAGE}'
        return self._read(read_image, self._sequences / image.parent.parent.name / city / name)


class CityscapesCoarse(Cityscapes):
    """The 20000 coarsely labelled images of Cityscapes; scores on the fine val images."""

    parts: ClassVar[dict[Split, tuple[tuple[str, str], ...]]] = {
        'train': (_TRAIN_COARSE,),
        'val': (_VAL,),
        'test': (_VAL,),
        'trainval': (_TRAIN_COARSE, _VAL),
    }
    source = DataSource(name='Cityscapes coarse, train', licence=_LICENCE, use='training')


def _labels_of(image: Path, folder: Path) -> Path:
    kind = folder.parent.name
    name = image.name.removesuffix(_IMAGE)
    return folder / image.parent.name / f'{name}_{kind}{_LABELS}'
