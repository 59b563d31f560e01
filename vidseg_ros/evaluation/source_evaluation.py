# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One source of an evaluation: what is counted while its frames go by, and what it comes to."""

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.frame_clock import FrameClock
from vidseg_ros.evaluation.frame_table import FrameTable
from vidseg_ros.evaluation.sources import Source, SourceFrame, STILLS
from vidseg_ros.evaluation.tally import (
    blame_the_model,
    FrameScores,
    Metrics,
    ModelOutput,
    ModelTally,
    motion_tracker,
)
from vidseg_ros.evaluation.true_labels import describe_foreign, SourceTruth

MODEL_KEYS: Final = ('a', 'b')
"""What the models of an evaluation are called in its results."""


class EvaluatedFrame(NamedTuple):
    """A frame with what each model made of it."""

    frame: SourceFrame
    """Where it comes from."""
    image: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""
    outputs: tuple[ModelOutput, ...]
    """One per model, in their order, with the model's own ids."""


class MissingFrame(NamedTuple):
    """A frame without label maps."""

    frame: SourceFrame
    """Where it comes from."""
    reason: str
    """Why, in a word or two; those of `ImageError` mean that it cannot be decoded."""
    message: str = ''
    """Why, in full, where that is known."""


class ScoredMap(NamedTuple):
    """What became of one frame and one model."""

    labels: NDArray[np.uint8]
    """(h, w) uint8 ids of the classes that are scored."""
    scores: FrameScores
    """Its row in the table."""


@dataclass(frozen=True, kw_only=True)
class SourceResult:
    """What one source came to; small, and exact when merged with others."""

    key: str
    """Name of its folder."""
    path: str
    """Where it lies."""
    topic: str | None
    """Camera topic of a bag."""
    kind: str
    """bag, video or folder."""
    frames: int
    """Frames read."""
    labelled: int
    """Frames that were scored against true labels."""
    unreadable: int
    """Frames that could not be decoded."""
    dropped: int
    """Frames of a live run that got no label map."""
    labels_without_frame: int | None
    """True label maps that belong to no frame; None where that is not known: without labels of its
    own, or if not all frames were read."""
    frames_without_label: int | None
    """Segmented frames without true labels; None where no labels were given."""
    duration_s: float
    """From the first frame to the last, without gaps and jumps of the clock, s."""
    problems: tuple[str, ...]
    """What a reader of the numbers should know."""
    engines: tuple[dict[str, str | bool], ...]
    """What each model really ran on."""
    tallies: Mapping[str, ModelTally]
    """Counts of each model, by `MODEL_KEYS`."""
    reused: bool = field(default=False, compare=False)
    """Whether an earlier run found it; not kept."""

    @property
    def segmented(self) -> int:
        """Frames with label maps."""
        return self.frames - self.unreadable - self.dropped

    def summary(self) -> dict[str, Any]:
        """Return everything but the counts, and the scores instead; plain types."""
        plain = self._facts()
        plain['models'] = {key: tally.scores() for key, tally in self.tallies.items()}
        return plain

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, which `from_dict` takes back exactly."""
        plain = self._facts()
        plain['tallies'] = {key: tally.to_dict() for key, tally in self.tallies.items()}
        return plain | {'engines': list(self.engines)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> 'SourceResult':
        """Return the result that `to_dict` was called of."""
        tallies = {key: ModelTally.from_dict(tally) for key, tally in plain['tallies'].items()}
        rest = {
            'tallies': tallies,
            'problems': tuple(plain['problems']),
            'engines': tuple(plain['engines']),
        }
        return cls(**{**plain, **rest})

    def _facts(self) -> dict[str, Any]:
        names = (
            *('key', 'path', 'topic', 'kind', 'frames', 'labelled', 'unreadable', 'dropped'),
            *('labels_without_frame', 'frames_without_label', 'duration_s'),
        )
        return {name: getattr(self, name) for name in names} | {'problems': list(self.problems)}


@final
class SourceEvaluation(AbstractContextManager['SourceEvaluation']):
    """Takes the frames of one source, one after the other; use it in a ``with`` statement."""

    def __init__(  # noqa: PLR0913 - by name
        self,
        *,
        folder: Path,
        classes: LabelSet,
        tables: Mapping[str, NDArray[np.uint8] | None],
        metrics: Metrics,
        truth: SourceTruth | None,
        fps: float | None = None,
    ) -> None:
        """Remember where to write; files are made by ``with``.

        Args:
            folder: Exists and is empty; takes ``frames-<model>.csv``.
            classes: What is scored.
            tables: By model, the (256,) uint8 class of each of its ids; None where they are equal.
            metrics: What TC and flips are measured with.
            truth: True labels.
            fps: Nominal rate of the frames, frames/s; None: not known.
        """
        self._tallies = {key: ModelTally(len(classes), metrics) for key in tables}
        self._tables = tables
        self._truth = truth
        self._motion = motion_tracker(metrics)
        self._frame_tables = {
            key: FrameTable(folder / f'frames-{key}.csv', classes.names, metrics) for key in tables
        }
        self._open = ExitStack()
        self._missing: Counter[str] = Counter()
        self._first_messages: dict[str, str] = {}
        self._segmented = self._labelled = 0
        self._clock = FrameClock(fps)

    def __enter__(self) -> 'SourceEvaluation':
        """Make the files.

        Raises:
            OutputError: If they cannot be made.
        """
        with ExitStack() as opening:
            for table in self._frame_tables.values():
                opening.enter_context(table)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the files."""
        self._open.close()

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        return self._segmented + self._missing.total()

    def add(self, item: EvaluatedFrame) -> dict[str, ScoredMap]:
        """Take the next frame.

        Returns:
            What became of it, by model.

        Raises:
            SourceError: If its true labels cannot be used, see `SourceTruth`.
            ModelError: If a model predicts ids that its card does not name.
            OutputError: If a row cannot be written.
        """
        frame = item.frame
        if not self._clock.add(frame.stamp_ns):
            self._cut()
        motion = self._motion.add(item.image, frame.stamp_ns)
        truth = None if self._truth is None else self._truth.get(frame, item.image.shape[:2])
        scored = {}
        for (key, tally), output in zip(self._tallies.items(), item.outputs, strict=True):
            table = self._tables[key]
            labels = output.labels if table is None else table[output.labels]
            with blame_the_model(frame):
                scores = tally.add(output._replace(labels=labels), motion, truth)
            self._frame_tables[key].add(frame, scores)
            scored[key] = ScoredMap(labels, scores)
        self._segmented += 1
        self._labelled += truth is not None
        return scored

    def skip(self, item: MissingFrame) -> None:
        """Count a frame without label maps."""
        self._missing[item.reason] += 1
        self._first_messages.setdefault(item.reason, item.message)
        if self._truth is not None:
            self._truth.skip(item.frame)
        self._clock.add(item.frame.stamp_ns)
        self._cut()

    def result(  # noqa: PLR0913 - by name
        self,
        source: Source,
        *,
        key: str,
        path: Path,
        engines: tuple[dict[str, str | bool], ...],
        problems: tuple[str, ...] = (),
        all_labels_known: bool = True,
    ) -> SourceResult:
        """Return what the frames came to; no frame may follow.

        Args:
            source: Where they came from.
            key: Name of its folder.
            path: Where it lies.
            engines: What each model ran on.
            problems: What else was noticed.
            all_labels_known: Whether a label map without a frame is one too many: neither that of
                another source, nor that of a frame which was not read.
        """
        self._cut()
        unreadable = sum(self._missing[reason] for reason in ImageError.REASONS)
        dropped = self._missing.total() - unreadable
        truth = self._truth
        unused = truth.unused() if truth is not None and all_labels_known else None
        return SourceResult(
            key=key,
            path=str(path),
            topic=source.topic,
            kind='folder' if source.kind == 'images' else source.kind,
            frames=self.frames,
            labelled=self._labelled,
            unreadable=unreadable,
            dropped=dropped,
            labels_without_frame=unused,
            frames_without_label=None if truth is None else self._segmented - self._labelled,
            duration_s=self._clock.duration_ns / 1e9,
            problems=(
                *source.notes,
                *problems,
                *self._problems(unused, dropped),
                *([STILLS] if source.kind == 'images' and self._segmented > 1 else []),
            ),
            engines=engines,
            tallies=self._tallies,
        )

    def _cut(self) -> None:
        """The next frame is not compared with the last one."""
        self._motion.cut()
        for tally in self._tallies.values():
            tally.cut()

    def _problems(self, unused: int | None, dropped: int) -> list[str]:
        problems = [
            f'frames without a label map ({reason}): {count}'
            for reason, count in self._missing.items()
        ]
        if not self._segmented:  # then a word does not do
            problems += [message for message in self._first_messages.values() if message]
        if 2 * dropped > self.frames:
            problems.append(
                'most frames were dropped: frames came sooner than label maps were made, and the '
                'node takes the newest; a lower --rate or a smaller model gives it time, and a '
                'run without --live drops none'
            )
        problems += self._clock.problems()
        if self._truth is not None:
            problems += describe_foreign(self._truth.foreign)
            if not self._labelled:
                problems.append('no frame has labels')
            elif self._labelled < self._segmented:
                missing = self._segmented - self._labelled
                problems.append(f'frames without labels: {missing} of {self._segmented}')
            if unused:
                problems.append(f'labels without a frame: {unused}')
        return problems
