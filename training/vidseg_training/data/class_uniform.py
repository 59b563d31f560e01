# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Class-uniform sampling (Zhu et al., CVPR 2019, section 4.1; Rota Bulo et al., CVPR 2018).

Images are cut into tiles; in each tile every class that occurs has a centroid. A share of an epoch
are crops that contain such a centroid, the same number for every class, so that rare classes are
seen as often as the road. Of rare classes, centroids may also come from images that are labelled
too coarsely to be trained on as a whole.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Centroid(NamedTuple):
    """Where a class lies in a tile of an image."""

    image: int
    """Index of the image."""
    y: int
    """Row, pixels."""
    x: int
    """Column, pixels."""


def class_centroids(
    label_maps: Iterable[NDArray[np.uint8]], classes: int, tile: int
) -> list[list[Centroid]]:
    """List the centroids of every class over all tiles of all images.

    Args:
        label_maps: (H, W) uint8 ids each, void as 255; read once.
        classes: Number of classes, C.
        tile: Side of the tiles in pixels; tiles at the right and lower border may be smaller.

    Returns:
        C lists; the list of a class that never occurs is empty.
    """
    found: list[list[Centroid]] = [[] for _ in range(classes)]
    for index, labels in enumerate(label_maps):
        height, width = labels.shape
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                part = labels[top : top + tile, left : left + tile]
                for class_id in np.unique(part[part < classes]):
                    rows, columns = np.nonzero(part == class_id)
                    centroid = Centroid(index, top + int(rows.mean()), left + int(columns.mean()))
                    found[class_id].append(centroid)
    return found


def leave_boosted(
    centroids: list[list[Centroid]], boost_from: int, boosted: Collection[int]
) -> list[list[Centroid]]:
    """Take the images that are there for boosted classes from all other classes.

    Args:
        centroids: Of every class, over all images.
        boost_from: Index of the first image that only boosted classes may be drawn from.
        boosted: Ids of those classes.
    """
    return [
        of_class if class_id in boosted else [c for c in of_class if c.image < boost_from]
        for class_id, of_class in enumerate(centroids)
    ]


def draw_epoch(
    centroids: list[list[Centroid]], images: int, share: float, rng: np.random.Generator
) -> list[Centroid | int]:
    """Draw the samples of one epoch: as many as there are images.

    Args:
        centroids: Of every class.
        images: Number of images, N.
        share: Share of class-uniform samples, 0 to 1; every class that occurs gets
            floor(N * share / classes) of them, its centroids shuffled and cycled.
        rng: Source of randomness.

    Returns:
        N shuffled items: a centroid that the crop must contain, or an image index for a crop
        anywhere in it; no image twice of these.
    """
    order = rng.permutation(images)
    present = [of_class for of_class in centroids if of_class]
    per_class = int(images * share / len(present)) if present else 0
    samples: list[Centroid | int] = [int(index) for index in order[per_class * len(present) :]]
    if per_class == 0:
        return samples
    for of_class in present:
        turns = rng.permutation(len(of_class))
        samples += [of_class[turns[turn % len(turns)]] for turn in range(per_class)]
    return [samples[position] for position in rng.permutation(len(samples))]
