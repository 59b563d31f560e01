# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Replay through a running segmentation node: masks, pictures and scores, as of an offline one."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from vidseg_ros.core.timing import summarize
from vidseg_ros.evaluation.replay import ReplayResults
from vidseg_ros.evaluation.sources import Source, SourceFrame
from vidseg_ros.evaluation.summary import ReplaySummary, StageLatency
from vidseg_ros.inference.engine import AUTO, create_engine
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.nodes.live_run import BOUNDARY, play_live, UnansweredFrame


def replay_live(  # noqa: PLR0913 - all but two by name
    source: Source,
    results: ReplayResults,
    *,
    model: Path,
    engine: str = 'onnxruntime',
    rate: float = 1.0,
    mask_size: str = 'camera',
    log_dir: Path,
    on_frame: Callable[[SourceFrame], None] | None = None,
) -> ReplaySummary:
    """Play footage at recorded rate through a running node and collect its label maps.

    See `play_live` for where it runs.

    Args:
        source: Opened footage; read twice.
        results: Entered; takes every frame that got a label map, and the summary as a file.
        model: The model file.
        engine: One of `vidseg_ros.inference.engine.CHOICES`.
        rate: Speed, 1 = as recorded.
        mask_size: ``camera`` or ``network``.
        log_dir: Folder for the node's output, `NODE_LOG`.
        on_frame: Called after each played frame.

    Raises:
        ParameterError: If the rate is not above 0.
        ModelError: If the file breaks the model contract.
        EngineError: If the engine cannot run, or the node does not start or ends too early.
        SourceError: If not a single frame can be read.
        OutputError: If a result cannot be written.
    """
    with closing(create_engine(engine, model, EngineSettings(build=False))) as opened:
        # Opened here first, so that a bad model is reported as such and not from the node's log.
        card, info = opened.card, opened.info
    kind = info.name if engine == AUTO else engine
    latencies_ns = []
    with play_live(
        source,
        model=model,
        engine=kind,
        rate=rate,
        mask_size=mask_size,
        log_dir=log_dir,
        on_frame=on_frame,
    ) as run:
        for item in run.frames:
            if isinstance(item, UnansweredFrame):
                results.skip(item.reason)
            else:
                results.add(item.frame, item.image, item.labels)
                latencies_ns.append(item.latency_ns)
    end_to_end = StageLatency(
        stage='end_to_end', boundary=BOUNDARY, latency=summarize(latencies_ns)
    )
    summary = ReplaySummary(
        mode='live',
        source=source.name,
        model=card.name,
        engine=info,
        frames_segmented=results.segmented,
        drops=dict(results.drops),
        wall_ns=run.wall_ns,
        latencies=(end_to_end,),
        scores=results.scores(),
        consistency=results.consistency(),
        error=run.ended_by,
    )
    results.write_summary(summary)
    return summary
