# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where motion comes from: one small interface, and the sources behind it.

All motion here is *backward*: asked for a target frame, a source answers where each of its pixels
is to be found in another frame, so that the other frame's picture and labels can be carried over.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast, Final, final, NamedTuple, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.motion import dis_flow, FlowMethod
from vidseg_ros.core.street import StreetClip


class ClipFrame(NamedTuple):
    """A frame of a clip."""

    position: int
    """In the clip, from 0; a frame that is missing has a position as well."""
    image: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""


class MotionSource(Protocol):
    """Whatever can tell how pixels move between two frames of a clip."""

    @property
    def name(self) -> str:
        """What tables and manifests call it; different weights have different names."""
        ...

    @property
    def past_frames(self) -> int:
        """How many frames on the far side of ``source`` it makes use of; 0 for none."""
        ...

    def backward_flow(
        self, target: ClipFrame, source: ClipFrame, past: Sequence[ClipFrame]
    ) -> NDArray[np.float32]:
        """Estimate where the pixels of one frame come from.

        Args:
            target: The frame to be explained. Video prediction may use its position and its size,
                but not its picture.
            source: The frame whose pixels explain it; before or after it in time.
            past: Frames beyond ``source`` as seen from ``target``, the nearest first, each as far
                from the next as ``source`` is from ``target``: at most ``past_frames``, fewer
                (or none) at the ends of a clip and beside frames that cannot be read.

        Returns:
            (H, W, 2) float32 px (x, y): what is at p in ``target`` is at p + flow(p) in
            ``source``. It may be the same array each time: `correspond` copies it.
        """
        ...


@final
class FlowMotion:
    """Any optical flow method as a motion source."""

    past_frames = 0

    def __init__(self, name: str, flow: FlowMethod) -> None:
        """Wrap a method.

        Args:
            name: What tables and manifests call it.
            flow: (H, W, 3) uint8 RGB frames a and b -> flow from a to b, (H, W, 2) float32 px.
        """
        self.name = name
        self._flow = flow

    def backward_flow(
        self, target: ClipFrame, source: ClipFrame, past: Sequence[ClipFrame]
    ) -> NDArray[np.float32]:
        """See `MotionSource`."""
        del past  # two frames are all that optical flow looks at
        return self._flow(target.image, source.image)


@final
class ExactStreetMotion:
    """The true motion of a procedural street clip, which needs no pictures."""

    name = 'exact'
    past_frames = 0

    def __init__(self, clip: StreetClip) -> None:
        """Use the geometry of a clip; frames are known by their position."""
        self._clip = clip

    def backward_flow(
        self, target: ClipFrame, source: ClipFrame, past: Sequence[ClipFrame]
    ) -> NDArray[np.float32]:
        """See `MotionSource`."""
        del past
        return self._clip.flow_between(target.position, source.position)


def farneback_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate flow by polynomial expansion (Farneback, SCIA 2003; OpenCV's usual settings).

    Args:
        first: (H, W, 3) uint8 RGB.
        second: The same size.

    Returns:
        (H, W, 2) float32 px, from ``first`` to ``second``.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    start = np.zeros((*grey[0].shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(
        grey[0],
        grey[1],
        start,
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )
    return np.asarray(flow, np.float32)


FLOW_METHODS: Final[dict[str, FlowMethod]] = {'dis': dis_flow, 'farneback': farneback_flow}
"""Optical flow methods by name."""

EXACT: Final = ExactStreetMotion.name
"""Choice of the true motion of a street clip."""

MotionChoice: TypeAlias = 'str | Path | Callable[..., NDArray[np.float32]] | MotionSource'
"""A name of `FLOW_METHODS`, `EXACT`, the checkpoint of a motion network, a `FlowMethod`, or any
`MotionSource`, which must be picklable where clips go to other processes."""


def function_name(function: Callable[..., object]) -> str:
    """Return what manifests call a flow method; that of an object is its class."""
    return str(getattr(function, '__name__', type(function).__name__))


def open_motion(choice: MotionChoice, street: StreetClip | None = None) -> MotionSource:
    """Open a motion source.

    Args:
        choice: See `MotionChoice`; a function is called by its own name in manifests.
        street: The clip, where it is a procedural one.

    Raises:
        ParameterError: If there is no such source, or the clip has no exact motion.
    """
    if hasattr(choice, 'backward_flow'):
        return cast('MotionSource', choice)
    if callable(choice):
        return FlowMotion(function_name(choice), choice)
    if choice == EXACT:
        if street is None:
            msg = f'--motion {EXACT} is known of street clips only (street:SEED); use dis'
            raise ParameterError(msg)
        return ExactStreetMotion(street)
    if choice in FLOW_METHODS:
        return FlowMotion(str(choice), FLOW_METHODS[str(choice)])
    if Path(choice).exists():
        from vidseg_training.propagation.learned import LearnedMotion  # noqa: PLC0415  # torch takes seconds

        return LearnedMotion.load(Path(choice))
    names = ', '.join([*FLOW_METHODS, EXACT])
    msg = f'no motion source {choice!r}: give one of {names}, or the checkpoint of a network'
    raise ParameterError(msg)
