# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Resizing of label maps."""

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Bring a label map to another size: nearest, by pixel centres, so that no id is invented.

    OpenCV's plain ``INTER_NEAREST`` would shift the map by up to half a pixel.

    Args:
        labels: (H, W) uint8 ids.
        size: Height and width wanted, pixels.

    Returns:
        (height, width) uint8 ids; ``labels`` itself if it already has that size.
    """
    if labels.shape == size:
        return labels
    height, width = size
    resized = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.astype(np.uint8, copy=False)
