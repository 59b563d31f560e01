# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where each pixel of an unlabelled frame lies in the labelled one, and how sure that is."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.motion import flow_targets, round_trip, warp_labels
from vidseg_training.propagation.motion import ClipFrame, MotionSource

Occlusion: TypeAlias = Literal['agree', 'void', 'keep']
"""What becomes of labels where the check there and back fails, see `carry_labels`."""


class Correspondence(NamedTuple):
    """How the pixels of a target frame lie in a source frame."""

    flow: NDArray[np.float32]
    """(H, W, 2) float32 px (x, y): what is at p in the target is at p + flow(p) in the source."""
    confidence: NDArray[np.uint8]
    """(H, W) uint8, 255 = sure; 0 where the check there and back fails, see `RoundTrip`."""
    gap: NDArray[np.float32]
    """(H, W, 2) float32 px: by how much the flows there and back disagree; of steps, added up."""


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

    Raises:
        ParameterError: If the source gives something else than a flow of the frame's size.
    """
    flow = _checked(motion, motion.backward_flow(target, source, past), target)
    back = _checked(motion, motion.backward_flow(source, target, beyond), source)
    return Correspondence(flow, *round_trip(flow, back))


def _checked(
    motion: MotionSource, flow: NDArray[np.float32], frame: ClipFrame
) -> NDArray[np.float32]:
    """Return a copy of what a source gave, as float32.

    Any function can be a source, and give anything; also the same array each time.
    """
    flow = np.asarray(flow)
    height, width = frame.image.shape[:2]
    if flow.shape != (height, width, 2) or flow.dtype.kind != 'f' or not np.isfinite(flow).all():
        msg = (
            f'the motion source {motion.name} gave {flow.dtype} {flow.shape} for a frame of '
            f'{height} rows and {width} columns; a flow is (rows, columns, 2) finite floats in '
            'pixels of that frame'
        )
        raise ParameterError(msg)
    return np.array(flow, np.float32)


def carry_labels(
    labels: NDArray[np.uint8], way: Correspondence, occlusion: Occlusion = 'agree'
) -> NDArray[np.uint8]:
    """Carry the labels of the source frame to the target.

    The check there and back fails where a pixel is hidden, and where there is nothing to be
    matched: on the sky, on an even road. In the first case the source has another label a gap
    away from where the flow leads, to one side or the other, since hiding and hidden surface part
    by that much; in the second all three places mostly have one label, which is right whichever
    of the flows is.

    Args:
        labels: (H, W) uint8 ids of the source.
        way: Of the target in the source.
        occlusion: Where the check fails, *agree* keeps an id on which the three places agree,
            *void* none, and *keep* all, as the official code does.

    Returns:
        (H, W) uint8 ids of the nearest pixel; void (255) outside of the source's picture, and
        where the rule says so.
    """
    carried = warp_labels(labels, way.flow)
    if occlusion == 'keep':
        return carried
    hidden = way.confidence == 0
    if occlusion == 'agree':
        beside = (warp_labels(labels, way.flow + side * way.gap) for side in (-1, 1))
        before, behind = (ids != carried for ids in beside)
        hidden &= before | behind
    carried[hidden] = IGNORE_ID
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
    flow, gap = (
        np.asarray(
            of_step
            + cv2.remap(of_before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.float32,
        )
        for of_step, of_before in ((step.flow, before.flow), (step.gap, before.gap))
    )
    sure = cv2.remap(before.confidence, np.rint(x), np.rint(y), cv2.INTER_NEAREST, borderValue=0)
    confidence = np.minimum(step.confidence, sure).astype(np.uint8, copy=False)
    return Correspondence(flow, confidence, gap)
