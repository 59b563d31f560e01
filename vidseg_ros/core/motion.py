# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Optical flow, what it hides, and label maps carried along it.

A flow from frame a to frame b is a (H, W, 2) float32 array of pixels, (x, y): what is at p in a
is at p + flow(p) in b. Carrying b's pixels back to a along it is *backward warping*.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.labels import IGNORE_ID

FlowMethod: TypeAlias = 'Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]'
"""(H, W, 3) uint8 RGB frames a and b -> flow from a to b, (H, W, 2) float32 px."""

RELATIVE_TOLERANCE: Final = 0.01
ABSOLUTE_TOLERANCE_PX2: Final = 0.5
"""Of the forward-backward check (Sundaram, Brox and Keutzer, ECCV 2010, eq. 5)."""


def dis_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate flow with DIS, preset medium (Kroeger et al., ECCV 2016; OpenCV).

    Args:
        first: (H, W, 3) uint8 RGB.
        second: The same size.

    Returns:
        (H, W, 2) float32 px, from ``first`` to ``second``.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*grey[0].shape, 2), np.float32)
    return np.asarray(method.calc(grey[0], grey[1], start), np.float32)


def flow_targets(flow: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where every pixel goes: x and y, (H, W) float32 px each."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)  # H W each
    return x + flow[..., 0], y + flow[..., 1]


def warp_labels(labels: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Carry a label map back along a flow: nearest, so that no id is invented.

    Args:
        labels: (H, W) uint8 ids of frame b.
        flow: (H, W, 2) float32 px from frame a to frame b.

    Returns:
        (H, W) uint8 ids at frame a; ``IGNORE_ID`` where the flow leaves the picture.
    """
    x, y = (np.rint(side) for side in flow_targets(flow))
    return cv2.remap(
        labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE_ID
    ).astype(np.uint8, copy=False)


def occlusion(forward: NDArray[np.float32], backward: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find the pixels of frame a that are not to be seen in frame b.

    There and back again must end near the start: a pixel is occluded where
    |f + b'|^2 > 0.01 (|f|^2 + |b'|^2) + 0.5, b' being the backward flow where f leads
    (Sundaram, Brox and Keutzer, ECCV 2010, eq. 5), or where f leaves the picture.

    Args:
        forward: (H, W, 2) float32 px from a to b.
        backward: (H, W, 2) float32 px from b to a.

    Returns:
        (H, W) bool, True where occluded.
    """
    height, width = forward.shape[:2]
    x, y = flow_targets(forward)
    back = cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap = np.square(forward + back).sum(axis=-1)  # H W
    length = np.square(forward).sum(axis=-1) + np.square(back).sum(axis=-1)  # H W
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    torn = gap > RELATIVE_TOLERANCE * length + ABSOLUTE_TOLERANCE_PX2
    hidden: NDArray[np.bool_] = np.logical_or(torn, outside)
    return hidden
