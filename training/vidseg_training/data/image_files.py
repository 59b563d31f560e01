# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Image and mask files of data sets, with an error that names the file if one is unusable."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.image_codec import decode_compressed


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a PNG or JPEG: (H, W, 3) uint8 RGB.

    Raises:
        SourceError: If it is missing, cut short or damaged.
    """
    try:
        return decode_compressed(path.read_bytes(), order='rgb8')
    except (OSError, ImageError) as error:
        msg = f'cannot read the image {path}: {error}'
        raise SourceError(msg) from error


def read_mask(path: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read the mask of an image: (H, W) uint8 ids as they are in the file.

    Args:
        path: PNG of one 8-bit channel.
        image: (H, W, 3), whose size the mask must have.

    Raises:
        SourceError: If it is missing, cut short, no such PNG, or of another size.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        msg = f'{path} is missing, damaged, or no PNG of one 8-bit channel with class ids'
        raise SourceError(msg)
    if mask.shape != image.shape[:2]:
        msg = (
            f'{path} is {mask.shape[1]}x{mask.shape[0]}, but its image '
            f'{image.shape[1]}x{image.shape[0]}'
        )
        raise SourceError(msg)
    return mask.astype(np.uint8, copy=False)


def translate_ids(
    mask: NDArray[np.uint8], table: NDArray[np.int16], path: Path
) -> NDArray[np.uint8]:
    """Turn the ids of a file into train ids.

    Args:
        mask: (H, W) uint8 ids of the file.
        table: (256,) int16 train id of each of them, void as 255; below zero: not allowed.
        path: The file, for the message.

    Returns:
        (H, W) uint8 train ids, void as 255.

    Raises:
        SourceError: If an id is not allowed.
    """
    labels = table[mask]
    if unknown := sorted(set(np.unique(mask[labels < 0]).tolist())):
        msg = f'{path} has the ids {unknown}, which are neither a class nor void'
        raise SourceError(msg)
    return labels.astype(np.uint8)
