# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a replay came to: frames, rate, latencies with their boundaries, drops, scores.

The same object prints the table for people and gives the JSON for programs.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.timing import LatencySummary
from vidseg_ros.evaluation.consistency import ClassConsistency, Consistency
from vidseg_ros.inference.prediction import EngineInfo

SCHEMA: Final = 1
"""Version of the JSON layout, see `ReplaySummary.to_dict`."""

NO_MASK: Final = 'no mask'
"""Reason under which frames are counted that a newer one replaced in the node, or DDS lost."""

Mode = Literal['offline', 'live']


@dataclass(frozen=True, kw_only=True)
class StageLatency:
    """Latencies of one stage over all frames."""

    stage: str
    """Short name, such as ``infer``."""
    boundary: str
    """From where to where it was measured."""
    latency: LatencySummary
    """Percentiles, ms."""


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """Score of one class."""

    name: str
    """Name of the class."""
    iou: float | None
    """Intersection over union, 0 to 1; None where the class is neither true nor predicted."""
    pixels: int
    """True pixels of the class."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Agreement with true labels, from one confusion matrix over all scored frames."""

    frames: int
    """Frames that had labels."""
    miou: float
    """Mean IoU over the classes that occur, 0 to 1."""
    classes: tuple[ClassScore, ...]
    """Every class of the label set, in the order of the ids."""

    @classmethod
    def from_confusion(cls, confusion: Confusion, labels: LabelSet, frames: int) -> 'Scores':
        """Compute the scores; at least one pixel must have been counted."""
        pixels = confusion.matrix.sum(axis=1).tolist()
        classes = tuple(
            ClassScore(name=name, iou=float(iou) if np.isfinite(iou) else None, pixels=count)
            for name, iou, count in zip(labels.names, confusion.iou(), pixels, strict=True)
        )
        return cls(frames=frames, miou=confusion.miou(), classes=classes)


@dataclass(frozen=True, kw_only=True)
class ReplaySummary:
    """Everything worth knowing about one replay."""

    mode: Mode
    """``offline``: one frame after the other; ``live``: through DDS and the running node."""
    source: str
    """Name of the footage."""
    model: str
    """Name on the model's card."""
    engine: EngineInfo
    """What the model really ran on."""
    frames_segmented: int
    """Frames with a label map."""
    drops: Mapping[str, int]
    """Frames without one, counted by reason."""
    wall_ns: int
    """Offline: from before the first frame was read until the last result was handled; live:
    from the first frame until the last label map came back, which is as long as the drive (ns).
    """
    latencies: tuple[StageLatency, ...]
    """One entry per stage, in order; the total last."""
    scores: Scores | None
    """Agreement with true labels; None without any."""
    consistency: Consistency | None = None
    """How steady the label maps are; None if not asked for, or without two frames in a row."""
    error: str | None = None
    """What ended the run before the end of the footage, or None."""

    @property
    def frames_seen(self) -> int:
        """All frames: each is either segmented or counted among the drops."""
        return self.frames_segmented + sum(self.drops.values())

    @property
    def fps(self) -> float | None:
        """Segmented frames per second of wall time; None if no time passed."""
        return self.frames_segmented * 1e9 / self.wall_ns if self.wall_ns else None

    def to_dict(self) -> dict[str, object]:
        """Return the summary ready for JSON: plain types only, None for what is not known.

        Keys: ``schema`` (1), ``mode``, ``source``, ``model``, ``engine`` {name, version, device,
        precision, note}, ``frames`` {seen, segmented}, ``drops`` {reason: count}, ``wall_s``,
        ``fps``, ``latency`` {stage: {boundary, count, p50_ms, p95_ms, p99_ms, max_ms}},
        ``scores`` null or {frames, miou, classes: [{name, iou, pixels}]} (IoU from 0 to 1),
        ``consistency`` null or {pairs, tc, legacy_tc, flips_per_second, classes: [{name, tc,
        flips_per_second}], windows: [{window, self_consistency, correct_consistency,
        class_correct, class_self}]},
        ``error``.
        """
        return {
            'schema': SCHEMA,
            'mode': self.mode,
            'source': self.source,
            'model': self.model,
            'engine': asdict(self.engine),
            'frames': {'seen': self.frames_seen, 'segmented': self.frames_segmented},
            'drops': dict(self.drops),
            'wall_s': self.wall_ns / 1e9,
            'fps': self.fps,
            'latency': {
                item.stage: {'boundary': item.boundary, **item.latency.to_dict()}
                for item in self.latencies
            },
            'scores': asdict(self.scores) if self.scores else None,
            'consistency': asdict(self.consistency) if self.consistency else None,
            'error': self.error,
        }

    def table(self) -> Group:
        """Return the summary as tables for people, to be printed by ``rich``."""
        tables = [self._run_table(), self._latency_table()]
        if self.scores:
            tables.append(_score_table(self.scores))
        if self.consistency:
            tables.append(_consistency_table(self.consistency))
        return Group(*tables)

    def _run_table(self) -> Table:
        table = Table(
            show_header=False, title=escape(f'{self.source}, {self.mode}'), title_justify='left'
        )
        table.add_column(style='bold')
        table.add_column(overflow='fold')
        drops = ', '.join(f'{count} {reason}' for reason, count in self.drops.items())
        engine = self.engine
        table.add_row('model', escape(self.model))
        table.add_row(
            'engine', f'{engine.name} {engine.version}, {engine.device}, {engine.precision}'
        )
        if engine.note:
            table.add_row('', escape(engine.note))
        table.add_row('frames', f'{self.frames_segmented} segmented of {self.frames_seen}')
        table.add_row('dropped', drops or 'none')
        if too_slow := self._too_slow():
            table.add_row('', too_slow)
        meaning = 'outputs written' if self.mode == 'offline' else 'playing'
        table.add_row('wall time', f'{self.wall_ns / 1e9:.1f} s, {meaning}')
        table.add_row('rate', '-' if self.fps is None else f'{self.fps:.1f} frames/s')
        if self.error:
            table.add_row('ended by', escape(self.error))
        return table

    def _too_slow(self) -> str | None:
        """Say why so many frames of a live run have no label map; None if there are few."""
        if not self.frames_segmented or 4 * self.drops.get(NO_MASK, 0) < self.frames_seen:
            return None
        wall_ms = self.wall_ns / 1e6
        after_last_ms = self.latencies[-1].latency.p50_ms or 0  # no frame came any more
        took = wall_ms / self.frames_segmented
        came = max(0, wall_ms - after_last_ms) / self.frames_seen
        return (
            f'{NO_MASK}: a label map took about {took:.0f} ms here and a frame came every '
            f'{came:.0f} ms, so the node took the newest; `vidseg replay` without --live segments '
            'all, and a lower --rate with it or a smaller model more'
        )

    def _latency_table(self) -> Table:
        table = Table(title='latency, ms', title_justify='left')
        table.add_column('stage', style='bold')
        for name in ('p50', 'p95', 'p99', 'max'):
            table.add_column(name, justify='right')
        table.add_column('from -> to', overflow='fold')
        for item in self.latencies:
            times = item.latency
            values = (times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms)
            numbers = ['-' if value is None else f'{value:.1f}' for value in values]
            table.add_row(item.stage, *numbers, item.boundary)
        return table


def _score_table(scores: Scores) -> Table:
    title = f'IoU on {scores.frames} labelled frames, %'
    table = Table(title=title, title_justify='left', show_footer=True)
    table.add_column('class', 'mean', style='bold')
    table.add_column('IoU', f'{scores.miou * 100:.1f}', justify='right')
    total = sum(item.pixels for item in scores.classes)
    table.add_column('true pixels', f'{total:,}', justify='right')
    for item in scores.classes:
        iou = '-' if item.iou is None else f'{item.iou * 100:.1f}'
        table.add_row(escape(item.name), iou, f'{item.pixels:,}')
    return table


def _consistency_table(consistency: Consistency) -> Table:
    title = f'consistency over {consistency.pairs} pairs of frames, along the motion'
    table = Table(title=title, title_justify='left', show_footer=True)
    table.add_column('class', 'all', style='bold')
    tc, flips = _consistency_cells(consistency)
    table.add_column('TC, %', tc, justify='right')
    table.add_column('label flips per pixel and second', flips, justify='right')
    for item in consistency.classes:
        table.add_row(escape(item.name), *_consistency_cells(item))
    for window in consistency.windows:
        correct, same = window.correct_consistency * 100, window.self_consistency * 100
        table.add_row(f'VC{window.window} correct / self', f'{correct:.1f} / {same:.1f}', '')
    return table


def _consistency_cells(item: Consistency | ClassConsistency) -> tuple[str, str]:
    return (
        '-' if item.tc is None else f'{item.tc * 100:.1f}',
        '-' if item.flips_per_second is None else f'{item.flips_per_second:.3f}',
    )
