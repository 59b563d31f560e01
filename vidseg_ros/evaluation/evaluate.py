# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Evaluate models over one source of footage; one source is one job, on whichever machine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
import json
from pathlib import Path
import shutil
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError, OutputError, SourceError
from vidseg_ros.core.fleet import job_digest, Progress, read_record, write_record
from vidseg_ros.core.fleet.record import RECORD
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.class_mapping import class_table, ClassMap
from vidseg_ros.evaluation.lookahead import segment_ahead, segment_in_turn
from vidseg_ros.evaluation.source_evaluation import (
    EvaluatedFrame,
    MissingFrame,
    MODEL_KEYS,
    SourceEvaluation,
    SourceResult,
)
from vidseg_ros.evaluation.source_writers import source_writers, Write
from vidseg_ros.evaluation.sources import is_bag, open_source, Source
from vidseg_ros.evaluation.tally import Metrics, ModelOutput
from vidseg_ros.evaluation.true_labels import LabelDirectory, LabelTopic, SourceTruth
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.prediction import SegmentationEngine
from vidseg_ros.pipeline import Segmenter

SOURCES: Final = 'sources'
"""Folder of the sources' own folders, in that of the evaluation."""

RESULT_VERSION: Final = 7
"""Part of every digest: what an older version of this program wrote is not taken for done."""

Frames: TypeAlias = Iterator[EvaluatedFrame | MissingFrame]


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How sources are evaluated; the same for all of them."""

    models: tuple[Path, ...]
    """One model file, or two to compare."""
    classes: LabelSet
    """What is scored."""
    class_map: ClassMap = field(default_factory=dict)
    """What classes of models or labels count as; one that it does not name keeps its name."""
    label_classes: LabelSet | None = None
    """Classes of the labels' ids; None: what a bag says, or else those that are scored."""
    void: tuple[int, ...] = ()
    """Ids of the labels that are not scored; 255 never is."""
    engine: str = 'onnxruntime'
    """One of `vidseg_ros.inference.engine.CHOICES`."""
    metrics: Metrics = 'standard'
    """``fast``: TC and flips from a faster flow, reported under other names."""
    limit: int | None = None
    """Frames of each source at most."""
    rate: float | None = None
    """Speed of a live run, 1 = as recorded; None: offline."""
    mcap: bool = False
    """Whether each source leaves a bag of pictures, label maps and scores."""
    report: bool = True
    """Whether each source leaves pictures for the report."""
    threads: int = 0
    """Threads of an inference, 0 = all cores; 1 = and nothing beside it. Changes no result."""

    def content(self) -> dict[str, Any]:
        """Return what results depend on, besides the contents of the model files; plain types."""
        fields = asdict(self)
        del fields['threads'], fields['models']
        plain: dict[str, Any] = json.loads(json.dumps(fields))
        return plain


@dataclass(frozen=True, kw_only=True)
class SourceJob:
    """One source of an evaluation."""

    key: str
    """Name of its folder."""
    path: Path
    """Footage."""
    topic: str | None = None
    """Camera topic of a bag; needed where it has more than one."""
    labels: str | None = None
    """Folder of label PNGs, or topic of label maps in the bag."""
    settings: EvaluationSettings
    """How it is evaluated."""
    labels_shared: bool = False
    """Whether other sources have labels in the same folder."""
    out: Path
    """Folder of the evaluation."""

    @property
    def folder(self) -> Path:
        """Folder of this source."""
        return self.out / SOURCES / self.key

    def request(self) -> dict[str, Any]:
        """Return what is asked for, without the contents of files; plain types."""
        return {
            'version': RESULT_VERSION,
            'key': self.key,
            'topic': self.topic,
            'labels': self.labels,
            'labels_shared': self.labels_shared,
            'settings': self.settings.content(),
        }

    def digest(self) -> str:
        """Return a digest of everything that the result depends on.

        Raises:
            SourceError: If something cannot be read.
        """
        folders = [Path(self.labels)] if self.labels and Path(self.labels).is_dir() else []
        content = self.request() | {'labels': None if folders else self.labels}
        return job_digest([self.path, *self.settings.models, *folders], content)


FramesOf: TypeAlias = (
    'Callable[[SourceJob, Source, Sequence[SegmentationEngine]], AbstractContextManager[Frames]]'
)
"""Opens what gives the frames of a job with the label maps of its models."""


def evaluate_source(job: SourceJob, progress: Progress | None = None) -> SourceResult:
    """Evaluate one source, frame by frame, as fast as it goes.

    What is done already is not done again: the source's folder says so, see `SourceJob.digest`.
    Footage that turns out to be damaged on the way gives a result of what comes before, with the
    reason among its problems.

    Args:
        job: What to do.
        progress: Called with the number of frames done and of all frames, if known.

    Raises:
        SourceError: If not a single frame can be read, or the labels do not fit.
        ParameterError: If the classes of the labels are not those that are scored.
        ModelError: If a model breaks the contract.
        EngineError: If an engine cannot run.
        OutputError: If a result cannot be written.
    """
    return evaluate_frames(job, progress, _segmented_offline)


def evaluate_frames(
    job: SourceJob, progress: Progress | None, frames_of: FramesOf
) -> SourceResult:
    """Evaluate one source whose label maps come from anywhere; see `evaluate_source`.

    Args:
        job: What to do.
        progress: Called with the number of frames done and of all frames, if known.
        frames_of: Gives the frames.
    """
    digest = job.digest()
    record = read_record(job.folder, digest)
    if record is not None:
        return replace(SourceResult.from_dict(record['result']), reused=True)
    _make_empty(job.folder)
    result = _evaluate(job, progress, frames_of)
    record = {'request': job.request(), 'result': result.to_dict()}
    write_record(job.folder, digest, record)
    return result


def earlier_result(job: SourceJob) -> SourceResult | None:
    """Return what an earlier run was asked for and found, without a look at the footage.

    Among its problems is that nobody knows whether the footage is still the same.
    """
    kept = kept_result(job.folder)
    if kept is None or kept[0] != job.request():
        return None
    result = kept[1]
    return replace(result, problems=(*result.problems, 'result of an earlier run: not checked'))


def kept_result(folder: Path) -> tuple[dict[str, Any], SourceResult] | None:
    """Return what a source's folder says was asked for and found; None if it says nothing."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding='utf-8'))['content']
        return record['request'], SourceResult.from_dict(record['result'])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _evaluate(job: SourceJob, progress: Progress | None, frames_of: FramesOf) -> SourceResult:
    settings = job.settings
    problems: list[str] = []
    with ExitStack() as opened:
        source = opened.enter_context(open_source(job.path, topic=job.topic, warn=False))
        if source.topic is not None and source.topic == job.labels:
            msg = f'no image topic in {job.path} besides the labels on {job.labels}'
            raise SourceError(msg)
        engines = [opened.enter_context(closing(engine)) for engine in _engines(settings)]
        evaluation = opened.enter_context(
            SourceEvaluation(
                folder=job.folder,
                classes=settings.classes,
                tables=_tables(settings, engines),
                metrics=settings.metrics,
                truth=opened.enter_context(_open_truth(job)),
                fps=source.fps,
            )
        )
        writers = opened.enter_context(_writers(job))
        frames = opened.enter_context(frames_of(job, source, engines))
        total = _least(source.frame_count, settings.limit)
        for item in _until_damage(frames, problems):
            if isinstance(item, MissingFrame):
                evaluation.skip(item)
            else:
                scored = evaluation.add(item)
                for write in writers:
                    write(item, scored)
            if progress is not None:
                progress(evaluation.frames, total)
        cut_short = evaluation.frames == settings.limit != source.frame_count
        return evaluation.result(
            source,
            key=job.key,
            path=job.path,
            engines=tuple(asdict(engine.info) for engine in engines),
            problems=tuple(problems),
            all_labels_known=not (job.labels_shared or problems or cut_short),
        )


def _engines(settings: EvaluationSettings) -> Iterator[SegmentationEngine]:
    """Open the models one after the other.

    Their threads do not spin: the cores have motion to estimate meanwhile, and both would take
    longer beside threads that wait busily.
    """
    options = EngineSettings(threads=settings.threads, spinning=False, build=False)
    for model in settings.models:
        yield create_engine(settings.engine, model, options)


@contextmanager
def _segmented_offline(
    job: SourceJob, source: Source, engines: Sequence[SegmentationEngine]
) -> Iterator[Frames]:
    segmenters = [Segmenter(engine, 'network') for engine in engines]
    for segmenter in segmenters:
        segmenter.warm_up()
    order = engines[0].card.input_order
    items = islice(source, job.settings.limit)
    segment = segment_in_turn if job.settings.threads == 1 else segment_ahead
    with closing(segment(items, source.name, segmenters, confidence=True)) as outcomes:
        yield (
            MissingFrame(item, outcome.reason, str(outcome))
            if isinstance(outcome, ImageError)
            else EvaluatedFrame(
                item,
                outcome[0].frame.image[..., :: 1 if order == 'rgb8' else -1],
                tuple(
                    ModelOutput(mask.labels, mask.confidence, mask.timings.infer_ns)
                    for mask in outcome
                ),
            )
            for item, outcome in outcomes
        )


def _until_damage(frames: Frames, problems: list[str]) -> Frames:
    """Yield frames; what ends them early is a problem, unless there was no frame before."""
    read = 0
    try:
        for item in frames:
            read += 1
            yield item
    except SourceError as error:
        if not read:
            raise
        problems.append(str(error))


def _writers(job: SourceJob) -> AbstractContextManager[list[Write]]:
    settings = job.settings
    return source_writers(
        job.folder,
        classes=settings.classes,
        models=MODEL_KEYS[: len(settings.models)],
        metrics=settings.metrics,
        mcap=settings.mcap,
        clip=settings.report,
    )


def _tables(
    settings: EvaluationSettings, engines: Sequence[SegmentationEngine]
) -> dict[str, NDArray[np.uint8] | None]:
    """Return by model what its ids are in the classes that are scored; None where equal."""
    tables: dict[str, NDArray[np.uint8] | None] = {}
    for key, engine, path in zip(MODEL_KEYS, engines, settings.models, strict=False):
        names = engine.card.labels.names
        table = class_table(names, settings.classes, settings.class_map, what=f'model {path}')
        equal = np.array_equal(table[: len(names)], np.arange(len(names)))
        tables[key] = None if equal else table
    return tables


@contextmanager
def _open_truth(job: SourceJob) -> Iterator[SourceTruth | None]:
    """Open the true labels of a source.

    Raises:
        SourceError: If they cannot be read.
        ParameterError: If their classes are not those that are scored.
    """
    if job.labels is None:
        yield None
        return
    settings = job.settings
    first = settings.classes if settings.label_classes is None else settings.label_classes
    named = settings.label_classes is not None
    what = f'the labels {job.labels}'
    if Path(job.labels).is_dir():
        table = class_table(
            first.names, settings.classes, settings.class_map, what=what, void=True
        )
        reader = LabelDirectory(job.labels, first)
        yield SourceTruth(reader, table, settings.void, taken_for=None if named else len(first))
        return
    if not is_bag(job.path):
        msg = f'no labels in {job.labels}: there is no such folder, and {job.path} has no topics'
        raise SourceError(msg)
    with LabelTopic(job.path, job.labels) as topic:
        names = None if named else topic.names()
        table = class_table(
            names or first.names, settings.classes, settings.class_map, what=what, void=True
        )
        taken_for = None if named or names else len(first)
        yield SourceTruth(topic, table, settings.void, taken_for=taken_for)


def _make_empty(folder: Path) -> None:
    """Make a source's folder, without what an unfinished or older run left in it."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        msg = f'cannot write to {folder}: {error}; choose another --out'
        raise OutputError(msg) from error


def _least(*counts: int | None) -> int | None:
    return min((count for count in counts if count is not None), default=None)
