# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Evaluation through a running segmentation node: what the vehicle would have seen, and when."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.fleet import Progress
from vidseg_ros.evaluation.evaluate import evaluate_frames, Frames, SourceJob
from vidseg_ros.evaluation.source_evaluation import EvaluatedFrame, MissingFrame, SourceResult
from vidseg_ros.evaluation.sources import Source, SourceFrame
from vidseg_ros.evaluation.tally import ModelOutput
from vidseg_ros.inference.engine import AUTO
from vidseg_ros.inference.prediction import SegmentationEngine
from vidseg_ros.nodes.live_run import LiveRun, play_live, UnansweredFrame


def evaluate_source_live(job: SourceJob, progress: Progress | None = None) -> SourceResult:
    """Play one source through a running node, then evaluate the label maps that came back.

    They are aligned with the frames by stamp. There is no confidence, and the times are end to
    end: from publishing a frame until its label map is here.

    Args:
        job: What to do; with one model, and a rate.
        progress: Called while playing, and again while evaluating.

    Raises:
        ParameterError: If there are two models; or as `evaluate_source`.
        EngineError: If the node does not start or ends too early; the others as there.
    """
    if len(job.settings.models) != 1:
        msg = 'a live evaluation runs one model; run it once for each'
        raise ParameterError(msg)

    @contextmanager
    def played(
        job: SourceJob, source: Source, engines: Sequence[SegmentationEngine]
    ) -> Iterator[Frames]:
        def on_frame(frame: SourceFrame) -> None:
            if progress is not None:
                progress(frame.index + 1, source.frame_count)

        kind = job.settings.engine
        with play_live(
            source,
            model=job.settings.models[0],
            engine=engines[0].info.name if kind == AUTO else kind,
            rate=job.settings.rate or 1.0,
            mask_size='network',
            log_dir=job.folder,
            on_frame=on_frame,
        ) as run:
            yield _evaluated(run)

    return evaluate_frames(job, progress, played)


def _evaluated(run: LiveRun) -> Frames:
    """Yield the frames of a run as an evaluation takes them.

    Raises:
        SourceError: At the end, if the footage ended early.
    """
    for item in run.frames:
        if isinstance(item, UnansweredFrame):
            yield MissingFrame(item.frame, item.reason)
        else:
            output = ModelOutput(item.labels, None, item.latency_ns)
            yield EvaluatedFrame(item.frame, item.image, (output,))
    if run.ended_by is not None:
        raise SourceError(run.ended_by)
