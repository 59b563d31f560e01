# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How steady the label maps of a replay are, for its summary."""

from copy import deepcopy
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.consistency import PairConsistency, TemporalConsistency, VideoConsistency
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import LabelSet

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
    """Compares each label map with the one before."""

    def __init__(self, labels: LabelSet) -> None:
        """Start without frames."""
        self._labels = labels
        self._pairs = 0
        self._temporal = TemporalConsistency(len(labels))
        self._shape: tuple[int, ...] | None = None  # of the true labels of the frame before
        self._video = tuple(VideoConsistency(window) for window in WINDOWS)

    def add(
        self,
        image: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        stamp_ns: int,
        truth: NDArray[np.uint8] | None,
    ) -> PairConsistency | None:
        """Take the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            labels: (h, w) uint8 predicted ids, at any resolution.
            stamp_ns: When the frame was taken, ns.
            truth: (H', W') uint8 true ids, 255 = void; None where there are none.

        Returns:
            How it agrees with the frame before; None if there is none to compare with.

        Raises:
            ValueError: If a predicted id is none of the classes.
        """
        pair = self._temporal.add(image, labels, stamp_ns)
        self._pairs += pair is not None
        shape = None if truth is None else truth.shape
        for score in self._video:
            if pair is None or shape != self._shape:
                score.end_clip()
            if truth is not None:
                score.add(truth, resize_labels(labels, truth.shape))
        self._shape = shape
        return pair

    def cut(self) -> None:
        """Frames are missing here: the next one is not compared with the last one."""
        self._temporal.cut()
        for score in self._video:
            score.end_clip()

    def result(self) -> Consistency | None:
        """Return how steady the frames so far are; None without a pair of frames."""
        if not self._pairs:
            return None
        video = deepcopy(self._video)  # the clip that is under way goes on
        for score in video:
            score.end_clip()
        temporal = self._temporal
        return Consistency(
            pairs=self._pairs,
            tc=_known(temporal.tc()),
            legacy_tc=_known(temporal.legacy_tc()),
            flips_per_second=_known(temporal.flips()),
            classes=tuple(
                ClassConsistency(name=name, tc=_known(tc), flips_per_second=_known(flips))
                for name, tc, flips in zip(
                    self._labels.names, temporal.class_tc(), temporal.class_flips(), strict=True
                )
            ),
            windows=tuple(
                WindowConsistency(
                    window=score.window,
                    self_consistency=score.self_consistency(),
                    correct_consistency=score.correct_consistency(),
                )
                for score in video
                if score.clips
            ),
        )


def _known(value: float) -> float | None:
    return None if isnan(value) else float(value)
