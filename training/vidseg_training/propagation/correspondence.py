# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where each pixel of an unlabelled frame lies in the labelled one, and how sure that is."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.motion import flow_targets, visibility, warp_labels
from vidseg_training.propagation.motion import ClipFrame, MotionSource


class Correspondence(NamedTuple):
    """How the pixels of a target frame lie in a source frame."""

    flow: NDArray[np.float32]
    """(H, W, 2) float32 px (x, y): what is at p in the target is at p + flow(p) in the source."""
    confidence: NDArray[np.uint8]
    """(H, W) uint8, 255 = sure; 0 where the source frame does not show the pixel."""


def correspond(
    motion: MotionSource,
    target: ClipFrame,
    source: ClipFrame,
    *,
    past: Sequence[ClipFrame] = (),
    beyond: Sequence[ClipFrame] = (),
) -> Correspondence:
    """Find the pixels of a target frame in a source frame, with the check there and back.

    Args:
        motion: Asked twice, the second time with the frames' roles exchanged.
        target: The frame to be explained.
        source: The frame whose pixels explain it.
        past: Frames beyond ``source`` as seen from ``target``, see `MotionSource`.
        beyond: Frames beyond ``target`` as seen from ``source``, for the way back.
    """
    flow = motion.backward_flow(target, source, past)
    back = motion.backward_flow(source, target, beyond)
    return Correspondence(flow, visibility(flow, back))


def carry_labels(
    labels: NDArray[np.uint8], way: Correspondence, *, keep_occluded: bool = False
) -> NDArray[np.uint8]:
    """Carry the labels of the source frame to the target.

    Args:
        labels: (H, W) uint8 ids of the source.
        way: Of the target in the source.
        keep_occluded: Leave ids where the source does not show the pixel, as the paper does.

    Returns:
        (H, W) uint8 ids of the nearest pixel; void (255) outside of the source's picture, and
        where it does not show the pixel.
    """
    carried = warp_labels(labels, way.flow)
    if not keep_occluded:
        carried[way.confidence == 0] = IGNORE_ID
    return carried


def chain(step: Correspondence, before: Correspondence) -> Correspondence:
    """Join the step from a frame to the next one with all steps before it.

    The flows are added up and pixels are fetched once, where the paper warps its own result
    again at each step: ids do not gather a rounding and pictures no blur at every one.

    Args:
        step: Of frame c in frame b.
        before: Of frame b in frame a.

    Returns:
        Of frame c in frame a; the confidence is that of the least sure step.
    """
    x, y = flow_targets(step.flow)
    rest = cv2.remap(before.flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sure = _fetch_nearest(before.confidence, step.flow)
    flow = np.asarray(step.flow + rest, np.float32)
    return Correspondence(flow, np.minimum(step.confidence, sure))


def _fetch_nearest(confidence: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Fetch the nearest confidence, 0 outside of the picture."""
    x, y = (np.rint(side) for side in flow_targets(flow))
    fetched = cv2.remap(confidence, x, y, cv2.INTER_NEAREST, borderValue=0)
    return fetched.astype(np.uint8, copy=False)
