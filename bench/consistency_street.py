# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does consistency bring where clips are the neighbours of labelled frames, as in the paper?

Usage::

    python bench/consistency_street.py --teacher RUN

Procedural street clips, 480x360 at 15 frames a second: one frame every two seconds has labels, the
three before and after it have none, and other clips, all of whose frames have exact labels, score.
The rows, their terms, the network and its size are those of `consistency_ablation.py`; every row
goes on from the same weights, trained on the labelled frames alone. A killed run goes on where it
stood, and what the result file has is not done again.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ablation import baseline, put_into
from consistency_ablation import Row, ROWS, START, table, train
import cv2
from report import checksum, earlier_runs, RESULTS, surroundings
from ruamel.yaml import YAML
from steadiness import PerFrame, score_clip

from vidseg_ros.core.labels import STREET
from vidseg_ros.core.street import StreetClip
from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.lessons import OF_CLIPS, OF_IMAGES
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.data.image_folder import DESCRIPTION, ImageFolder
from vidseg_training.export import load_run
from vidseg_training.fitting import run

SCRIPT: Final = 'bench/consistency_street.py'
SIZE: Final = (360, 480)
TRAIN: Final = range(1000, 1012)
MORE: Final = range(1100, 1148)
"""Seeds of clips without labels."""
TEST: Final = {'val': range(2000, 2006), 'test': range(3000, 3012)}
"""Seeds of the clips of each split; settings are chosen on val."""
LABELLED: Final = range(15, 240, 30)
REACH: Final = 3
"""Frames before and after a labelled one."""
SCORED: Final = range(60)
"""Frames of a clip that score: four seconds."""


def write_drives(folder: Path) -> Path:
    """Write the clips as a data set of one's own, unless they are there; return its folder."""
    if (folder / DESCRIPTION).exists():
        return folder
    wanted = [('train', seed, LABELLED, REACH) for seed in TRAIN]
    wanted += [('more', seed, LABELLED, REACH) for seed in MORE]
    wanted += [(split, seed, SCORED, 0) for split, seeds in TEST.items() for seed in seeds]
    for split, seed, labelled, reach in wanted:
        clip = StreetClip(seed=seed, size=SIZE)
        places = {kind: folder / split / kind for kind in ('images', 'masks', 'clips')}
        places['clips'] /= f'{seed}'
        places = {'clips': places['clips']} if split == 'more' else places
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        for middle in labelled:
            for number in range(middle - reach, middle + reach + 1):
                frame, name = clip.frame(number), f'{seed}_{number:05d}.png'
                picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(places['clips'] / name), picture)
                if number == middle and split != 'more':
                    cv2.imwrite(str(places['images'] / name), picture)
                    cv2.imwrite(str(places['masks'] / name), frame.labels)
    description = {
        'name': 'procedural street clips',
        'licence': 'Apache-2.0',
        'classes': [
            {'name': name, 'color': list(color)}
            for name, color in zip(STREET.names, STREET.colors, strict=True)
        ],
        **{
            split: {'images': f'{split}/images', 'masks': f'{split}/masks'}
            for split in ('train', 'val', 'test')
        },
    }
    YAML().dump(description, folder / DESCRIPTION)
    return folder


def configuration(row: Row, seed: int, args: argparse.Namespace) -> TrainConfig:
    """Return the settings of a run that goes on from the start."""
    terms = {name: args.strength * weight for name, weight in row.consistency.items()}
    lessons = {name: args.lessons * weight for name, weight in row.distillation.items()}
    clips: dict[str, Any] = {}
    if row.needs_clips:
        parts = ('train', 'more') if args.more else ('train',)
        folders = tuple(args.data / part / 'clips' for part in parts)
        clips = {'clips': folders, 'licence': 'Apache-2.0', 'labelled_middle': not args.more}
    if 'temporal' in terms:
        clips['picture_error'] = args.picture_error
    teacher = {'teacher': (str(args.teacher),), 'scale': args.scale} if lessons else {}
    return replace(
        baseline(args.data, args.epochs),
        name='consistency_street',
        dataset='folder',
        scale_range=(0.375, 1.0),
        color_jitter=0.25,
        precision='bf16-mixed',
        seed=seed,
        init=args.runs / START,
        learning_rate=args.learning_rate,
        consistency=ConsistencyConfig(**terms, **clips, max_gap=REACH),
        distillation=DistillationConfig(**lessons, **teacher),
    )


def train_start(args: argparse.Namespace) -> None:
    """Train the weights that every row starts from, or what is left of that."""
    plain = configuration(ROWS['baseline'], 0, args)
    rate = baseline(args.data, 1).learning_rate
    epochs = args.start_epochs
    config = replace(plain, epochs=epochs, validate_epochs=epochs, init=None, learning_rate=rate)
    run(config, args.runs / START)


def train_and_score(row: Row, seed: int, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Do the run of a row and a seed, and score it on the clips of a split."""
    config = configuration(row, seed, args)
    said = args.runs / f'answers{"_more" if args.more else ""}'
    answers = {OF_IMAGES: said, OF_CLIPS: said}
    train(config, folder, answers if row.distillation else {})
    _, network, _ = load_run(folder)
    images = ImageFolder(args.data, args.split)
    clips = [range(first, first + len(SCORED)) for first in range(0, len(images), len(SCORED))]
    segment = PerFrame(network, config.input_size)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    scores = score_clip(segment, images, *clips)
    return {'test_miou': scores['miou'], 'parameters': parameters, **scores}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--teacher', type=Path, required=True, help='run, or weights')
    parser.add_argument('--scale', type=float, default=1.0, help='of images for the teacher')
    parser.add_argument(
        '--picture-error', type=float, default=57.63, help='of the temporal loss, grey levels'
    )
    parser.add_argument('--more', action='store_true', help='clips without labels as well')
    parser.add_argument('--strength', type=float, default=1.0, help='factor of consistency')
    parser.add_argument('--lessons', type=float, default=1.0, help='factor of distillation')
    parser.add_argument('--learning-rate', type=float, default=1e-3)
    parser.add_argument('--runs', type=Path, default=Path('runs/consistency_street'))
    parser.add_argument('--data', type=Path, help='folder of the frames, by default beside runs')
    parser.add_argument('--start-epochs', type=int, default=200)
    parser.add_argument('--epochs', type=int, default=40, help='of every row')
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--split', choices=TEST, default='test', help='that scores')
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS))
    parser.add_argument('--out', type=Path, default=RESULTS / 'consistency_street.json')
    parser.add_argument('--table', type=Path, help='document that gets the table')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing; write the result after each run, the table at the end."""
    args = _arguments(argv)
    args.data = write_drives(args.data or args.runs / 'drives')
    settings = {
        name: getattr(args, name)
        for name in (
            'epochs',
            'start_epochs',
            'learning_rate',
            'scale',
            'strength',
            'lessons',
            'more',
            'picture_error',
            'split',
        )
    }
    if args.teacher.exists():
        settings['teacher'] = [args.teacher.name, checksum(args.teacher)]
    where = surroundings('torch', 'lightning')
    runs = earlier_runs(args.out, settings)
    result = {**where, **settings, 'runs': runs}
    train_start(args)
    for seed in range(args.seeds):
        for name in args.rows:
            if str(seed) in runs.get(name, {}):
                continue
            folder = args.runs / f'{args.out.stem}-{name.strip("+ ").replace(" ", "_")}-{seed}'
            scores = train_and_score(ROWS[name], seed, folder, args)
            runs.setdefault(name, {})[str(seed)] = [{**scores, 'on': where}]
            write_json(args.out, result)
            print(f'{table(runs)}\n', flush=True)
    if args.table is not None:
        put_into(args.table, table(runs), SCRIPT)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
