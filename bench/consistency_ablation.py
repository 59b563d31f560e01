# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What do the terms of consistency and distillation bring, and what do the alternatives cost?

Usage::

    python bench/consistency_ablation.py DATA/camvid --teacher DATA/weights/fddwnet_cityscapes.pth

The small setting of `ablation.py`, augmented and in bf16: CompactNet at 240x176, random weights,
CamVid train.
TC (DIS, forward-backward masked), VC and flips by the protocol ``clip_halves``: the images of one
half of CamVid's dense clip train, without labels, the other half scores, then the other way round;
numbers are the mean. mIoU is that of CamVid test and, beside it, of the scored halves. Motion
comes from Farneback's flow or a motion network, never from DIS. Two rows have the same networks as
the baseline and make their masks steady afterwards, at the cost of time: key frames and frame
averages. A killed run goes on where it stood, and what the result file has is not done again.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
import re
import statistics
from typing import Any, Final, NamedTuple

from ablation import baseline, put_into
from report import checksum, earlier_runs, RESULTS, surroundings
from steadiness import FrameAverage, HALVES, KeyFrames, PerFrame, score_clip, Segmenter

from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.lessons import OF_CLIPS, OF_IMAGES
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.data.camvid import CamVid
from vidseg_training.export import load_run
from vidseg_training.fitting import run
from vidseg_training.scoring import score

SCRIPT: Final = 'bench/consistency_ablation.py'
START: Final = 'start'
"""Folder of the weights that rows start from."""
START_RATE: Final = 1e-3
"""Peak learning rate of rows that start from trained weights, half of that from random ones."""
LICENCE: Final = 'CC BY-NC 4.0, research use (Brostow et al. 2009)'


class Row(NamedTuple):
    """What a row adds to the baseline."""

    consistency: dict[str, float]
    """Weights of `ConsistencyConfig`."""
    distillation: dict[str, float]
    """Weights of `DistillationConfig`."""
    matters: bool = False
    """Whether it is run with every seed, others with the first."""

    @property
    def needs_clips(self) -> bool:
        """Whether anything of it is learned from clips."""
        pairs = self.distillation.keys() & {'pair_frames', 'multi_frame'}
        return bool(pairs) or 'temporal' in self.consistency


TEMPORAL: Final = {'temporal': 3.0}
EQUIVARIANCE: Final = {'equivariance': 1.0}
SINGLE_FRAME: Final = {'pixel': 0.5, 'pair': 1.0}
PAIR_FRAMES: Final = {'pair_frames': 1.0}
MULTI_FRAME: Final = {'multi_frame': 1.0}
ALL_LESSONS: Final = {**SINGLE_FRAME, **PAIR_FRAMES, **MULTI_FRAME}
OF_ETC: Final = Row({'temporal': 0.1}, dict.fromkeys(ALL_LESSONS, 0.1), matters=True)
"""All terms of the paper, each with its weight there."""

ROWS: Final[dict[str, Row]] = {
    'baseline': Row({}, {}, matters=True),
    '+ temporal loss': Row(TEMPORAL, {}, matters=True),
    '+ single frame (SF)': Row({}, SINGLE_FRAME),
    '+ pair-wise frames (PF)': Row({}, PAIR_FRAMES),
    '+ multi-frame (MF)': Row({}, MULTI_FRAME),
    'all of these': Row(TEMPORAL, ALL_LESSONS, matters=True),
    "all of these, ETC's weights": OF_ETC,
    '+ equivariance': Row(EQUIVARIANCE, {}, matters=True),
    'temporal loss, SF, equivariance': Row(TEMPORAL | EQUIVARIANCE, SINGLE_FRAME, matters=True),
}

FOILS: Final[dict[str, Callable[[PerFrame, tuple[int, int]], Segmenter]]] = {
    'baseline, key frames (every 5th, flow between)': KeyFrames,
    'baseline, mean of 3 frames': lambda frame, _: FrameAverage(frame),
}

Scores = dict[str, list[dict[str, Any]]]
"""By row of the table; each of a list counts the same."""

COLUMNS: Final = {
    'test_miou': ('mIoU test', 100, '.1f'),
    'miou': ('mIoU clip', 100, '.1f'),
    'tc': ('TC', 100, '.1f'),
    'vc8': ('VC8 correct', 100, '.1f'),
    'vc16': ('VC16 correct', 100, '.1f'),
    'flips_per_s': ('flips/s', 1, '.3f'),
    'ms_mean': ('ms mean', 1, '.1f'),
    'ms_worst': ('ms worst', 1, '.1f'),
    'parameters': ('parameters', 1, ',.0f'),
}
"""Heading, factor and format of each score in the table."""


def configuration(row: Row, clip: Path, seed: int, args: argparse.Namespace) -> TrainConfig:
    """Return the settings of a run whose clips, if any, are the images of a folder."""
    start = {'init': args.runs / START, 'learning_rate': START_RATE} if args.start_epochs else {}
    clips = {'clips': (clip,), 'licence': LICENCE} if row.needs_clips else {}
    teacher = {'teacher': (str(args.teacher),), 'scale': args.scale} if row.distillation else {}
    terms, lessons = (
        {name: args.strength * weight for name, weight in weights.items()}
        for weights in (row.consistency, row.distillation)
    )
    if 'temporal' in terms:
        terms['picture_error'] = args.picture_error
    return replace(
        baseline(args.data, args.epochs),
        name='consistency_ablation',
        scale_range=(0.375, 1.0),
        color_jitter=0.25,
        precision='bf16-mixed',
        seed=seed,
        consistency=ConsistencyConfig(**terms, **clips, motion=args.motion),
        distillation=DistillationConfig(**lessons, **teacher),
        **start,
    )


def folder_name(row: str) -> str:
    """Return the name of a row without what file names should not have."""
    return re.sub(r'\W+', '_', row).strip('_')


def train_start(args: argparse.Namespace) -> None:
    """Train the weights that every row starts from, or what is left of that; maybe nothing."""
    if args.start_epochs:
        plain = configuration(ROWS['baseline'], args.data, 0, args)
        rate = baseline(args.data, args.start_epochs).learning_rate
        config = replace(
            plain,
            epochs=args.start_epochs,
            validate_epochs=args.start_epochs,
            init=None,
            learning_rate=rate,
        )
        run(config, args.runs / START)


def lend_clip(images: Path, half: int, folder: Path) -> Path:
    """Make a folder with links to the images of one half of the clip."""
    clip = folder / f'half{half}'
    clip.mkdir(parents=True, exist_ok=True)
    files = sorted(images.glob('*.png'))
    for file in (files[index] for index in HALVES[half]):
        link = clip / file.name
        if not link.is_symlink():
            link.symlink_to(file.resolve())
    return clip


def share_answers(name: str, giver: Path, taker: Path) -> None:
    """Let a run have what the teacher has already said; it checks that it is its own teacher.

    Args:
        name: Of the file of answers.
        giver: Folder that may have it.
        taker: Folder that may lack it; created if needed.
    """
    taker.mkdir(parents=True, exist_ok=True)
    if (giver / name).exists() and not (taker / name).exists():
        for file in (f'{name}.json', name):
            (taker / file).unlink(missing_ok=True)
            (taker / file).hardlink_to(giver / file)


def train(config: TrainConfig, folder: Path, answers: Mapping[str, Path]) -> None:
    """Do a run, or what is left of it.

    Args:
        config: The settings.
        folder: Of the run.
        answers: For each file of answers of a teacher the folder that keeps it for other runs.
    """
    for name, kept in answers.items():
        share_answers(name, kept, folder)
    run(config, folder)
    for name, kept in answers.items():
        share_answers(name, folder, kept)


def train_and_score(row_name: str, seed: int, args: argparse.Namespace) -> Scores:
    """Do the runs of a row and a seed: one, or one for each half of the clip that trains.

    Returns:
        For the row and, of the baseline, each foil: scores for both scored halves.
    """
    row, folder = ROWS[row_name], args.runs / f'{folder_name(row_name)}-{seed}'
    clip = CamVid(args.data, 'val')
    ways = {row_name: lambda frame, _: frame, **(FOILS if row_name == 'baseline' else {})}
    result: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for half in (0, 1) if row.needs_clips else (0,):
        config = configuration(row, lend_clip(args.data / 'val', half, args.runs), seed, args)
        place = folder / f'half{half}' if row.needs_clips else folder
        answers = {OF_IMAGES: args.runs / 'answers', OF_CLIPS: args.runs / f'answers{half}'}
        train(config, place, answers if row.distillation else {})
        _, network, test = load_run(place)
        whole = {
            'test_miou': score(network, test, config.input_size).miou(),
            'parameters': sum(parameter.numel() for parameter in network.parameters()),
        }
        for scored in (1 - half,) if row.needs_clips else (0, 1):
            for name, way in ways.items():
                segment = way(PerFrame(network, config.input_size), config.input_size)
                result[name].append({**whole, **score_clip(segment, clip, HALVES[scored])})
    return result


def table(
    runs: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]],
    columns: Mapping[str, tuple[str, float, str]] = COLUMNS,
) -> str:
    """Write the runs as a Markdown table: means, and for several seeds the spread of their means.

    Args:
        runs: By row, then by seed, the scores of both halves.
        columns: Heading, factor and format of each score.
    """
    headings = [heading for heading, _, _ in columns.values()]
    lines = [f'| setting | seeds | {" | ".join(headings)} |', '|---' * (len(headings) + 2) + '|']
    for row, by_seed in runs.items():
        cells = []
        for name, (_, factor, style) in columns.items():
            means = [
                factor * statistics.fmean(half[name] for half in halves)
                for halves in by_seed.values()
            ]
            wide = max(means) > min(means)
            spread = f' ±{(max(means) - min(means)) / 2:{style}}' if wide else ''
            cells.append(f'{statistics.fmean(means):{style}}{spread}')
        lines.append(f'| {row} | {len(by_seed)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def add_options(
    parser: argparse.ArgumentParser, name: str, rows: Mapping[str, Row], epochs: int, start: int
) -> None:
    """Add the options that the ablations of consistency have in common.

    Args:
        parser: Gets them.
        name: Of the script, for folder and file.
        rows: That there are.
        epochs: Usual ones of a row.
        start: Usual epochs of the weights that rows start from.
    """
    parser.add_argument('--runs', type=Path, default=Path('runs') / name)
    parser.add_argument('--epochs', type=int, default=epochs, help='of every row')
    parser.add_argument(
        '--start-epochs', type=int, default=start, help='of the weights that all rows start from'
    )
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--rows', nargs='+', choices=rows, default=list(rows))
    parser.add_argument('--out', type=Path, default=RESULTS / f'{name}.json')
    parser.add_argument('--table', type=Path, help='document that gets the table')


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('data', type=Path, help='folder of CamVid (SegNet split)')
    parser.add_argument('--teacher', type=Path, required=True, help='run, or published weights')
    parser.add_argument('--scale', type=float, default=2.0, help='of images for the teacher')
    parser.add_argument(
        '--picture-error',
        type=float,
        default=ConsistencyConfig.picture_error,
        help='of the temporal loss, grey levels',
    )
    parser.add_argument('--strength', type=float, default=1.0, help='factor of all weights')
    parser.add_argument('--motion', default='farneback', help='farneback or a motion network')
    add_options(parser, 'consistency_ablation', ROWS, epochs=24, start=0)
    return parser.parse_args(argv)


def fill_table(  # noqa: PLR0913  # the last by name
    out: Path,
    settings: Mapping[str, Any],
    wanted: Iterable[tuple[str, int]],
    measure: Callable[[str, int], Scores],
    *,
    prepare: Callable[[], None],
    columns: Mapping[str, tuple[str, float, str]] = COLUMNS,
) -> dict[str, Any]:
    """Do the runs that the result file lacks; write it, and print the table, after each.

    Args:
        out: The result file.
        settings: Plain types that all runs have in common.
        wanted: Row and seed of the runs.
        measure: Gives what a run brings for the table.
        prepare: Makes what all runs need, once the result file is known to fit.
        columns: Of the table.

    Returns:
        The runs, by row, then by seed.
    """
    where = surroundings('torch', 'lightning')
    runs = earlier_runs(out, settings)
    prepare()
    result = {**where, **settings, 'runs': runs}
    for name, seed in wanted:
        if str(seed) in runs.get(name, {}):
            continue
        for row, scores in measure(name, seed).items():
            runs.setdefault(row, {})[str(seed)] = [{**part, 'on': where} for part in scores]
        write_json(out, result)
        print(f'{table(runs, columns)}\n', flush=True)
    return runs


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing; write the result after each row, the table at the end."""
    args = _arguments(argv)
    settings = {
        'epochs': args.epochs,
        'start_epochs': args.start_epochs,
        'motion': args.motion if args.motion == 'farneback' else checksum(Path(args.motion)),
        'teacher': [args.teacher.name, checksum(args.teacher)],
        'scale': args.scale,
        'strength': args.strength,
        'picture_error': args.picture_error,
        'rows': {name: row._asdict() for name, row in ROWS.items()},
    }
    wanted = [
        (name, seed)
        for seed in range(args.seeds)
        for name in args.rows
        if seed == 0 or ROWS[name].matters
    ]
    measure = partial(train_and_score, args=args)
    runs = fill_table(args.out, settings, wanted, measure, prepare=partial(train_start, args))
    if args.table is not None:
        put_into(args.table, table(runs), SCRIPT)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
