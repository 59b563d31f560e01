# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Resizing of colour images."""

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_image(
    image: NDArray[np.uint8], size: tuple[int, int], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Bring a colour image to another size: bilinear, OpenCV's ``INTER_LINEAR``.

    Of an image whose channels are a reversed view (``pixels[..., ::-1]``, see
    `vidseg_ros.core.image_codec.decode_image`) the pixels are resized as they lie in memory and
    the channels swapped after. Every channel is resized by itself, so the values are the same;
    to swap first is slower where the image shrinks, and NumPy's way to do it much more so.

    Args:
        image: (H, W, 3) uint8; only read. Its rows may have padding between them.
        size: Height and width wanted, pixels.
        out: (height, width, 3) uint8, contiguous: where to write it; None: into new memory.

    Returns:
        (height, width, 3) uint8 in the channel order of ``image``: ``out`` if it is given, else
        ``image`` itself if it already has that size and is no reversed view.
    """
    assert out is None or (out.shape == (*size, 3) and out.flags.c_contiguous)
    height, width = size
    is_reversed = image.strides[2] < 0
    pixels = image[..., ::-1] if is_reversed else image
    if pixels.shape[:2] != size:
        resized = cv2.resize(pixels, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
        pixels = resized.astype(np.uint8, copy=False)
    if is_reversed:
        swapped = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=out)
        pixels = swapped.astype(np.uint8, copy=False)
    elif out is not None and pixels is not out:
        np.copyto(out, pixels)
    return pixels if out is None else out
