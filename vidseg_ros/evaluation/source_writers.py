# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation leaves of each source beside its numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, ExitStack
from pathlib import Path
from typing import Final, TypeAlias

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.clip import ClipWriter
from vidseg_ros.evaluation.mcap_export import BAG, EvaluationBag
from vidseg_ros.evaluation.source_evaluation import EvaluatedFrame, ScoredMap
from vidseg_ros.evaluation.tally import Metrics

CLIP: Final = 'clip'
"""Folder of a source's pictures for the report."""

Write: TypeAlias = Callable[[EvaluatedFrame, Mapping[str, ScoredMap]], None]
"""Takes the next frame."""


@contextmanager
def source_writers(  # noqa: PLR0913 - one flag for each kind of output
    folder: Path,
    *,
    classes: LabelSet,
    models: Sequence[str],
    metrics: Metrics,
    mcap: bool,
    clip: bool,
) -> Iterator[list[Write]]:
    """Open what is to be written; at the end of the ``with`` block it is complete.

    Args:
        folder: Of the source.
        classes: What the ids stand for.
        models: Keys of the models.
        metrics: What TC and flips are measured with.
        mcap: Whether a bag is written.
        clip: Whether pictures for the report are written.

    Raises:
        OutputError: If something cannot be written.
    """
    writers: list[Write] = []
    with ExitStack() as opened:
        if mcap:
            bag = opened.enter_context(EvaluationBag(folder / BAG, classes, models))

            def write_bag(item: EvaluatedFrame, scored: Mapping[str, ScoredMap]) -> None:
                maps = {key: result.labels for key, result in scored.items()}
                numbers = {key: result.scores.numbers(metrics) for key, result in scored.items()}
                bag.write(item.frame, item.image, maps, numbers)

            writers.append(write_bag)
        if clip:
            clip_writer = opened.enter_context(ClipWriter(folder / CLIP, models))

            def write_clip(item: EvaluatedFrame, scored: Mapping[str, ScoredMap]) -> None:
                maps = {key: result.labels for key, result in scored.items()}
                clip_writer.write(item.image, maps, item.frame.stamp_ns, item.frame.index)

            writers.append(write_clip)
        yield writers
