# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How steady the label maps of a replay are, for its summary."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.consistency import (
    EVALUATION_SIZE,
    PairConsistency,
    TemporalConsistency,
    VideoConsistency,
)
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.motion import PairMotion

WINDOWS = (8, 16)
"""Frames of the windows of VC."""


@dataclass(frozen=True, kw_only=True)
class ClassConsistency:
    """How steady one class is."""

    name: str
    """Name of the class."""
    tc: float | None
    """Its TC, 0 to 1; None where it does not occur."""
    flips_per_second: float | None
    """Label flips per visible pixel of it and second; None where it does not occur."""


@dataclass(frozen=True, kw_only=True)
class WindowConsistency:
    """VC over windows of some frames; only footage with labels has it."""

    window: int
    """Frames of a window."""
    self_consistency: float
    """Share of steady predictions, 0 to 1, right or wrong."""
    correct_consistency: float
    """Share of steady predictions that are right, 0 to 1."""
    class_correct: tuple[float | None, ...] = ()
    """The same for each true class, over all windows; None for a class that stays nowhere."""
    class_self: tuple[float | None, ...] = ()
    """`self_consistency` of each true class, likewise."""


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """How steady the label maps of a drive are, see `vidseg_ros.core.consistency`."""

    pairs: int
    """Pairs of consecutive frames that were compared."""
    tc: float | None
    """Temporal consistency along DIS flow without occluded pixels, 0 to 1; None where the motion
    leaves no pixel visible."""
    legacy_tc: float | None
    """The same with the faults of ETC's official evaluation, for comparison only."""
    flips_per_second: float | None
    """Label flips per visible pixel and second; None where the motion leaves none visible."""
    classes: tuple[ClassConsistency, ...]
    """Every class, in the order of the ids."""
    windows: tuple[WindowConsistency, ...]
    """VC, one entry per window length that some stretch of labelled frames is long enough for."""


class ConsistencyMeter:
    """Compares each label map with the one before.

    Attributes:
        size: Height and width in pixels at which that happens.
        pairs: Pairs of consecutive frames that were compared.
        temporal: TC and flips.
        video: VC, one for each of `WINDOWS`.
    """

    def __init__(self, classes: int, size: tuple[int, int] = EVALUATION_SIZE) -> None:
        """Start without frames.

        Args:
            classes: Number of classes.
            size: Height and width in pixels at which label maps are compared.
        """
        self.size = size
        self.pairs = 0
        self.temporal = TemporalConsistency(classes)
        self.video = tuple(VideoConsistency(window) for window in WINDOWS)
        self._shape: tuple[int, ...] | None = None  # of the true labels of the frame before

    def add(
        self,
        labels: NDArray[np.uint8],
        motion: PairMotion | None,
        truth: NDArray[np.uint8] | None,
    ) -> PairConsistency | None:
        """Take the label map of the next frame.

        Args:
            labels: (h, w) uint8 predicted ids, at any resolution.
            motion: From the frame before, of a `MotionTracker` of ``size``; None without one.
            truth: (H', W') uint8 true ids, 255 = void; None where there are none.

        Returns:
            How it agrees with the frame before; None if there is none to compare with.

        Raises:
            ValueError: If a predicted id is none of the classes.
        """
        pair = self.temporal.add_moved(resize_labels(labels, self.size), motion)
        self.pairs += pair is not None
        shape = None if truth is None else truth.shape
        for score in self.video:
            if pair is None or shape != self._shape:
                score.end_clip()
            if truth is not None:
                score.add(truth, resize_labels(labels, truth.shape))
        self._shape = shape
        return pair

    def merge(self, other: 'ConsistencyMeter') -> None:
        """Add the finished clips of another one, as if they had been added here."""
        self.pairs += other.pairs
        self.temporal.merge(other.temporal)
        for mine, others in zip(self.video, other.video, strict=True):
            mine.merge(others)

    def cut(self) -> None:
        """Frames are missing here: the next one is not compared with the last one."""
        self.temporal.cut()
        for score in self.video:
            score.end_clip()

    def result(self, names: Sequence[str]) -> Consistency | None:
        """Return how steady the frames so far are; None without a pair of frames.

        Args:
            names: Of the classes.
        """
        if not self.pairs:
            return None
        video = deepcopy(self.video)  # the clip that is under way goes on
        for score in video:
            score.end_clip()
        temporal = self.temporal
        return Consistency(
            pairs=self.pairs,
            tc=_known(temporal.tc()),
            legacy_tc=_known(temporal.legacy_tc()),
            flips_per_second=_known(temporal.flips()),
            classes=tuple(
                ClassConsistency(name=name, tc=_known(tc), flips_per_second=_known(flips))
                for name, tc, flips in zip(
                    names, temporal.class_tc(), temporal.class_flips(), strict=True
                )
            ),
            windows=tuple(
                WindowConsistency(
                    window=score.window,
                    self_consistency=score.self_consistency(),
                    correct_consistency=score.correct_consistency(),
                    class_correct=tuple(map(_known, score.class_correct(len(names)).tolist())),
                    class_self=tuple(map(_known, score.class_self(len(names)).tolist())),
                )
                for score in video
                if score.clips
            ),
        )


def _known(value: float) -> float | None:
    return None if isnan(value) else float(value)
