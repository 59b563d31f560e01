# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does each ingredient of the training bring, in a setting that two cores can repeat?

Usage::

    python bench/ablation.py DATA/camvid --runs runs/ablation

CompactNet (0.34 M parameters) from random weights on CamVid train, images halved to 240x180,
network input 240x176, crops of 192x144; scored on CamVid test at 480x360, last epoch, 11 classes,
one scale, no flip. Each row changes the baseline in one thing, one row in all things above it;
every row has the same seeds. A run takes less than ten minutes of CPU time. First all rows with
the first seed, then with the second: the table grows from run to run. A killed run goes on where
it stood, and what the result file has is not done again.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
import statistics
import time
from typing import Any, Final

from report import earlier_runs, RESULTS, surroundings

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.checkpoints import CHECKPOINT
from vidseg_training.config import TrainConfig
from vidseg_training.export import load_run
from vidseg_training.fitting import run
from vidseg_training.scoring import DEPLOYED, score

THIN: Final = ('pole', 'sign', 'pedestrian', 'bicyclist')
"""Classes of which a mean of their own is given; relaxation leaves them out."""

BASELINE: Final = 'baseline'

INGREDIENTS: Final[dict[str, dict[str, Any]]] = {
    'class-uniform sampling': {'class_uniform': 0.5, 'class_uniform_tile': 90},
    'label relaxation': {'relaxed_share': 0.6, 'strict_classes': THIN},
    'averaged weights (EMA)': {'ema_decay': 0.998},
    'augmentation': {'scale_range': (0.375, 1.0), 'color_jitter': 0.25},
}
"""What each ingredient changes in the baseline."""

ROWS: Final[dict[str, dict[str, Any]]] = {
    BASELINE: {},
    **{f'+ {name}': change for name, change in INGREDIENTS.items()},
    'all of them': {key: value for part in INGREDIENTS.values() for key, value in part.items()},
    '+ Lovász loss': {'lovasz_weight': 1.0},
    '+ mixed classes': {'class_mix': 0.5},
}

SCRIPT: Final = 'bench/ablation.py'
END: Final = '<!-- end of the table -->'


def baseline(data: Path, epochs: int) -> TrainConfig:
    """Return the small setting: mirrored crops at one scale, plain cross-entropy."""
    return TrainConfig(
        name='ablation',
        network='compact',
        dataset='camvid',
        data=data,
        input_size=(176, 240),
        crop_size=(144, 192),
        scale_range=(0.5, 0.5),
        color_jitter=0.0,
        epochs=epochs,
        batch_size=8,
        learning_rate=2e-3,
        weight_decay=1e-3,
        class_weight_offset=None,
        checkpoint_steps=200,
        validate_epochs=epochs,
    )


def train_and_score(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Do one run, or what is left of it, and score it on the test set.

    Returns:
        Scores from 0 to 1, and CPU seconds; None for those of a run that was resumed.
    """
    resumed = (folder / CHECKPOINT).exists()
    start = time.process_time()
    run(config, folder)
    seconds = None if resumed else time.process_time() - start
    _, network, test = load_run(folder)
    confusion = score(network, test, config.input_size, DEPLOYED)
    return {
        'miou': confusion.miou(),
        'iou': dict(zip(CAMVID.names, confusion.iou().tolist(), strict=True)),
        'cpu_s': seconds,
    }


def table(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the runs as a Markdown table.

    Args:
        runs: By row, then by seed.
    """
    lines = [
        '| setting | mIoU (each seed) | against the baseline (each seed) | thin classes |',
        '|---|---|---|---|',
    ]
    plain = {seed: result['miou'] for seed, result in runs.get(BASELINE, {}).items()}
    for row, by_seed in runs.items():
        if not by_seed:
            continue
        mious = [result['miou'] for result in by_seed.values()]
        gains = [by_seed[seed]['miou'] - plain[seed] for seed in by_seed if seed in plain]
        thin = [result['iou'][name] for result in by_seed.values() for name in THIN]
        against = _percent(gains, '+.1f') if row != BASELINE and gains else ''
        mean = 100 * statistics.fmean(thin)
        lines.append(f'| {row} | {_percent(mious, ".1f")} | {against} | {mean:.1f} |')
    return '\n'.join(lines)


def _percent(values: Sequence[float], style: str) -> str:
    each = ', '.join(f'{100 * value:{style}}' for value in values)
    return f'{100 * statistics.fmean(values):{style}} ({each})'


def put_into(document: Path, text: str, script: str = SCRIPT) -> None:
    """Replace what stands between the two marks of a document.

    Args:
        document: Markdown.
        text: The table.
        script: Whose table it is; its name is in the first mark.

    Raises:
        SourceError: If the document lacks the marks.
    """
    begin = f'<!-- table of {script} -->'
    whole = document.read_text(encoding='utf-8')
    before, found, rest = whole.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        msg = f'{document} has no place for the table: lines "{begin}" and "{END}"'
        raise SourceError(msg)
    document.write_text(f'{before}{begin}\n{text}\n{END}{after}', encoding='utf-8')


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing; write the result after each run, the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('data', type=Path, help='folder of CamVid (SegNet split)')
    parser.add_argument('--runs', type=Path, default=Path('runs/ablation'))
    parser.add_argument('--epochs', type=int, default=48)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS), metavar='ROW')
    parser.add_argument('--out', type=Path, default=RESULTS / 'ablation_camvid.json')
    parser.add_argument('--table', type=Path, help='document that gets the table')
    args = parser.parse_args(argv)
    settings = {'epochs': args.epochs, 'rows': ROWS}
    earlier = earlier_runs(args.out, settings)
    runs: dict[str, dict[str, Any]] = {row: earlier.get(row, {}) for row in ROWS}
    where = surroundings('torch', 'lightning')
    result = {**where, **settings, 'runs': runs}
    for seed in range(args.seeds):
        for row, change in ROWS.items():
            if row not in args.rows or str(seed) in runs[row]:
                continue
            folder = args.runs / f'{row.strip("+ ").replace(" ", "_")}-{seed}'
            config = replace(baseline(args.data, args.epochs), seed=seed, **change)
            runs[row][str(seed)] = {**train_and_score(config, folder), 'on': where}
            write_json(args.out, result)
            print(f'{table(runs)}\n', flush=True)
    if args.table is not None:
        put_into(args.table, table(runs))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
