# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The frames around a labelled one: each decoded once, each pair judged once."""

from typing import Any, final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidseg_training.propagation.clip import Clip
from vidseg_training.propagation.motion import ClipFrame
from vidseg_training.propagation.scene_cuts import Break, find_break, thumbnail

Reason: TypeAlias = Break | Literal['beyond the clip', 'missing', 'unreadable', 'other size']
"""Why there is no sample at a frame."""


@final
class FrameWindow:
    """Frames of a clip around a position that only rises."""

    def __init__(self, clip: Clip, reach: int, cut_error: float) -> None:
        """Read nothing yet.

        Args:
            clip: The clip.
            reach: How far from the position frames are asked for.
            cut_error: See `find_break`.
        """
        self._clip, self._reach, self._cut_error = clip, reach, cut_error
        self._images: dict[int, NDArray[np.uint8] | None] = {}
        self._thumbnails: dict[int, NDArray[np.uint8]] = {}
        self._breaks: dict[int, Reason | None] = {}

    def move(self, position: int) -> None:
        """Go to the next labelled frame; forget what is out of reach."""
        kept: tuple[dict[int, Any], ...] = (self._images, self._thumbnails, self._breaks)
        for known in kept:
            for old in [key for key in known if key < position - self._reach]:
                del known[old]

    def frame(self, position: int) -> ClipFrame | None:
        """Return a frame; None if there is none, or it cannot be read."""
        if not 0 <= position < len(self._clip):
            return None
        if position not in self._images:
            self._images[position] = self._clip.read(position)
        image = self._images[position]
        return None if image is None else ClipFrame(position, image)

    def __getitem__(self, position: int) -> ClipFrame:
        """Return a frame that has no `problem`."""
        frame = self.frame(position)
        assert frame is not None
        return frame

    def problem(self, position: int, size: tuple[int, ...]) -> Reason | None:
        """Return why a frame cannot be used beside one of (H, W, 3), by itself."""
        if not 0 <= position < len(self._clip):
            return 'beyond the clip'
        if not self._clip.has(position):
            return 'missing'
        frame = self.frame(position)
        if frame is None:
            return 'unreadable'
        return None if frame.image.shape == size else 'other size'

    def step(self, first: int, second: int) -> Reason | None:
        """Return what is between two neighbouring frames; None for motion."""
        earlier = min(first, second)
        if earlier not in self._breaks:
            self._breaks[earlier] = self._find(earlier)
        return self._breaks[earlier]

    def past(self, source: int, distance: int, count: int) -> list[ClipFrame]:
        """Return frames beyond a source, each so far from the one before, up to the first fault.

        Args:
            source: Position of the source frame.
            distance: To the next frame, negative for earlier ones.
            count: How many are wanted.
        """
        frames: list[ClipFrame] = []
        size = self[source].image.shape
        direction = 1 if distance > 0 else -1
        for number in range(1, count + 1):
            position = source + number * distance
            way = range(position - distance, position, direction)
            if self.problem(position, size) or any(
                self.step(here, here + direction) not in {None, 'identical'} for here in way
            ):
                break
            frames.append(self[position])
        return frames

    def _find(self, earlier: int) -> Reason | None:
        for position in (earlier, earlier + 1):
            frame = self.frame(position)
            if frame is None:
                return 'unreadable' if self._clip.has(position) else 'missing'
            if position not in self._thumbnails:
                self._thumbnails[position] = thumbnail(frame.image)
        first, second = self._thumbnails[earlier], self._thumbnails[earlier + 1]
        if first.shape != second.shape:
            return 'other size'
        return find_break(first, second, self._cut_error)
