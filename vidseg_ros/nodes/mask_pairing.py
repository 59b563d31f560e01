# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which label map belongs to which played frame."""

from collections.abc import Sequence
from typing import NamedTuple


class Published(NamedTuple):
    """A frame that was played."""

    frame: int
    """Its index in the source."""
    stamp_ns: int
    """Stamp of its header (ns)."""
    at_ns: int
    """Monotonic clock right before it was published (ns)."""


class Received(NamedTuple):
    """A label map that came back."""

    stamp_ns: int
    """Stamp of its header (ns)."""
    at_ns: int
    """Monotonic clock when it came in (ns)."""


def pair_masks(
    frames: Sequence[Published], masks: Sequence[Received]
) -> tuple[dict[int, int], set[int]]:
    """Find the label map of each frame; stamps may repeat or jump back.

    A node works in order. So a label map belongs to a frame of its stamp that was published after
    the frame of the label map before, and before the label map came in. Where two frames fit,
    nobody can tell, and neither gets one.

    Args:
        frames: In the order in which they were published.
        masks: In the order in which they came in.

    Returns:
        Index of a frame -> position in ``masks``, both rising; and the indices of the frames that
        had to go without because their stamp repeats.
    """
    pairs: dict[int, int] = {}
    doubtful: set[int] = set()
    start = end = 0
    for position, mask in enumerate(masks):
        while end < len(frames) and frames[end].at_ns < mask.at_ns:
            end += 1
        fitting = [at for at in range(start, end) if frames[at].stamp_ns == mask.stamp_ns]
        if len(fitting) == 1:
            pairs[frames[fitting[0]].frame] = position
            start = fitting[0] + 1
        else:
            doubtful.update(frames[at].frame for at in fitting)
    return pairs, doubtful - pairs.keys()
