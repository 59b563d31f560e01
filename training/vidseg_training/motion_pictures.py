# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of motion: vectors as colours, and what they make of a frame."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.overlay import contact_sheet

_ERROR_GAIN: Final = 4
"""Errors are a few grey levels; so many times as bright they can be seen."""


class MotionView(NamedTuple):
    """One frame and what motion makes of its neighbour."""

    target: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB: the frame as it is."""
    warped: NDArray[np.uint8]
    """The same size: the frame rebuilt out of its neighbour."""
    vectors: NDArray[np.float32]
    """(H, W, 2) float32 px."""


def draw_flow(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw vectors: the colour is their direction, red to the right, its depth their length.

    Args:
        vectors: (H, W, 2) float32 px, x and y.

    Returns:
        (H, W, 3) uint8 RGB; white where nothing moves, and of full colour from the length that
        one vector in a hundred exceeds.
    """
    length, degrees = cv2.cartToPolar(vectors[..., 0], vectors[..., 1], angleInDegrees=True)
    longest = max(float(np.percentile(length, 99)), 1e-3)
    saturation = np.minimum(length / longest, 1) * 255
    value = np.full_like(saturation, 255)
    hsv = np.rint(np.stack((degrees / 2 % 180, saturation, value), -1)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def draw_motion(views: Sequence[MotionView]) -> NDArray[np.uint8]:
    """Draw each frame in a row: target, warped neighbour, their difference, vectors.

    Args:
        views: At least one.

    Returns:
        (h, w, 3) uint8 RGB contact sheet.
    """
    tiles, captions = [], []
    for target, warped, vectors in views:
        error = cv2.convertScaleAbs(cv2.absdiff(target, warped), alpha=_ERROR_GAIN)
        longest = float(np.percentile(np.linalg.norm(vectors, axis=-1), 99))
        tiles += [target, warped, error.astype(np.uint8, copy=False), draw_flow(vectors)]
        captions += [
            'target',
            'warped neighbour',
            f'difference x {_ERROR_GAIN}',
            f'vectors, to {longest:.1f} px',
        ]
    return contact_sheet(tiles, 4, captions)
