# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A data set of one's own: images, masks with class ids, and one YAML that describes them.

``dataset.yaml``, in the folder of the data set::

    name: my drive
    licence: all rights reserved
    classes:                 # in the order of their ids: road is 0, car is 1
      - {name: road, color: [128, 64, 128]}
      - {name: car, color: [0, 0, 142]}
    void: [254]              # ids to leave out of training and scores; 255 always is
    train: {images: train/images, masks: train/masks}
    val: {images: val/images, masks: val/masks}
    test: {images: test/images, masks: test/masks}    # left out: val is used

A mask is a PNG of one channel with the name of its image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vidseg_ros.core.class_list import parse_classes
from vidseg_ros.core.errors import ModelError, SourceError
from vidseg_ros.core.image_codec import IMAGE_TYPES
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.image_pairs import find_pairs, id_table, ImagePairs, Pair, Split

DESCRIPTION: Final = 'dataset.yaml'


MOST_KEPT: Final = 1 << 30
"""Bytes of shrunken images and label maps that a data set keeps, in each process that loads; what
is more is read anew."""


class ImageFolder(ImagePairs):
    """One split of a data set of one's own."""

    def __init__(self, folder: Path, split: Split, size: tuple[int, int] | None = None) -> None:
        """Read the description and list the images of a split.

        Args:
            folder: Has ``dataset.yaml``.
            split: Which images.
            size: Height and width in pixels to which images are shrunk as the model file does
                it; None keeps them as they are.

        Raises:
            SourceError: If the description, a folder or a mask is missing or wrong.
        """
        self._path = folder / DESCRIPTION
        self.layout = f'{self._path} describes the data set, docs/own_data.md the layout'
        plain = self._read_description()
        self.label_set = self._read_classes(plain)
        if split == 'test' and 'test' not in plain:
            split = 'val'
        self._size = size
        self._kept: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
        self.source = DataSource(
            name=f'{plain["name"]}, train', licence=str(plain['licence']), use='training'
        )
        pairs = []
        for part in ('train', 'val') if split == 'trainval' else (split,):
            pairs += self._find(plain, part)
        super().__init__(f'{plain["name"]} {split}', pairs, self._id_table(plain))

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read one sample, see `ImagePairs`; shrunk if it was asked for, and then kept.

        A camera frame takes longer to decode and to shrink than a compact network to learn from.
        """
        if index in self._kept:
            return self._kept[index]
        image, labels = super().__getitem__(index)
        if self._size is None:
            return image, labels
        shrunk = cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_LINEAR)
        sample = shrunk.astype(np.uint8, copy=False), resize_labels(labels, self._size)
        if (len(self._kept) + 1) * sum(part.nbytes for part in sample) <= MOST_KEPT:
            for part in sample:
                part.flags.writeable = False
            self._kept[index] = sample
        return sample

    def labels(self, index: int) -> NDArray[np.uint8]:
        """Read a label map alone, see `ImagePairs`; shrunk if it was asked for."""
        labels = super().labels(index)
        return labels if self._size is None else resize_labels(labels, self._size)

    def label_key(self) -> str:
        """Return what tells label maps from others, see `ImagePairs`."""
        return f'{self._size} {super().label_key()}'

    def _find(self, plain: Mapping[str, Any], split: str) -> list[Pair]:
        folders = plain[split]
        named = isinstance(folders, dict) and set(folders) == {'images', 'masks'}
        if not (named and all(isinstance(name, str) for name in folders.values())):
            self._refuse(f'{split} must be {{images: FOLDER, masks: FOLDER}}, not {folders}')
        images, masks = (self._path.parent / folders[kind] for kind in ('images', 'masks'))
        return find_pairs(
            (path for path in images.glob('*') if path.suffix.lower() in IMAGE_TYPES),
            self._own_masks(plain, folders),
            where=f'{split}: {" ".join(IMAGE_TYPES)} in {images}',
            layout=self.layout,
            name=lambda path: path.name,
            labels=lambda path: masks / f'{path.stem}.png',
        )

    def _own_masks(self, plain: Mapping[str, Any], folders: Mapping[str, str]) -> list[Path]:
        """Return the masks of a split's folder; without those of other splits that share it."""
        others = [
            other['images']
            for other in map(plain.get, ('train', 'val', 'test'))
            if isinstance(other, dict) and other.get('masks') == folders['masks']
        ]
        theirs = {
            path.stem
            for name in others
            if name != folders['images']
            for path in (self._path.parent / str(name)).glob('*')
        }
        masks = (self._path.parent / folders['masks']).glob('*.png')
        return [mask for mask in masks if mask.stem not in theirs]

    def _refuse(self, what: str) -> NoReturn:
        msg = f'{self._path}: {what}; docs/own_data.md shows the layout'
        raise SourceError(msg)

    def _read_description(self) -> Mapping[str, Any]:
        try:
            plain = YAML(typ='safe').load(self._path.read_text(encoding='utf-8'))
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            self._refuse(f'cannot be read: {error}')
        if not isinstance(plain, dict):
            self._refuse('is no mapping')
        for key in ('name', 'licence', 'classes', 'train', 'val'):
            if key not in plain:
                self._refuse(f'{key} is missing')
        return plain

    def _read_classes(self, plain: Mapping[str, Any]) -> LabelSet:
        try:
            return parse_classes(plain['classes'])
        except ModelError as error:
            self._refuse(str(error))

    def _id_table(self, plain: Mapping[str, Any]) -> NDArray[np.int16]:
        void = plain.get('void', [])
        if not (isinstance(void, list) and all(type(i) is int and 0 <= i < 256 for i in void)):
            self._refuse(f'void must be a list of ids from 0 to 255, not {void}')
        return id_table(
            {id_: id_ for id_ in range(len(self.label_set)) if id_ not in void},
            void=[*void, IGNORE_ID],
        )
