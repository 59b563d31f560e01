# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg-train propagate`: new training samples out of clips and sparse labels."""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from vidseg_ros.core.class_list import read_classes
from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.fleet import Outcome, run_jobs, threads_per_worker
from vidseg_ros.core.fleet.job_progress import job_progress
from vidseg_training.propagation.clip import list_clips, STREET
from vidseg_training.propagation.correspondence import Occlusion
from vidseg_training.propagation.motion import EXACT, FLOW_METHODS, MotionChoice
from vidseg_training.propagation.pictures import write_pictures
from vidseg_training.propagation.propagate import (
    Chaining,
    ClipSummary,
    Mode,
    propagate_clip,
    PropagationJob,
    PropagationSettings,
)
from vidseg_training.propagation.scene_cuts import CUT_ERROR
from vidseg_training.propagation.sparse_labels import label_files, label_homes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    named = ', '.join([*FLOW_METHODS, EXACT])
    add('clips', nargs='+', metavar='CLIP', help='image folders, videos, or street:SEED')
    add('--labels', type=Path, metavar='DIR', help='index PNGs named like the frames')
    add('--out', type=Path, required=True, metavar='DIR', help='samples go here')
    add('--offset', type=int, default=1, metavar='K', help='k: frames from the labelled one')
    add('--accumulate', action='store_true', help='offsets 1 to k instead of k alone')
    add('--mode', choices=get_args(Mode), default='joint', help='default: %(default)s')
    add('--motion', default='dis', metavar='M', help=f'{named}, or a checkpoint (default: dis)')
    add('--chaining', choices=get_args(Chaining), default='steps', help='default: %(default)s')
    add('--occlusion', choices=get_args(Occlusion), default='agree', help='default: %(default)s')
    add('--cut-error', type=float, default=CUT_ERROR, metavar='X', help='default: %(default)s')
    add('--void', type=int, nargs='+', default=[], metavar='ID', help='label ids that are void')
    add('--classes', metavar='NAME|FILE', help='names and colours of the pictures')
    add('--show', action='store_true', help='leave a contact sheet and a video of each clip')
    add('--jobs', type=int, default=1, metavar='N', help='clips at a time, on this machine')
    add('--ray', metavar='ADDRESS', help='on a Ray cluster; local starts one here')


def propagate(arguments: argparse.Namespace) -> Iterator[str]:
    """Make the samples of all clips that are not there yet.

    Args:
        arguments: See `add_arguments`.

    Yields:
        Lines for people.

    Raises:
        ParameterError: If settings cannot be, or two clips have one name.
        SourceError: If a clip failed, whose error is named; the others are done. Or if there is
            not one sample.
        ModelError: If there are no such classes.
        OutputError: If a picture cannot be written.
    """
    classes = read_classes(arguments.classes) if arguments.classes else None
    jobs = list_jobs(arguments)
    with job_progress([job.clip.name for job in jobs]) as (on_progress, on_result):
        outcomes = run_jobs(
            propagate_clip,
            jobs,
            workers=arguments.jobs,
            ray=arguments.ray,
            threads=_threads(arguments),
            on_progress=on_progress,
            on_result=on_result,
        )
    summaries = [outcome.result for outcome in outcomes if outcome.result is not None]
    yield from map(_line, summaries)
    yield from _unused_labels(outcomes)
    if arguments.show:
        for summary in summaries:
            yield from map(str, write_pictures(arguments.out / summary.name, classes))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        lines = [f'{outcome.job.clip.path}: {outcome.error}' for outcome in failed]
        msg = f'{len(failed)} of {len(jobs)} clips failed:\n' + '\n'.join(lines)
        raise SourceError(msg)
    if not any(summary.made + summary.kept for summary in summaries):
        msg = f'not one sample was made: {_reasons(summaries)}'
        raise SourceError(msg)


def list_jobs(arguments: argparse.Namespace) -> list[PropagationJob]:
    """Return a job for each clip."""
    motion: MotionChoice = arguments.motion
    settings = PropagationSettings(
        motion=Path(motion) if isinstance(motion, str) and Path(motion).is_file() else motion,
        offset=arguments.offset,
        accumulate=arguments.accumulate,
        mode=arguments.mode,
        chaining=arguments.chaining,
        occlusion=arguments.occlusion,
        cut_error=arguments.cut_error,
        void=tuple(arguments.void),
    )
    clips = [clip for path in dict.fromkeys(arguments.clips) for clip in list_clips(path)]
    name, uses = Counter(clip.name.lower() for clip in clips).most_common(1)[0]
    if uses > 1:
        msg = f'{uses} clips are called {name}: rename their folders or files, or run them apart'
        raise ParameterError(msg)
    recorded = [clip for clip in clips if not clip.path.startswith(STREET)]
    if recorded and arguments.labels is None:
        msg = f'{recorded[0].path} has no labels of its own; give a folder of them by --labels'
        raise ParameterError(msg)
    homes = label_homes(arguments.labels, recorded) if recorded else {}
    return [
        PropagationJob(
            clip=clip,
            labels=homes.get(clip.name),
            settings=settings,
            out=arguments.out,
            threads=_threads(arguments),
        )
        for clip in clips
    ]


def _threads(arguments: argparse.Namespace) -> int | None:
    if arguments.jobs > 1 or arguments.ray:
        return threads_per_worker(arguments.jobs, arguments.ray)
    return None


def _line(summary: ClipSummary) -> str:
    count = summary.made + summary.kept
    coverage = f', labels on {summary.coverage_sum / count:.0%} of their pixels' if count else ''
    skipped = f'; skipped: {_reasons([summary])}' if summary.skipped else ''
    return (
        f'{summary.name}: {summary.labelled} labelled frames, {summary.made} samples made, '
        f'{summary.kept} were there already{coverage}{skipped}'
    )


def _reasons(summaries: Sequence[ClipSummary]) -> str:
    total = sum((summary.skipped for summary in summaries), Counter[str]())
    reasons = [f'{count} {reason}' for reason, count in sorted(total.items())]
    return ', '.join(reasons) or 'no label map belongs to a frame; they are named like the frames'


def _unused_labels(
    outcomes: Sequence[Outcome[PropagationJob, ClipSummary]],
) -> Iterator[str]:
    """Say how many label maps belong to no frame, where all clips could be read."""
    homes = {outcome.job.labels for outcome in outcomes if outcome.job.labels is not None}
    results = [outcome.result for outcome in outcomes if outcome.job.labels is not None]
    if None in results or not homes:
        return
    used = sum(result.labelled for result in results if result is not None)
    unused = sum(len(label_files(home)) for home in homes) - used
    if unused:
        yield f'{unused} label maps belong to no frame'
