# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What is counted once over all label maps of a training set, and kept in the run's folder.

Of a large data set counting takes an hour; a run that is resumed finds what its first start wrote.
It holds for these label files only, read in this way: `ImagePairs.label_key` is part of it. Of
several processes each reads the file, the first one writes it. Of street clips nothing is kept:
their frames have to be rendered anyway, and next to that counting takes no time.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
import hashlib
import io
import logging
from pathlib import Path
from typing import Final
import zipfile
import zlib

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from vidseg_ros.core.atomic_file import make_folder, write_atomically
from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.data.class_uniform import Centroid, class_centroids, leave_boosted
from vidseg_training.data.image_pairs import ImagePairs
from vidseg_training.data.sampling import LabelledImages, trained_images
from vidseg_training.data.street import Street
from vidseg_training.processes import process_index

_logger = logging.getLogger(__name__)

COUNTS: Final = 'class_counts.npz'
CENTROIDS: Final = 'class_centroids.npz'


def warn_of_absent(images: LabelledImages, counts: Sequence[int]) -> None:
    """Say in the log which classes are in no training image; ``counts`` has one of each class."""
    absent = [name for name, n in zip(images.label_set.names, counts, strict=True) if n == 0]
    if absent:
        _logger.warning('no training image shows %s: not to be learned', ', '.join(absent))


def class_weights(
    images: LabelledImages, offset: float, folder: Path | None = None
) -> NDArray[np.float32]:
    """Weigh classes by 1 / ln(offset + share of pixels) (Paszke et al. 2016), mean 1.

    Args:
        images: The training set; every label map of an image trained on is read once.
        offset: c of the formula, above 1; the smaller, the more rare classes count.
        folder: Keeps the counts; None: nothing is kept.

    Returns:
        (C,) float32.

    Raises:
        SourceError: If all pixels are void.
    """
    classes = len(images.label_set)

    def count() -> NDArray[np.int64]:
        counts = np.zeros(256, np.int64)
        for labels in label_maps(images, trained_images(images), 'count classes'):
            counts += np.bincount(labels.ravel(), minlength=256)
        assert counts[classes:IGNORE_ID].sum() == 0
        return counts[:classes]

    counts = _kept(images, folder and folder / COUNTS, 'pixels', count)
    if not counts.any():
        msg = 'the label maps of all training images are void; check the ids and what is void'
        raise SourceError(msg)
    warn_of_absent(images, counts.tolist())
    weights = 1 / np.log(offset + counts / counts.sum())
    scaled: NDArray[np.float32] = (weights / weights.mean()).astype(np.float32)
    return scaled


def crop_centroids(
    images: LabelledImages, tile: int, boosted: Collection[int] = (), folder: Path | None = None
) -> list[list[Centroid]]:
    """List where the class-uniform crops of every class may lie, see `class_uniform`.

    Args:
        images: The training set; every label map is read once.
        tile: Side of the tiles in pixels.
        boosted: Ids of the classes that may be drawn from images that are there for them alone.
        folder: Keeps what was found; None: nothing is kept.
    """
    classes = len(images.label_set)

    def find() -> NDArray[np.int64]:
        maps = label_maps(images, len(images), 'place crops')
        found = class_centroids(maps, classes, tile)
        rows = [(id_, *point) for id_, of_class in enumerate(found) for point in of_class]
        return np.array(rows, np.int64).reshape(-1, 4)

    rows = _kept(images, folder and folder / CENTROIDS, f'centroids in tiles of {tile}', find)
    centroids = [
        [Centroid(*point) for point in rows[rows[:, 0] == id_, 1:].tolist()]
        for id_ in range(classes)
    ]
    centroids = leave_boosted(centroids, trained_images(images), boosted)
    warn_of_absent(images, [len(of_class) for of_class in centroids])
    return centroids


def label_maps(images: LabelledImages, count: int, purpose: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the first label maps under a bar; where they are files, images stay shut.

    Args:
        images: The data set.
        count: Number of label maps.
        purpose: What they are looked at for, for people.

    Yields:
        (H, W) uint8.
    """
    work = 'rendering clips' if isinstance(images, Street) else 'reading label maps'
    for index in track(range(count), f'{work} to {purpose}', transient=True):
        yield images.labels(index) if isinstance(images, ImagePairs) else images[index][1]


def _kept(
    images: LabelledImages, path: Path | None, what: str, count: Callable[[], NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return what a file has, or count it and write the file.

    Args:
        images: The training set; without files of its own nothing is kept.
        path: The file, or None.
        what: Is counted.
        count: Does it.
    """
    if path is None or not isinstance(images, ImagePairs):
        return count()
    about = f'{what} of {images.label_set.names}: {images.label_key()}'
    key = hashlib.sha256(about.encode()).hexdigest()
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:
            if str(file['key']) == key:
                counted: NDArray[np.int64] = file['counted']
                return counted
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        pass  # there is none yet, or it is damaged
    counted = count()
    if process_index():
        return counted
    data = io.BytesIO()
    np.savez_compressed(data, key=np.array(key), counted=counted)
    make_folder(path.parent)
    write_atomically(path, data.getvalue())
    return counted
