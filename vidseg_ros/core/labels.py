# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Label sets: the classes that a mask's ids stand for."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ModelError

IGNORE_ID: Final = 255
"""Id of pixels without a label (void): never predicted, never scored."""


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Classes with consecutive train ids from 0.

    Attributes:
        names: Class name of each id.
        colors: Display colour of each id, (red, green, blue), each 0 to 255.

    Raises:
        ModelError: If the lists differ in length, are empty or too long, or a name repeats.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        """Check that ids, names and colours fit together."""
        if not 0 < len(self.names) < IGNORE_ID:
            msg = f'a label set needs 1 to {IGNORE_ID - 1} classes, this one has {len(self.names)}'
            raise ModelError(msg)
        if len(self.names) != len(self.colors):
            msg = f'{len(self.names)} class names but {len(self.colors)} colours'
            raise ModelError(msg)
        if len(set(self.names)) != len(self.names):
            msg = f'class names repeat: {", ".join(self.names)}'
            raise ModelError(msg)
        for name, color in zip(self.names, self.colors, strict=True):
            if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
                msg = f'colour of class {name!r} is not three numbers from 0 to 255: {color}'
                raise ModelError(msg)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    def palette(self) -> NDArray[np.uint8]:
        """Return the colour table: (256, 3) uint8 RGB, black where there is no class."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colors
        return table

    def colorize(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint a label map.

        Args:
            labels: (H, W) uint8 ids.

        Returns:
            (H, W, 3) uint8 RGB; ids without a class are black.
        """
        return self.palette()[labels]


CAMVID: Final = LabelSet(
    names=(
        'sky',
        'building',
        'pole',
        'road',
        'pavement',
        'tree',
        'sign',
        'fence',
        'car',
        'pedestrian',
        'bicyclist',
    ),
    colors=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)
"""The 11 classes of the SegNet split of CamVid (Brostow et al. 2009), with its usual colours."""

CITYSCAPES: Final = LabelSet(
    names=(
        'road',
        'sidewalk',
        'building',
        'wall',
        'fence',
        'pole',
        'traffic light',
        'traffic sign',
        'vegetation',
        'terrain',
        'sky',
        'person',
        'rider',
        'car',
        'truck',
        'bus',
        'train',
        'motorcycle',
        'bicycle',
    ),
    colors=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)
"""The 19 evaluated classes of Cityscapes (Cordts et al. 2016), train ids and colours."""

STREET: Final = LabelSet(
    names=(
        'sky',
        'road',
        'sidewalk',
        'building',
        'tree',
        'pole',
        'sign',
        'car',
        'pedestrian',
        'cyclist',
    ),
    colors=(
        (70, 130, 180),
        (128, 64, 128),
        (244, 35, 232),
        (110, 110, 110),
        (107, 142, 35),
        (190, 190, 120),
        (220, 220, 0),
        (0, 0, 142),
        (220, 20, 60),
        (255, 120, 0),
    ),
)
"""The classes of the procedural street clip (`vidseg_ros.core.street`)."""
