# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Resizing of label maps."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_labels(
    labels: NDArray[np.uint8], size: tuple[int, ...], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Bring a label map to another size: nearest, by pixel centres, so that no id is invented.

    This is OpenCV's ``INTER_NEAREST_EXACT``, whose plain ``INTER_NEAREST`` would shift the map by
    up to half a pixel. A map that becomes wider is put together from whole rows and columns,
    which gives the same ids and is faster.

    Args:
        labels: (H, W) uint8 ids.
        size: Height and width wanted, pixels.
        out: (height, width) uint8, contiguous: where to write them; None: into new memory.

    Returns:
        (height, width) uint8 ids: ``out`` if it is given, else ``labels`` itself if it already
        has that size.
    """
    assert out is None or (out.shape == size and out.flags.c_contiguous)
    height, width = size
    if labels.shape == size:
        if out is None:
            return labels
        np.copyto(out, labels)
        return out
    if width > labels.shape[1]:
        return _enlarge(labels, height, width, out)
    resized = cv2.resize(labels, (width, height), dst=out, interpolation=cv2.INTER_NEAREST_EXACT)
    return out if out is not None else resized.astype(np.uint8, copy=False)


def _enlarge(
    labels: NDArray[np.uint8], height: int, width: int, out: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """Repeat whole columns, as rows of the transposed map, then whole rows.

    Rows are copied as blocks and OpenCV transposes by vector instructions, while both it and
    NumPy fetch the pixels of a row one by one.
    """
    columns, rows = _nearest(labels.shape[1], width), _nearest(labels.shape[0], height)
    wide = cv2.transpose(np.take(cv2.transpose(labels), columns, axis=0))
    # With mode 'raise' NumPy would go through a copy of out.
    repeated = np.take(wide, rows, axis=0, out=out, mode='clip')
    return np.asarray(repeated, np.uint8)


@lru_cache(maxsize=64)
def _nearest(length: int, wanted: int) -> NDArray[np.intp]:
    """Return which of ``length`` pixels OpenCV takes for each of ``wanted``: (wanted,) indices."""
    indices = np.arange(length, dtype=np.int32)[None]
    nearest = cv2.resize(indices, (wanted, 1), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(nearest[0], np.intp)
