# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What is counted of one model's label maps: exact sums, so that any split gives the same scores.

Scores are computed from the counts and from nothing else. Tallies of several sources add up to
the tally of all of them, in any order, in one process or in many.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isnan
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.consistency import EVALUATION_SIZE
from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.metrics import Confusion, confusion_matrix, mean_iou
from vidseg_ros.core.motion import dis_flow, dis_flow_fast, MotionTracker, PairMotion
from vidseg_ros.core.timing import LatencyHistogram
from vidseg_ros.evaluation.consistency import ConsistencyMeter
from vidseg_ros.evaluation.sources import SourceFrame

Metrics = Literal['standard', 'fast']

_FAST_SIZE: Final = (180, 320)

SIZES: Final[dict[Metrics, tuple[int, int]]] = {'standard': EVALUATION_SIZE, 'fast': _FAST_SIZE}
"""Height and width at which motion is estimated, px. Numbers of the two do not compare."""

STEADINESS: Final[dict[Metrics, tuple[str, str]]] = {
    'standard': ('tc', 'flips'),
    'fast': ('tc_fast', 'flips_fast'),
}
"""What TC and flips of one frame are called."""

_FLOWS: Final = {'standard': dis_flow, 'fast': dis_flow_fast}


def motion_tracker(metrics: Metrics) -> MotionTracker:
    """Return what estimates the motion for some metrics.

    ``standard``: DIS medium at 480x360. ``fast``: DIS fast at 320x180, for a quick look.
    """
    return MotionTracker(SIZES[metrics], _FLOWS[metrics])


class ModelOutput(NamedTuple):
    """What one model makes of one frame."""

    labels: NDArray[np.uint8]
    """(h, w) uint8 ids, at any resolution."""
    confidence: NDArray[np.uint8] | None
    """(h, w) uint8, 255 = certain; None without one."""
    time_ns: int
    """Inference; of a live run from publishing the frame to receiving the label map, ns."""


class FrameScores(NamedTuple):
    """One frame, one model; None where something is not defined."""

    time_ns: int
    """See `ModelOutput`."""
    tc: float | None
    """TC of this frame and the one before, 0 to 1."""
    flips: float | None
    """Share of the visible pixels whose label changed, 0 to 1."""
    confidence: float | None
    """Mean, 0 to 1."""
    miou: float | None
    """Over the classes of this frame, 0 to 1; None without labels."""
    shares: tuple[float, ...]
    """Share of the pixels of each class, 0 to 1."""

    def numbers(self, metrics: Metrics) -> dict[str, float | None]:
        """Return what makes a time series, by name; TC and flips under that of their metrics."""
        tc, flips = STEADINESS[metrics]
        return {
            'inference_ms': self.time_ns / 1e6,
            tc: self.tc,
            flips: self.flips,
            'confidence': self.confidence,
            'miou': self.miou,
        }


class ModelTally:
    """Counts of one model over frames in a row.

    Attributes:
        confusion: True classes (rows) against predicted ones.
        consistency: TC, flips and VC.
        class_pixels: (C,) int64 predicted pixels of each class.
        confidence: Sum over all pixels (0 to 255 each), and their number.
        times: See `ModelOutput`.
    """

    def __init__(self, classes: int, metrics: Metrics = 'standard') -> None:
        """Start without frames.

        Args:
            classes: Number of classes.
            metrics: Which motion the frames come with.
        """
        self._metrics = metrics
        self.confusion = Confusion(classes)
        self.consistency = ConsistencyMeter(classes, SIZES[metrics])
        self.class_pixels = np.zeros(classes, np.int64)
        self.confidence = (0, 0)
        self.times = LatencyHistogram()

    def add(
        self,
        output: ModelOutput,
        motion: PairMotion | None,
        truth: NDArray[np.uint8] | None = None,
    ) -> FrameScores:
        """Take the next frame.

        Args:
            output: What the model makes of it.
            motion: From the frame before; None without one.
            truth: (H, W) uint8 true ids, 255 = void; None where there are none. Predictions are
                brought to its size (nearest).

        Raises:
            ValueError: If a predicted id is none of the classes.
        """
        classes = len(self.class_pixels)
        pixels = np.bincount(output.labels.ravel(), minlength=classes)
        if len(pixels) > classes:
            msg = f'predicted id {len(pixels) - 1} is out of range for {classes} classes'
            raise ValueError(msg)
        self.class_pixels += pixels
        pair = self.consistency.add(output.labels, motion, truth)
        self.times.add(output.time_ns)
        return FrameScores(
            time_ns=output.time_ns,
            tc=None if pair is None else _known(pair.tc),
            flips=None if pair is None else _known(1 - pair.agreement),
            confidence=self._add_confidence(output.confidence),
            miou=None if truth is None else self._add_truth(truth, output.labels),
            shares=tuple((pixels / output.labels.size).tolist()),
        )

    def _add_confidence(self, confidence: NDArray[np.uint8] | None) -> float | None:
        if confidence is None:
            return None
        total = int(confidence.sum(dtype=np.int64))
        self.confidence = self.confidence[0] + total, self.confidence[1] + confidence.size
        return total / confidence.size / 255

    def _add_truth(self, truth: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float | None:
        labels = resize_labels(labels, truth.shape)
        matrix = confusion_matrix(truth, labels, len(self.class_pixels))
        self.confusion.matrix += matrix
        return _known(mean_iou(matrix))

    def cut(self) -> None:
        """Frames are missing here: the next one is not compared with the last one."""
        self.consistency.cut()

    def merge(self, other: 'ModelTally') -> None:
        """Add the counts of other frames; `cut` both before."""
        self.confusion.merge(other.confusion)
        self.consistency.merge(other.consistency)
        self.class_pixels += other.class_pixels
        self.confidence = (
            self.confidence[0] + other.confidence[0],
            self.confidence[1] + other.confidence[1],
        )
        self.times.merge(other.times)

    def scores(self) -> dict[str, Any]:
        """Return the scores, plain types; see docs/evaluation.md for the keys."""
        labelled = self.confusion.pixels > 0
        temporal = self.consistency.temporal
        total, count = self.confidence
        pixels = int(self.class_pixels.sum())
        steadiness = {
            'tc': _known(temporal.tc()),
            'tc_legacy': _known(temporal.legacy_tc()),
            'flips_per_s': _known(temporal.flips()),
            'tc_per_class': _all_known(temporal.class_tc()),
            'flips_per_s_per_class': _all_known(temporal.class_flips()),
        }
        fast = self._metrics == 'fast'
        vc: dict[str, float | list[float | None] | None] = {}
        for score in self.consistency.video:
            vc[f'vc{score.window}'] = _known(score.correct_consistency())
            vc[f'vc{score.window}_self'] = _known(score.self_consistency())
            classes = len(self.class_pixels)
            vc[f'vc{score.window}_per_class'] = _all_known(score.class_correct(classes))
            vc[f'vc{score.window}_self_per_class'] = _all_known(score.class_self(classes))
        return {
            'miou': _known(self.confusion.miou()),
            'iou': _all_known(self.confusion.iou()),
            'accuracy': _known(self.confusion.accuracy()),
            'confusion': self.confusion.matrix.tolist() if labelled else None,
            **(dict.fromkeys(steadiness) if fast else steadiness),
            **{f'{key}_fast': value if fast else None for key, value in steadiness.items()},
            **vc,
            'class_share': [n / pixels if pixels else None for n in self.class_pixels.tolist()],
            'confidence_mean': total / count / 255 if count else None,
            'inference_ms': self.times.to_dict(),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain types, which `from_dict` takes back exactly."""
        temporal = self.consistency.temporal
        return {
            'metrics': self._metrics,
            'confusion': self.confusion.matrix.tolist(),
            'pairs': self.consistency.pairs,
            'carried': temporal.carried.matrix.tolist(),
            'legacy': temporal.legacy.matrix.tolist(),
            'flip_counts': temporal.flip_counts.tolist(),
            'pixel_ns': temporal.pixel_ns,
            'clips': [score.clips for score in self.consistency.video],
            'vc_counts': [
                score.class_counts[:, : len(self.class_pixels)].tolist()
                for score in self.consistency.video
            ],
            'class_pixels': self.class_pixels.tolist(),
            'confidence': self.confidence,
            'times': [sorted(self.times.bins.items()), self.times.sum_ns, self.times.max_ns],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> 'ModelTally':
        """Return the tally that `to_dict` was called of."""
        tally = cls(len(plain['class_pixels']), plain['metrics'])
        temporal = tally.consistency.temporal
        tally.confusion.matrix += np.array(plain['confusion'], np.int64)
        tally.consistency.pairs = plain['pairs']
        temporal.carried.matrix += np.array(plain['carried'], np.int64)
        temporal.legacy.matrix += np.array(plain['legacy'], np.int64)
        temporal.flip_counts += np.array(plain['flip_counts'], np.int64)
        temporal.pixel_ns = list(plain['pixel_ns'])
        video = zip(tally.consistency.video, plain['clips'], plain['vc_counts'], strict=True)
        for score, clips, counts in video:
            score.clips = [(same, right) for same, right in clips]
            score.class_counts[:, : len(tally.class_pixels)] += np.array(counts, np.int64)
        tally.class_pixels += np.array(plain['class_pixels'], np.int64)
        tally.confidence = (plain['confidence'][0], plain['confidence'][1])
        bins, sum_ns, max_ns = plain['times']
        tally.times = LatencyHistogram(dict(map(tuple, bins)), sum_ns, max_ns)
        return tally


@contextmanager
def blame_the_model(frame: SourceFrame) -> Iterator[None]:
    """Say of wrong ids whose fault they are.

    Raises:
        ModelError: Instead of a ValueError.
    """
    try:
        yield
    except ValueError as error:
        msg = f'frame {frame.name}: {error}; the model does not fit its card'
        raise ModelError(msg) from error


def _known(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _all_known(values: NDArray[np.float64]) -> list[float | None]:
    return [_known(value) for value in values.tolist()]
