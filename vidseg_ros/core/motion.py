# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Optical flow, what it hides, and pictures and label maps carried along it.

A flow from frame a to frame b is a (H, W, 2) float32 array of pixels, (x, y): what is at p in a
is at p + flow(p) in b. Carrying b's pixels back to a along it is *backward warping*.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
import threading
from typing import Any, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.labels import IGNORE_ID

FlowMethod: TypeAlias = 'Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]'
"""(H, W, 3) uint8 RGB frames a and b -> flow from a to b, (H, W, 2) float32 px."""

RELATIVE_TOLERANCE: Final = 0.01
ABSOLUTE_TOLERANCE_PX2: Final = 0.5
"""Of the forward-backward check (Sundaram, Brox and Keutzer, ECCV 2010, eq. 5)."""


class _Estimators(threading.local):
    """One estimator for each thread: they keep their memory, and may not be shared."""

    def __init__(self) -> None:
        self.medium = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.fast = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


_estimators = _Estimators()


def dis_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate flow with DIS, preset medium (Kroeger et al., ECCV 2016; OpenCV).

    Args:
        first: (H, W, 3) uint8 RGB.
        second: The same size.

    Returns:
        (H, W, 2) float32 px, from ``first`` to ``second``.
    """
    return _estimate(_estimators.medium, first, second)


def dis_flow_fast(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate flow with DIS, preset fast: coarser; arguments and result as in `dis_flow`."""
    return _estimate(_estimators.fast, first, second)


def _estimate(
    method: cv2.DISOpticalFlow, first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> NDArray[np.float32]:
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    # Not zeros: a flow to start from, even that one, makes OpenCV's DIS miss large motion.
    flow = method.calc(grey[0], grey[1], None)  # type: ignore[call-overload]  # None is allowed
    return np.asarray(flow, np.float32)


def flow_targets(flow: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where every pixel goes: x and y, (H, W) float32 px each."""
    x, y = _grid(*flow.shape[:2])
    return x + flow[..., 0], y + flow[..., 1]


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y of every pixel, (H, W) float32 each; kept, because making them takes long."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x.flags.writeable = y.flags.writeable = False
    return x, y


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


def warp_image(image: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Carry a picture back along a flow: bilinear.

    Args:
        image: (H, W, 3) uint8 frame b.
        flow: (H, W, 2) float32 px from frame a to frame b.

    Returns:
        (H, W, 3) uint8 at frame a; the nearest pixel of the border where the flow leaves the
        picture.
    """
    x, y = flow_targets(flow)
    four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)  # equal result in half of the time
    warped = cv2.remap(four, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB).astype(np.uint8, copy=False)


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
    _, miss, tolerance, outside = _round_trip(forward, backward)
    hidden: NDArray[np.bool_] = np.logical_or(miss > tolerance, outside)
    return hidden


class RoundTrip(NamedTuple):
    """What the way from frame a to frame b and back says of the pixels of frame a."""

    confidence: NDArray[np.uint8]
    """(H, W) uint8: 255 where the way ends at its start, falling in a line with the squared gap
    to 1 at the tolerance of `occlusion`, and 0 exactly where that is True."""
    gap: NDArray[np.float32]
    """(H, W, 2) float32 px (x, y) from the start to the end."""


def round_trip(forward: NDArray[np.float32], backward: NDArray[np.float32]) -> RoundTrip:
    """Go from each pixel of frame a to frame b and back.

    Args:
        forward: (H, W, 2) float32 px from a to b.
        backward: (H, W, 2) float32 px from b to a.
    """
    planes, miss, tolerance, outside = _round_trip(forward, backward)
    sure = np.rint(255 - 254 * np.minimum(miss / tolerance, 1))
    sure[(miss > tolerance) | outside] = 0
    return RoundTrip(sure.astype(np.uint8), np.asarray(cv2.merge(planes), np.float32))


def _round_trip(
    forward: NDArray[np.float32], backward: NDArray[np.float32]
) -> tuple[list[NDArray[Any]], NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Return the gap (x and y), its square and the tolerance of that, px^2, and what leaves."""
    height, width = forward.shape[:2]
    x, y = flow_targets(forward)
    back = cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Plane by plane: three times as fast as sums over an axis of two.
    there, again = cv2.split(forward), cv2.split(back)  # x and y, H W each
    gap = [there[0] + again[0], there[1] + again[1]]
    length = _squared(there) + _squared(again)
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return gap, _squared(gap), RELATIVE_TOLERANCE * length + ABSOLUTE_TOLERANCE_PX2, outside


def _squared(planes: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.asarray(np.square(planes[0]) + np.square(planes[1]))


class PairMotion(NamedTuple):
    """How the scene moved between two consecutive frames; whoever compares labels shares it."""

    forward: NDArray[np.float32]
    """(H, W, 2) float32 px from the earlier frame to the later one."""
    visible: NDArray[np.bool_]
    """(H, W) bool, True where a pixel of the earlier frame is to be seen in the later one."""
    elapsed_ns: int
    """Time between the two, above 0, ns."""

    @classmethod
    def between(
        cls, forward: NDArray[np.float32], backward: NDArray[np.float32], elapsed_ns: int
    ) -> 'PairMotion':
        """Find what is visible out of the flows there and back, (H, W, 2) float32 px each."""
        return cls(forward, ~occlusion(forward, backward), elapsed_ns)


class MotionTracker:
    """Estimates the motion from each frame of a clip to the next, once for all who need it.

    Attributes:
        size: Height and width in pixels at which motion is estimated.
    """

    def __init__(self, size: tuple[int, int], flow: FlowMethod = dis_flow) -> None:
        """Start without frames.

        Args:
            size: Height and width in pixels; frames are brought to it.
            flow: How motion is estimated.
        """
        self.size = size
        self._flow = flow
        self._before: tuple[NDArray[np.uint8], int] | None = None

    def add(self, image: NDArray[np.uint8], stamp_ns: int) -> PairMotion | None:
        """Take the next frame of a clip.

        Args:
            image: (H, W, 3) uint8 RGB.
            stamp_ns: When it was taken, ns.

        Returns:
            The motion from the frame before; None for the first one of a clip, and where time
            did not go forward, which starts a new clip.
        """
        height, width = self.size
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        later = small.astype(np.uint8, copy=False)
        before, self._before = self._before, (later, stamp_ns)
        if before is None or stamp_ns <= before[1]:
            return None
        earlier, earlier_ns = before
        return PairMotion.between(
            self._flow(earlier, later), self._flow(later, earlier), stamp_ns - earlier_ns
        )

    def cut(self) -> None:
        """Start a new clip: the next frame is not compared with the last one."""
        self._before = None
