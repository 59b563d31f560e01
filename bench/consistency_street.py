# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does consistency bring where clips are the neighbours of labelled frames, as in the paper?

Usage::

    python bench/consistency_street.py --write-only
    vidseg-train fit camvid_dual_resolution_small --network compact --dataset folder
        --data runs/consistency_street/drives --out runs/consistency_street/teacher
        --precision bf16-mixed --input-size 352 480 --crop-size 288 384 --scale-range 0.75 1.5
        --learning-rate 2e-3 --weight-decay 1e-3 --epochs 200 --validate-epochs 100
    python bench/consistency_street.py --teacher runs/consistency_street/teacher/last.safetensors

Procedural street clips, 480x360 at 15 frames a second: one frame every two seconds has labels, the
three before and after it have none, and other clips, all of whose frames have exact labels, score.
Network, size and terms are those of `consistency_ablation.py`, the teacher sees twice the size.
Every row goes on from the same weights, trained on the labelled frames alone. A killed run goes on
where it stood, and what the result file has is not done again.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from ablation import baseline, put_into
from consistency_ablation import (
    add_options,
    ALL_LESSONS,
    COLUMNS,
    fill_table,
    folder_name,
    OF_ETC,
    Row,
    Scores,
    START,
    START_RATE,
    table,
    TEMPORAL,
    train,
)
import cv2
from report import checksum
from ruamel.yaml import YAML
from steadiness import PerFrame, score_clip

from vidseg_ros.core.labels import STREET
from vidseg_ros.core.street import StreetClip
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.lessons import OF_CLIPS, OF_IMAGES
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.data.image_folder import DESCRIPTION, ImageFolder
from vidseg_training.export import load_run
from vidseg_training.fitting import run

SCRIPT: Final = 'bench/consistency_street.py'
SIZE: Final = (360, 480)
TRAIN: Final = range(1000, 1012)
TEST: Final = {'val': range(2000, 2006), 'test': range(3000, 3012)}
"""Seeds of the clips of each split; settings are chosen on val."""
LABELLED: Final = range(15, 240, 30)
REACH: Final = 3
"""Frames before and after a labelled one."""
SCORED: Final = range(60)
"""Frames of a clip that score: four seconds."""

ROWS: Final[dict[str, Row]] = {
    'baseline': Row({}, {}),
    '+ temporal loss': Row(TEMPORAL, {}),
    "all terms, ETC's weights": OF_ETC._replace(matters=False),  # as the result file has it
    'all terms, ours': Row(TEMPORAL, ALL_LESSONS),
}
"""With 0.1, the paper's weight of every term; ours are those of `consistency_ablation.py`."""
SHOWN: Final = {name: column for name, column in COLUMNS.items() if name != 'test_miou'}
"""Columns of the table."""


def write_drives(folder: Path) -> Path:
    """Write the clips as a data set of one's own, unless they are there; return its folder."""
    if (folder / DESCRIPTION).exists():
        return folder
    wanted = [('train', seed, LABELLED, REACH) for seed in TRAIN]
    wanted += [(split, seed, SCORED, 0) for split, seeds in TEST.items() for seed in seeds]
    for split, seed, labelled, reach in wanted:
        clip = StreetClip(seed=seed, size=SIZE)
        places = {kind: folder / split / kind for kind in ('images', 'masks', 'clips')}
        places['clips'] /= f'{seed}'
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        for middle in labelled:
            for number in range(middle - reach, middle + reach + 1):
                frame, name = clip.frame(number), f'{seed}_{number:05d}.png'
                picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(places['clips'] / name), picture)
                if number == middle:
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
    clips: dict[str, Any] = {}
    if row.needs_clips:
        clips = {'clips': (args.data / 'train' / 'clips',), 'licence': 'Apache-2.0'}
    teacher = {'teacher': (str(args.teacher),)} if row.distillation else {}
    return replace(
        baseline(args.data, args.epochs),
        name='consistency_street',
        dataset='folder',
        scale_range=(0.375, 1.0),
        color_jitter=0.25,
        precision='bf16-mixed',
        seed=seed,
        init=args.runs / START,
        learning_rate=START_RATE,
        consistency=ConsistencyConfig(
            **row.consistency, **clips, labelled_middle=True, max_gap=REACH
        ),
        distillation=DistillationConfig(**row.distillation, **teacher),
    )


def train_start(args: argparse.Namespace) -> None:
    """Train the weights that every row starts from, or what is left of that."""
    plain = configuration(ROWS['baseline'], 0, args)
    rate = baseline(args.data, 1).learning_rate
    epochs = args.start_epochs
    config = replace(plain, epochs=epochs, validate_epochs=epochs, init=None, learning_rate=rate)
    run(config, args.runs / START)


def train_and_score(row_name: str, seed: int, args: argparse.Namespace) -> Scores:
    """Do the run of a row and a seed, and score it on the clips of a split."""
    row, folder = ROWS[row_name], args.runs / f'{args.out.stem}-{folder_name(row_name)}-{seed}'
    config = configuration(row, seed, args)
    said = args.runs / 'answers'
    answers = {OF_IMAGES: said, OF_CLIPS: said}
    train(config, folder, answers if row.distillation else {})
    _, network, _ = load_run(folder)
    images = ImageFolder(args.data, args.split)
    clips = [range(first, first + len(SCORED)) for first in range(0, len(images), len(SCORED))]
    segment = PerFrame(network, config.input_size)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {row_name: [{'parameters': parameters, **score_clip(segment, images, *clips)}]}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--teacher', type=Path, help='weights')
    parser.add_argument('--write-only', action='store_true', help='the frames, for the teacher')
    parser.add_argument('--split', choices=TEST, default='test', help='that scores')
    add_options(parser, 'consistency_street', ROWS, epochs=40, start=200)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing; write the result after each run, the table at the end."""
    args = _arguments(argv)
    args.data = write_drives(args.runs / 'drives')
    if args.write_only:
        return 0
    if args.teacher is None:
        print('give --teacher; the first lines of this file say how to train one')
        return 2
    settings = {
        'epochs': args.epochs,
        'start_epochs': args.start_epochs,
        'split': args.split,
        'consistency': asdict(ConsistencyConfig(labelled_middle=True, max_gap=REACH)),
        'teacher': [args.teacher.name, checksum(args.teacher)],
        'rows': {name: row._asdict() for name, row in ROWS.items()},
    }
    wanted = [(name, seed) for seed in range(args.seeds) for name in args.rows]
    measure, prepare = partial(train_and_score, args=args), partial(train_start, args)
    runs = fill_table(args.out, settings, wanted, measure, prepare=prepare, columns=SHOWN)
    if args.table is not None:
        put_into(args.table, table(runs, SHOWN), SCRIPT)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
