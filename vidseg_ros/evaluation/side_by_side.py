# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Two models on the same frames, beside each other: what they see, and where they waver."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.consistency import EVALUATION_SIZE, flipped, TemporalConsistency
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.core.motion import MotionTracker
from vidseg_ros.core.overlay import blend, contact_sheet, legends
from vidseg_ros.evaluation.frame_clock import FrameClock

_FADING: Final = 0.85
"""What is left of a flip's red one frame later, so that eyes can follow."""

_RED: Final = (255, 30, 0)
_WIDTH: Final = 640
"""Of each of the four pictures, px."""


class SideBySide:
    """Draws each frame once for each model: its classes above, its label flips and names below.

    A flip is a pixel whose label changes along the motion of the scene, see
    `vidseg_ros.core.consistency.TemporalConsistency`; it is red on the earlier one of the two
    frames, and fades over the next ones.

    Attributes:
        steadiness: TC and flips of each model so far.
    """

    def __init__(self, cards: Sequence[ModelCard], fps: float | None = None) -> None:
        """Start a clip.

        Args:
            cards: Of the models, from left to right.
            fps: Nominal rate of the footage, frames/s; None: not known.
        """
        self._clock = FrameClock(fps)
        self._cards = cards
        self.steadiness = [TemporalConsistency(len(card.labels)) for card in cards]
        self._motion = MotionTracker(EVALUATION_SIZE)
        self._earlier: list[NDArray[np.uint8]] = []
        self._heat = [np.zeros(EVALUATION_SIZE, np.float32) for _ in cards]
        self._picture = np.empty((0, 0, 3), np.uint8)
        self._legend: NDArray[np.uint8] | None = None

    def draw(
        self, image: NDArray[np.uint8], labels: Sequence[NDArray[np.uint8]], stamp_ns: int
    ) -> NDArray[np.uint8]:
        """Draw the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            labels: Of each model (h, w) uint8 ids, at any resolution.
            stamp_ns: When it was taken, ns.

        Returns:
            (H', W', 3) uint8 RGB; frames of one size give pictures of one size.

        Raises:
            ValueError: If an id is not among a model's classes.
        """
        if not self._clock.add(stamp_ns):
            self._motion.cut()
        motion = self._motion.add(image, stamp_ns)
        small = [resize_labels(ids, EVALUATION_SIZE) for ids in labels]
        for number, (now, steadiness) in enumerate(zip(small, self.steadiness, strict=True)):
            steadiness.add_moved(now, motion)
            self._heat[number] *= _FADING
            if motion is not None:
                self._heat[number][flipped(self._earlier[number], now, motion)] = 1
        self._earlier = small
        shown = _fit(image)
        earlier = self._picture if self._picture.size else shown
        flips = [_tint(earlier, heat) for heat in self._heat]
        self._picture = shown
        classes = [
            blend(shown, resize_labels(ids, shown.shape[:2]), card.labels)
            for ids, card in zip(labels, self._cards, strict=True)
        ]
        captions = [card.name for card in self._cards]
        captions += [f'{_number(one.flips())} flips/s so far' for one in self.steadiness]
        sheet = contact_sheet([*classes, *flips], len(classes), captions)
        if self._legend is None:
            self._legend = legends([card.labels for card in self._cards], sheet.shape[1])
        return np.vstack([sheet, self._legend])

    def skip(self, stamp_ns: int) -> None:
        """Leave out a frame; across it nothing is compared."""
        self._clock.add(stamp_ns)
        self._motion.cut()


def _fit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a (H, W, 3) picture as wide as a tile."""
    height = round(image.shape[0] * _WIDTH / image.shape[1])
    small = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def _tint(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an (H, W, 3) picture, grey, with what is hot in red."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    strength = cv2.resize(heat, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    tinted = grey + strength * (np.array(_RED, np.float32) - grey)
    return np.rint(tinted).astype(np.uint8)


def _number(value: float) -> str:
    return '-' if np.isnan(value) else f'{value:.2f}'
