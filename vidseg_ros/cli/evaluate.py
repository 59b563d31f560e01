# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg evaluate`: how good and how steady models are over any amount of footage."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
import sys
from typing import Any, Final, get_args, TypeAlias

from rich.console import Console

from vidseg_ros.cli.argument_types import count, factor, fraction, label_id
from vidseg_ros.cli.parser import Parser
from vidseg_ros.cli.ros_hint import load_live
from vidseg_ros.core.class_list import LABEL_SETS, read_classes
from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.fleet import Outcome, Progress, run_jobs, threads_per_worker
from vidseg_ros.core.fleet.job_progress import job_progress
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.evaluation.class_mapping import choose_classes, read_class_map
from vidseg_ros.evaluation.evaluate import (
    earlier_result,
    evaluate_source,
    EvaluationSettings,
    SourceJob,
)
from vidseg_ros.evaluation.job_list import list_jobs
from vidseg_ros.evaluation.report import require_plotting_library, write_report
from vidseg_ros.evaluation.results import claim_run, REPORT, write_results
from vidseg_ros.evaluation.results_table import results_table
from vidseg_ros.evaluation.source_evaluation import SourceResult
from vidseg_ros.evaluation.source_survey import survey_sources
from vidseg_ros.evaluation.sources import require_footage
from vidseg_ros.evaluation.tally import Metrics
from vidseg_ros.evaluation.true_labels import LabelDirectory
from vidseg_ros.inference.engine import CHOICES
from vidseg_ros.inference.model_file import read_model

EXIT_BELOW: Final = 1
"""Exit code when a threshold is missed."""

Done: TypeAlias = dict[int, Outcome[SourceJob, SourceResult]]
"""How jobs ended, by their number."""


def main(argv: Sequence[str]) -> int:
    """Evaluate; print the table and leave results, frames and a report in a folder.

    Args:
        argv: Arguments after ``vidseg evaluate``.

    Returns:
        0, or 1 if a threshold is missed.

    Raises:
        ModelError: If there is no such model, or it breaks the model contract.
        ParameterError: If settings do not fit together, or class lists differ.
        SourceError: If a source does not exist, or no frame can have labels, before anything is
            done; if sources cannot be evaluated, whereas the results of the others are written.
        EngineError: If ``--live`` lacks ROS 2.
        OutputError: If the folder holds another run, or a result cannot be written.
    """
    args = _parse(argv)
    function = load_live('--live').evaluate_source_live if args.live else evaluate_source
    if args.report:
        require_plotting_library()
    settings, jobs = _plan(args)
    inputs = [*args.sources, *([Path(args.labels)] if args.labels else [])]
    claim_run(args.out, settings, overwrite=args.overwrite, inputs=inputs)
    done: Done = {}
    interrupt: KeyboardInterrupt | None = None
    try:
        _run(args, function, jobs, settings, done)
    except KeyboardInterrupt as error:
        interrupt = error
    finally:  # what is done is kept, whatever ends the run
        content = _write(args.out, settings, jobs, done)
    if interrupt is not None:
        kept = sum(bool(source['models']) for source in content['sources'])
        what = f'{kept} of {len(jobs)} sources are done and kept'
        sys.stderr.write(f'vidseg: {what}; the same command goes on with the others\n')
        raise interrupt
    if content['overall']:
        Console().print(results_table(content))
        if args.report:
            write_report(args.out)
    for line in (*_skipped(done), *_where(args.out, content, report=args.report)):
        Console(markup=False, emoji=False).print(line, highlight=False)
    _check_sources(content, done, args.labels)
    return _judge(content, args.min_miou, args.min_tc)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg evaluate',
        description='Score models over recorded footage: accuracy against labels, temporal '
        'consistency without, and time. docs/evaluation.md explains every number.',
    )
    add = parser.add_argument
    add('sources', nargs='+', type=Path, metavar='SOURCE', help='bags, videos, image folders')
    add(
        '--model',
        action='append',
        metavar='M',
        help=f'path or shipped name; twice: a and b are compared (default: {DEFAULT_MODEL})',
    )
    add('--labels', metavar='DIR|TOPIC', help='folder of index PNGs, or label topic of the bags')
    add('--out', type=Path, required=True, metavar='DIR', help='results go here')
    add('--overwrite', action='store_true', help='replace a run with other settings in DIR')
    add('--topic', action='append', default=[], metavar='T', help='camera of a bag (default: all)')
    add('--limit', type=count, metavar='N', help='at most N frames of each source')
    add('--engine', choices=CHOICES, default='onnxruntime', help='default: %(default)s')
    add('--metrics', choices=get_args(Metrics), default='standard', help='fast: a faster flow')
    _add_class_arguments(parser)
    add('--min-miou', type=fraction, metavar='X', help='exit with 1 if the mIoU of A is below')
    add('--min-tc', type=fraction, metavar='X', help='exit with 1 if the TC of A is below')
    add('--live', action='store_true', help='through DDS and a running ROS 2 node')
    add('--rate', type=factor, metavar='R', help='with --live: times the recorded rate')
    add('--mcap', action='store_true', help='leave a bag for Foxglove, Rerun and RViz, too')
    add('--no-report', dest='report', action='store_false', help='no page, no pictures for it')
    add('--jobs', type=count, default=1, metavar='N', help='sources at a time, on this machine')
    add('--ray', metavar='ADDRESS', help='on a Ray cluster; local starts one here')
    args = parser.parse_args(argv)
    args.model = args.model or [DEFAULT_MODEL]
    for wrong, why in (
        (len(args.model) > 2, 'two models at most'),
        (args.rate and not args.live, '--rate needs --live'),
        (args.live and args.limit, '--limit is for offline runs: --live plays all'),
        (args.live and len(args.model) > 1, '--live runs one model at a time'),
        (args.live and (args.jobs > 1 or args.ray), '--live plays one source after the other'),
        (args.min_tc and args.metrics == 'fast', '--min-tc is about the standard TC'),
        (args.min_miou and not args.labels, '--min-miou needs --labels'),
    ):
        if wrong:
            parser.error(why)
    return args


def _add_class_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    known = ', '.join(LABEL_SETS)
    add('--label-classes', metavar='NAME|FILE', help=f'classes of the labels: {known} or YAML')
    add('--class-map', type=Path, metavar='FILE', help='YAML: what classes count as, name: name')
    add('--void', type=label_id, nargs='+', default=[], metavar='ID', help='label ids not scored')


def _plan(args: argparse.Namespace) -> tuple[EvaluationSettings, list[SourceJob]]:
    """Return the settings and the jobs; nothing that may be mistyped waits for a look at bags."""
    models = tuple(find_model(model) for model in args.model)
    lists = {f'model {path}': read_model(path).card.labels for path in models}
    mapping = read_class_map(args.class_map) if args.class_map else {}
    labels = read_classes(args.label_classes) if args.label_classes else None
    topic = None if args.labels is None or Path(args.labels).is_dir() else args.labels
    with suppress(OSError):  # the job meets the same, and reports it
        require_footage(args.sources)
    sources = survey_sources(args.sources, topics=args.topic, labels=topic)
    recorded = [source.label_names for source in sources if source.label_names and not labels]
    settings = EvaluationSettings(
        models=models,
        classes=choose_classes(lists, labels, mapping, recorded),
        class_map=mapping,
        label_classes=labels,
        void=tuple(args.void),
        engine=args.engine,
        metrics=args.metrics,
        mcap=args.mcap,
        report=args.report,
        limit=args.limit,
        rate=(args.rate or 1.0) if args.live else None,
        threads=threads_per_worker(args.jobs, args.ray) if args.jobs > 1 or args.ray else 0,
    )
    jobs = list_jobs(sources, settings, args.out, labels=args.labels)
    if args.labels is not None and topic is None and not any(map(_may_have_labels, jobs)):
        raise _no_labels(args.labels)
    return settings, jobs


def _may_have_labels(job: SourceJob) -> bool:
    """Whether a frame of a source may have labels in a folder, as far as is known unread."""
    if job.labels is None:
        return False
    try:
        return LabelDirectory(job.labels, job.settings.classes).fits(job.path)
    except SourceError:  # the job meets the same, and reports it
        return True


def _no_labels(labels: str) -> SourceError:
    msg = (
        f'no frame has labels in {labels}; PNGs must be named like the frames: vidseg-train masks '
        'writes those of published data sets so'
    )
    return SourceError(msg)


def _run(
    args: argparse.Namespace,
    function: Callable[[SourceJob, Progress], SourceResult],
    jobs: Sequence[SourceJob],
    settings: EvaluationSettings,
    done: Done,
) -> None:
    """Do the jobs; what has ended is in ``done``, even if the rest never does."""
    with job_progress([job.key for job in jobs]) as (on_progress, on_result):

        def keep(number: int, outcome: Outcome[SourceJob, SourceResult]) -> None:
            done[number] = outcome
            on_result(number, outcome)

        run_jobs(
            function,
            jobs,
            workers=args.jobs,
            ray=args.ray,
            threads=settings.threads or None,
            on_progress=on_progress,
            on_result=keep,
        )


def _where(out: Path, content: dict[str, Any], *, report: bool) -> list[str]:
    """Say what to look at, if there is anything."""
    if not content['overall']:
        return []
    page = f'; open {out / REPORT}' if report else ''
    return [f'results are in {out}{page}']


def _skipped(done: Done) -> list[str]:
    """Say how many sources an earlier run had done."""
    reused = sum(outcome.result is not None and outcome.result.reused for outcome in done.values())
    if not reused:
        return []
    why = 'done by an earlier run, with the same contents and settings'
    return [f'{reused} of {len(done)} sources were skipped: {why}']


def _check_sources(content: dict[str, Any], done: Done, labels: str | None) -> None:
    """Refuse to call a run good of which a part is missing.

    Raises:
        SourceError: If sources were not evaluated, not one frame of a source was segmented, or no
            frame has labels.
    """
    whys = [(outcome.job.path, _why_failed(outcome)) for outcome in done.values()]
    failed = [f'{path}: {why}' for path, why in whys if why is not None]
    if failed:
        lines = dict.fromkeys(failed)  # the cameras of a bag may have the same trouble
        msg = f'{len(failed)} of {len(done)} sources were not evaluated:\n' + '\n'.join(lines)
        raise SourceError(msg)
    if labels and not any(source['labelled'] for source in content['sources']):
        raise _no_labels(labels)


def _why_failed(outcome: Outcome[SourceJob, SourceResult]) -> str | None:
    """Return why a source was not evaluated; None if it was."""
    result = outcome.result
    if result is None or result.segmented:
        return outcome.error
    of_topic = f' of {result.topic}' if result.topic else ''
    return f'not one frame{of_topic} was segmented: {"; ".join(result.problems)}'


def _write(
    out: Path,
    settings: EvaluationSettings,
    jobs: Sequence[SourceJob],
    done: Done,
) -> dict[str, Any]:
    """Write the results of what is done, in this run or in one before that got further."""
    results: list[SourceResult] = []
    failures: list[tuple[SourceJob, str]] = []
    for number, job in enumerate(jobs):
        outcome = done.get(number)
        result = earlier_result(job) if outcome is None else outcome.result
        if result is not None:
            results.append(result)
        else:
            error = None if outcome is None else outcome.error
            failures.append((job, error or 'not done: the run was ended'))
    return write_results(out, settings, results, failures)


def _judge(content: dict[str, Any], min_miou: float | None, min_tc: float | None) -> int:
    """Return the exit code, and say which threshold is missed."""
    scores = content['overall']['a']
    status = 0
    for key, name, least in (('miou', 'mIoU', min_miou), ('tc', 'TC', min_tc)):
        if least is None or (scores[key] is not None and scores[key] >= least):
            continue
        found = 'not defined' if scores[key] is None else f'{scores[key]:.4f}'
        sys.stderr.write(f'vidseg: {name} of model a is {found}, wanted at least {least:g}\n')
        status = EXIT_BELOW
    return status
