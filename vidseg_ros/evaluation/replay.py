# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Segment recorded footage, collect masks, pictures and scores, and sum the run up."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, ExitStack
from dataclasses import dataclass
from itertools import islice
import logging
from pathlib import Path
import time
from types import TracebackType
from typing import Final, final, Literal

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.consistency import EVALUATION_SIZE
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.image_codec import FOLDER_FPS
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.motion import MotionTracker
from vidseg_ros.core.overlay import blend
from vidseg_ros.core.timing import StageTimings, summarize
from vidseg_ros.evaluation.consistency import Consistency, ConsistencyMeter
from vidseg_ros.evaluation.frame_clock import FrameClock
from vidseg_ros.evaluation.lookahead import segment_ahead
from vidseg_ros.evaluation.results_folder import claim_folder, write_json
from vidseg_ros.evaluation.sources import Source, SourceFrame
from vidseg_ros.evaluation.summary import ReplaySummary, Scores, StageLatency
from vidseg_ros.evaluation.tally import blame_the_model
from vidseg_ros.evaluation.true_labels import check_aspect, LabelDirectory
from vidseg_ros.evaluation.writers import (
    ContactSheet,
    MaskBagWriter,
    MaskPngWriter,
    MaskWriter,
    OverlayVideoWriter,
)
from vidseg_ros.pipeline import Segmenter

MaskFormat = Literal['png', 'bag', 'none']

MASKS: Final = 'masks'
VIDEO: Final = 'overlay.mp4'
SHEET: Final = 'contact_sheet.png'
SUMMARY: Final = 'summary.json'
RESULTS: Final = (VIDEO, SHEET, MASKS, SUMMARY)
"""What a replay leaves, best to look at first."""

DECODE_BOUNDARY: Final = {
    'bag': 'recorded message in memory -> picture',
    'video': 'decompressed frame -> picture (decompression itself comes before)',
    'images': 'image file -> picture, reading included',
}
"""What ``decode`` means for each kind of source."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a replay leaves behind: `RESULTS` in a claimed folder."""

    folder: Path
    """Made if absent."""
    masks: MaskFormat = 'png'
    """One PNG per frame, one bag, or nothing."""
    video: bool = True
    """Whether the overlay video is written."""
    sheet: bool = True
    """Whether the contact sheet is written."""
    fps: float = FOLDER_FPS
    """Nominal rate of the footage, for the overlay video, frames/s."""
    overwrite: bool = False
    """Whether the results of an earlier run in the folder may be replaced."""
    inputs: tuple[Path, ...] = ()
    """What is read; refused if it is among the results to be replaced."""


@final
class ReplayResults(AbstractContextManager['ReplayResults']):
    """Takes the label maps of a run, one frame after the other; use it in a ``with`` statement.

    At the end of the ``with`` block, even after an error, everything written so far is complete.

    Attributes:
        segmented: Frames added.
        drops: Frames skipped, by reason.
    """

    def __init__(
        self,
        labels: LabelSet,
        outputs: Outputs | None = None,
        *,
        truth: LabelDirectory | None = None,
        consistency: bool = False,
        fps: float | None = None,
    ) -> None:
        """Remember what to collect; files are made by ``with``.

        Args:
            labels: Classes of the label maps.
            outputs: What to write; None only counts and scores.
            truth: True labels to score against.
            consistency: Whether to measure how steady the label maps are; takes longer than a
                small network.
            fps: Nominal rate of the footage, frames/s; None: not known.
        """
        self.segmented = 0
        self.drops: Counter[str] = Counter()
        self._labels = labels
        self._outputs = outputs
        self._truth = truth
        self._confusion = Confusion(len(labels))
        self._scored = 0
        self._consistency = ConsistencyMeter(len(labels)) if consistency else None
        self._motion = MotionTracker(EVALUATION_SIZE)
        self._clock = FrameClock(fps)
        self._start_ns = 0
        self._open = ExitStack()
        self._masks: MaskWriter | None = None
        self._video: OverlayVideoWriter | None = None
        self._sheet: ContactSheet | None = None

    def __enter__(self) -> 'ReplayResults':
        """Make the folder and open the files.

        Raises:
            OutputError: If the folder cannot be had, see `claim_folder`.
        """
        outputs = self._outputs
        if outputs is None:
            return self
        claim_folder(outputs.folder, RESULTS, overwrite=outputs.overwrite, inputs=outputs.inputs)
        with ExitStack() as opening:
            if outputs.masks == 'png':
                self._masks = opening.enter_context(MaskPngWriter(outputs.folder / MASKS))
            elif outputs.masks == 'bag':
                writer = MaskBagWriter(outputs.folder / MASKS, self._labels)
                self._masks = opening.enter_context(writer)
            if outputs.video:
                video = OverlayVideoWriter(outputs.folder / VIDEO, outputs.fps, self._labels)
                self._video = opening.enter_context(video)
            if outputs.sheet:
                self._sheet = ContactSheet(self._labels)
                opening.callback(self._write_sheet, self._sheet, outputs.folder / SHEET)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish every file.

        Raises:
            OutputError: If the end of one cannot be written.
        """
        self._open.close()

    def add(
        self,
        frame: SourceFrame,
        image: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        *,
        truth: NDArray[np.uint8] | None = None,
    ) -> None:
        """Take one frame and its label map.

        Args:
            frame: Where it comes from; names its mask.
            image: (H, W, 3) uint8 **RGB**; only read.
            labels: (h, w) uint8 class ids, at the size of the image or of the network. Where
                their size differs from the true labels, they are brought to it (nearest).
            truth: (H', W') uint8 true ids, 255 = ignored; None asks the label directory.

        Raises:
            SourceError: If true labels are damaged or have another aspect ratio than the image.
            ModelError: If a label is not among the classes.
            OutputError: If a result cannot be written.
        """
        if not self.segmented:
            self._start_ns = frame.stamp_ns
        if truth is None and self._truth is not None:
            truth = self._truth.get(frame)
        if truth is not None:
            self._score(frame, image, labels, truth)
        if self._consistency is not None:
            if not self._clock.add(frame.stamp_ns):
                self._cut()
            with blame_the_model(frame):
                motion = self._motion.add(image, frame.stamp_ns)
                self._consistency.add(labels, motion, truth)
        if self._masks is not None:
            self._masks.write(frame, labels)
        if self._video is not None or self._sheet is not None:
            overlay = blend(image, resize_labels(labels, image.shape[:2]), self._labels)
            if self._video is not None:
                self._video.write(overlay, frame.stamp_ns)
            if self._sheet is not None:
                seconds = (frame.stamp_ns - self._start_ns) / 1e9
                self._sheet.add(f'{frame.name}  {seconds:.2f} s', overlay)
        self.segmented += 1

    def skip(self, reason: str, count: int = 1, *, stamp_ns: int | None = None) -> None:
        """Count frames that got no label map; ``stamp_ns`` is that of the last one, if known."""
        self.drops[reason] += count
        if stamp_ns is not None:
            self._clock.add(stamp_ns)
        self._cut()

    def scores(self) -> Scores | None:
        """Return the agreement with the true labels so far; None if no pixel was scored."""
        if not self._confusion.pixels:
            return None
        return Scores.from_confusion(self._confusion, self._labels, self._scored)

    def consistency(self) -> Consistency | None:
        """Return how steady the label maps are so far; None if not asked for or not known."""
        return None if self._consistency is None else self._consistency.result(self._labels.names)

    def write_summary(self, summary: ReplaySummary) -> None:
        """Write the summary as JSON into the folder, if there is one.

        Raises:
            OutputError: If it cannot be written.
        """
        if self._outputs is not None:
            write_json(self._outputs.folder / SUMMARY, summary.to_dict())

    def _cut(self) -> None:
        if self._consistency is not None:
            self._motion.cut()
            self._consistency.cut()

    def _score(
        self,
        frame: SourceFrame,
        image: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        truth: NDArray[np.uint8],
    ) -> None:
        check_aspect(frame.name, truth.shape, image.shape)
        with blame_the_model(frame):
            self._confusion.add(truth, resize_labels(labels, truth.shape))
        self._scored += 1

    def _write_sheet(self, sheet: ContactSheet, path: Path) -> None:
        if self.segmented:
            sheet.write(path)


def replay_offline(
    source: Source,
    segmenter: Segmenter,
    results: ReplayResults,
    *,
    on_frame: Callable[[SourceFrame], None] | None = None,
    limit: int | None = None,
) -> ReplaySummary:
    """Segment footage frame by frame, as fast as it goes; the same input gives the same masks.

    Reading and writing go on while the engine works on a frame: see `segment_ahead`.

    A frame that cannot be decoded is counted by reason and skipped. Footage that turns out to be
    damaged on the way ends the run; what was segmented before is kept, and the summary says why.

    Args:
        source: Opened footage.
        segmenter: The same class that the node runs.
        results: Entered; takes every frame, and the summary as a file.
        on_frame: Called after each frame, segmented or skipped.
        limit: Frames to read at most; None reads all.

    Raises:
        SourceError: If not a single frame can be read.
        EngineError: If the engine fails.
        ModelError: If the model predicts ids that its card does not name.
        OutputError: If a result cannot be written.
    """
    order = segmenter.engine.card.input_order
    segmenter.warm_up()
    timings: list[StageTimings] = []
    ended_by = None
    started_ns = time.monotonic_ns()
    try:
        with closing(segment_ahead(islice(source, limit), source.name, [segmenter])) as outcomes:
            for item, outcome in outcomes:
                if isinstance(outcome, ImageError):
                    _skip(results, item, outcome)
                else:
                    (mask,) = outcome
                    image = mask.frame.image
                    rgb = image if order == 'rgb8' else image[..., ::-1]
                    results.add(item, rgb, mask.labels)
                    timings.append(mask.timings)
                if on_frame is not None:
                    on_frame(item)
    except SourceError as error:
        if not results.segmented + results.drops.total():
            raise
        ended_by = str(error)
    summary = ReplaySummary(
        mode='offline',
        source=source.name,
        model=segmenter.engine.card.name,
        engine=segmenter.engine.info,
        frames_segmented=results.segmented,
        drops=dict(results.drops),
        wall_ns=time.monotonic_ns() - started_ns,
        latencies=_latencies(timings, DECODE_BOUNDARY[source.kind]),
        scores=results.scores(),
        consistency=results.consistency(),
        error=ended_by,
    )
    results.write_summary(summary)
    return summary


def _skip(results: ReplayResults, item: SourceFrame, error: ImageError) -> None:
    if error.reason not in results.drops:
        _logger.warning('frame %s is skipped, and others like it: %s', item.name, error)
    results.skip(error.reason, stamp_ns=item.stamp_ns)


def _latencies(timings: list[StageTimings], decode: str) -> tuple[StageLatency, ...]:
    stages = (
        ('decode', decode, [item.decode_ns for item in timings]),
        ('infer', 'picture -> label map at network size', [item.infer_ns for item in timings]),
        ('fill', 'label map at network size -> mask', [item.fill_ns for item in timings]),
        (
            'total',
            'decode, infer and fill; not the wait for the frame before',
            [item.total_ns - item.wait_ns for item in timings],
        ),
    )
    return tuple(
        StageLatency(stage=stage, boundary=boundary, latency=summarize(times))
        for stage, boundary, times in stages
    )
