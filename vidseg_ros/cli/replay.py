# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg replay`: segment recorded footage, offline or through a live node."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
import json
from pathlib import Path
import sys
from typing import get_args

from rich.console import Console

from vidseg_ros.cli.argument_types import count, factor
from vidseg_ros.cli.parser import Parser
from vidseg_ros.cli.progress import progress_bar
from vidseg_ros.cli.ros_hint import load_replay_live
from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.image_codec import FOLDER_FPS
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.evaluation.replay import (
    MaskFormat,
    Outputs,
    replay_offline,
    ReplayResults,
    RESULTS,
)
from vidseg_ros.evaluation.results_folder import found_results, write_json
from vidseg_ros.evaluation.sources import open_source, Source, SourceFrame, STILLS
from vidseg_ros.evaluation.summary import ReplaySummary
from vidseg_ros.evaluation.true_labels import describe_foreign, LabelDirectory
from vidseg_ros.inference.engine import CHOICES, create_engine
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.pipeline import MaskSize, Segmenter

OnFrame = Callable[[SourceFrame], None]
Run = Callable[[Source, ReplayResults, OnFrame], ReplaySummary]


def main(argv: Sequence[str]) -> int:
    """Segment recorded footage; print the summary and leave masks and pictures in a folder.

    Args:
        argv: Arguments after ``vidseg replay``.

    Raises:
        ModelError: If there is no such model, or it breaks the model contract.
        SourceError: If the footage or its labels cannot be read, break off, or do not fit.
        EngineError: If the engine cannot run, or ``--live`` lacks ROS 2.
        OutputError: If a result cannot be written.
    """
    args = _parse(argv)
    replay_live = load_replay_live('--live') if args.live else None
    model = read_model(find_model(args.model))
    labels = model.card.labels
    truth = LabelDirectory(args.labels, labels) if args.labels else None
    with ExitStack() as opened:
        source = opened.enter_context(open_source(args.source, topic=args.topic))
        if truth is not None and not truth.fits(args.source):
            raise truth.no_match()
        run = _opened_run(args, replay_live, model.path, opened)
        outputs = Outputs(
            folder=args.out or _default_folder(args.source),
            masks=args.masks,
            video=args.video,
            sheet=args.sheet,
            fps=source.fps or FOLDER_FPS,
            overwrite=args.overwrite,
            inputs=(Path(args.source), *([args.labels] if args.labels else [])),
        )
        collected = ReplayResults(
            labels, outputs, truth=truth, consistency=args.consistency, fps=source.fps
        )
        try:
            with (
                collected as results,
                progress_bar(source.name, _frames(source, args.limit)) as on_frame,
            ):
                summary = run(source, results, on_frame)
        except KeyboardInterrupt:
            sys.stderr.write(f'vidseg: {_left(outputs.folder)}\n')
            raise
    _report(summary, args.json, outputs.folder)
    for note in describe_foreign(truth.foreign) if truth is not None else ():
        sys.stderr.write(f'vidseg: {note}\n')
    if args.consistency and source.kind == 'images':
        sys.stderr.write(f'vidseg: {STILLS}\n')
    if summary.error:
        raise SourceError(summary.error)
    if not summary.frames_segmented:
        msg = f'not one frame of {args.source} got a label map; the table says why'
        raise SourceError(msg)
    if truth is not None and summary.scores is None:
        raise truth.no_match()
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg replay',
        description='Segment recorded footage, frame by frame and as fast as it goes, or with '
        '--live through DDS and a running node at recorded rate.',
    )
    add = parser.add_argument
    add('source', type=Path, metavar='SOURCE', help='bag, video file or folder of images')
    add('--topic', metavar='T', help='image topic of a bag that has several')
    add('--limit', type=count, metavar='N', help='stop after N frames')
    add('--model', default=DEFAULT_MODEL, help='path or shipped name (default: %(default)s)')
    add('--engine', choices=CHOICES, default='onnxruntime', help='default: %(default)s')
    add(
        '--mask-size',
        choices=get_args(MaskSize),
        default='camera',
        help='size of the label maps (default: %(default)s)',
    )
    add('--out', type=Path, metavar='DIR', help='results go here (default: replay_<source>)')
    add('--overwrite', action='store_true', help='replace the results of an earlier run in DIR')
    add(
        '--masks',
        choices=get_args(MaskFormat),
        default='png',
        help='format of the label maps (default: %(default)s)',
    )
    add('--no-video', dest='video', action='store_false', help='no overlay video')
    add('--no-sheet', dest='sheet', action='store_false', help='no contact sheet')
    add('--labels', type=Path, metavar='DIR', help='true labels: index PNGs named like the frames')
    add(
        '--consistency',
        action='store_true',
        help='measure temporal consistency and label flips, and VC with --labels; slower',
    )
    add(
        '--json',
        nargs='?',
        const='-',
        metavar='FILE',
        help='write the summary as JSON to FILE; without FILE or with -, print only JSON',
    )
    add('--live', action='store_true', help='through DDS and a running ROS 2 node')
    add('--rate', type=factor, metavar='R', help='with --live: times the recorded rate')
    args = parser.parse_args(argv)
    if args.rate is not None and not args.live:
        parser.error('--rate needs --live: an offline run goes as fast as it can')
    if args.limit is not None and args.live:
        parser.error('--limit is for offline runs: --live plays the whole recording')
    return args


def _opened_run(
    args: argparse.Namespace,
    replay_live: Callable[..., ReplaySummary] | None,
    model: Path,
    opened: ExitStack,
) -> Run:
    """Return what segments the footage.

    An engine that cannot run is refused here, before a folder is made or emptied for its results.
    """
    engine = create_engine(args.engine, model, EngineSettings(build=False))
    if replay_live is not None:
        engine.close()  # the node opens its own
        return partial(_run_live, replay_live, args, model)
    opened.callback(engine.close)
    segmenter = Segmenter(engine, args.mask_size)
    return partial(_run_offline, segmenter, args.limit)


def _run_offline(
    segmenter: Segmenter,
    limit: int | None,
    source: Source,
    results: ReplayResults,
    on_frame: OnFrame,
) -> ReplaySummary:
    return replay_offline(source, segmenter, results, on_frame=on_frame, limit=limit)


def _run_live(  # noqa: PLR0913, PLR0917 - the first three are bound
    replay_live: Callable[..., ReplaySummary],
    args: argparse.Namespace,
    model: Path,
    source: Source,
    results: ReplayResults,
    on_frame: OnFrame,
) -> ReplaySummary:
    return replay_live(
        source,
        results,
        model=model,
        engine=args.engine,
        rate=args.rate or 1.0,
        mask_size=args.mask_size,
        log_dir=args.out or _default_folder(args.source),
        on_frame=on_frame,
    )


def _report(summary: ReplaySummary, json_to: str | None, folder: Path) -> None:
    if json_to == '-':
        sys.stdout.write(json.dumps(summary.to_dict(), indent=2, allow_nan=False) + '\n')
        sys.stderr.write(f'vidseg: {_where(folder)}\n')  # stdout is for JSON alone
        return
    if json_to is not None:
        write_json(Path(json_to), summary.to_dict())
    Console().print(summary.table())
    Console(markup=False, emoji=False).print(_where(folder), highlight=False, soft_wrap=True)


def _where(folder: Path) -> str:
    """Say what to look at; by now the summary is among it."""
    return f'results are in {folder}: {", ".join(found_results(folder, RESULTS))}'


def _left(folder: Path) -> str:
    """Say what an interrupted run leaves."""
    if not folder.is_dir() or not (found := found_results(folder, RESULTS)):
        return f'there are no results in {folder} yet; the same command starts again'
    what = f'{folder} holds what was segmented so far ({", ".join(found)}), without a summary'
    return f'{what}; --overwrite starts again'


def _default_folder(source: Path) -> Path:
    path = source.resolve()
    return Path(f'replay_{path.stem if path.is_file() else path.name}')


def _frames(source: Source, limit: int | None) -> int | None:
    """Return how many frames will be read, as far as that is known."""
    counts = [count for count in (source.frame_count, limit) if count is not None]
    return min(counts, default=None)
