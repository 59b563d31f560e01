# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Image and mask files of data sets, with an error that names the file if one is unusable."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.image_codec import decode_compressed

_SPREAD: Final = {'L;2': 85, 'L;4': 17}
"""What Pillow multiplies grey values of 2 and 4 bits with, by its name for such pixels."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a PNG or JPEG: (H, W, 3) uint8 RGB, as its pixels lie in the file (no EXIF turn).

    Raises:
        SourceError: If it is missing, cut short or damaged.
    """
    try:
        return decode_compressed(path.read_bytes(), order='rgb8')
    except (OSError, ImageError) as error:
        msg = f'cannot read the image {path}: {error}'
        raise SourceError(msg) from error


def read_ids(path: Path) -> NDArray[np.uint8]:
    """Read a mask: (H, W) uint8 ids, grey values or the indices of a palette, of 8 bits or less.

    Raises:
        SourceError: If it is missing, cut short, or not of one 8-bit channel.
    """
    return _read_mask(
        path, ('1', 'L', 'P'), 'one 8-bit channel of class ids, grey or with a palette'
    )


def read_colors(path: Path) -> NDArray[np.uint8]:
    """Read a mask whose colours stand for classes: (H, W, 3) uint8 RGB.

    Raises:
        SourceError: If it is missing, cut short, or neither RGB nor of a palette.
    """
    expected = 'colours that stand for classes, RGB or with a palette'
    return _read_mask(path, ('RGB', 'P'), expected, as_mode='RGB')


def _read_mask(
    path: Path, modes: Sequence[str], expected: str, *, as_mode: str | None = None
) -> NDArray[np.uint8]:
    # By Pillow: OpenCV knows no indices, it gives the colours of the palette.
    try:
        with Image.open(path) as image:
            mode = image.mode
            spread = max((_SPREAD.get(tile[3], 1) for tile in image.tile), default=1)
            pixels = np.asarray(image.convert(as_mode or mode)) if mode in modes else None
    except (OSError, SyntaxError) as error:  # a syntax error: what Pillow calls a broken chunk
        msg = f'cannot read the mask {path}: {error}'
        raise SourceError(msg) from error
    if pixels is None:
        msg = f'the mask {path} has the mode {mode}; expected {expected}'
        raise SourceError(msg)
    ids = pixels.astype(np.uint8, copy=False)
    return ids if spread == 1 else ids // spread


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
    if (labels < 0).any():
        unknown = np.unique(mask[labels < 0]).tolist()
        msg = f'{path} has the ids {unknown}, which are neither a class nor void'
        raise SourceError(msg)
    return labels.astype(np.uint8)
