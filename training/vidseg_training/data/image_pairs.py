# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the data sets have in common: images beside label maps, read with every check."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.image_files import read_ids, read_image, translate_ids

Split = Literal['train', 'val', 'test', 'trainval']
"""Which images: ``trainval`` are those of ``train`` and ``val`` together. ``test`` is what scores
are reported on: the validation images where the labels of the test images are not public."""

_UNKNOWN: Final = -1


class Pair(NamedTuple):
    """An image and its label map."""

    name: str
    """For people: what tells the image from the others of its data set."""
    image: Path
    """JPEG or PNG."""
    labels: Path
    """PNG."""


def id_table(train_ids: Mapping[int, int], void: Iterable[int] = ()) -> NDArray[np.int16]:
    """Return what each of 256 ids of a file stands for.

    Args:
        train_ids: Class of each id that has one.
        void: Ids without a class that are allowed.

    Returns:
        (256,) int16: a class, 255 for void, -1 for an id that must not occur.
    """
    table = np.full(256, _UNKNOWN, np.int16)
    table[list(void)] = IGNORE_ID
    for file_id, train_id in train_ids.items():
        table[file_id] = train_id
    return table


class ImagePairs:
    """One split of a data set: images and label maps in files.

    Attributes:
        layout: How the folder must look and how to give it; ends every error.
        label_set: The classes.
        source: Where the training images come from, for the model card.
        title: Name of the split, for the model card.
        names: Name of each image.
        boost_from: Index of the first image that is only there for class-uniform crops of boosted
            classes, see `class_uniform`; usually there is none, and this is the number of images.
    """

    layout: str
    label_set: LabelSet
    source: DataSource

    def __init__(
        self, title: str, pairs: Sequence[Pair], table: NDArray[np.int16] | None = None
    ) -> None:
        """Hold a split.

        Args:
            title: Name of the split.
            pairs: What `find_pairs` has found.
            table: What an id of the label maps stands for, see `id_table`; None: they have none.
        """
        self.title = title
        self.names = [pair.name for pair in pairs]
        self.boost_from = len(pairs)
        self._pairs, self._table = pairs, table

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read one sample: image (H, W, 3) uint8 RGB, labels (H, W) uint8, void as 255.

        Raises:
            SourceError: If a file is missing or damaged, the sizes differ, or the label map has
                an id that the data set does not know.
        """
        pair = self._pairs[index]
        image = self._read(read_image, pair.image)
        labels = self._read(self._read_labels, pair.labels)
        if labels.shape != image.shape[:2]:
            height, width = labels.shape
            msg = (
                f'{pair.labels} differs in size from its image: {width}x{height} against '
                f'{image.shape[1]}x{image.shape[0]}; {self.layout}'
            )
            raise SourceError(msg)
        return image, labels

    @property
    def image_files(self) -> list[Path]:
        """File of each image."""
        return [pair.image for pair in self._pairs]

    def labels(self, index: int) -> NDArray[np.uint8]:
        """Read a label map alone, (H, W) uint8, void as 255: for counting over the whole set.

        Raises:
            SourceError: If the file is missing or damaged, or has an unknown id.
        """
        return self._read(self._read_labels, self._pairs[index].labels)

    def label_key(self) -> str:
        """Return what tells label maps from others: the files, and how their ids are read."""
        table = None if self._table is None else self._table.tolist()
        found = [(pair.labels.name, pair.labels.stat()) for pair in self._pairs]
        files = [(name, status.st_size, status.st_mtime_ns) for name, status in found]
        return f'{table} {files}'

    def _read(self, read: Callable[[Path], NDArray[np.uint8]], path: Path) -> NDArray[np.uint8]:
        try:
            return read(path)
        except SourceError as error:
            msg = f'{error}; {self.layout}'
            raise SourceError(msg) from error

    def _read_labels(self, path: Path) -> NDArray[np.uint8]:
        assert self._table is not None
        return translate_ids(read_ids(path), self._table, path)


def find_pairs(  # noqa: PLR0913 - all but the first two by name
    images: Iterable[Path],
    label_files: Iterable[Path],
    *,
    where: Path | str,
    layout: str,
    name: Callable[[Path], str],
    labels: Callable[[Path], Path],
) -> list[Pair]:
    """List images with their label maps, sorted by path.

    Args:
        images: Image files.
        label_files: Every label map that has to have an image among them.
        where: Where they were looked for, for the error.
        layout: How the folder must look, for the error.
        name: Gives the name of an image.
        labels: Gives the label map of an image.

    Raises:
        SourceError: If there is no image at all, or a label map or an image is missing.
    """
    pairs = [Pair(name(image), image, labels(image)) for image in sorted(images)]
    if not pairs:
        msg = f'no images: {where}; {layout}'
        raise SourceError(msg)
    missing = [pair.labels for pair in pairs if not pair.labels.is_file()]
    if missing:
        msg = f'no label map {missing[0]} ({len(missing)} missing); {layout}'
        raise SourceError(msg)
    alone = sorted(set(label_files) - {pair.labels for pair in pairs})
    if alone:
        msg = f'no image for the label map {alone[0]} ({len(alone)} missing); {layout}'
        raise SourceError(msg)
    return pairs
