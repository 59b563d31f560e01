# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
r"""Train the from-scratch CamVid recipes one after the other, and bring the weights back.

Usage::

    python bench/train_camvid_gpu.py DATA/camvid OUT --minutes 9 -- \
        --train-split trainval --precision bf16-mixed --workers 12 --epochs 800 --batch-size 48 \
        --learning-rate 3e-3 --weight-decay 0.02 --color-jitter 0.4 --scale-range 0.6 2.0 \
        --rotation 5 --ema-decay 0.999 --warmup-steps 300 --clip-norm 5 --checkpoint-steps 1000 \
        --input-size 480 640 --class-weight-offset None --lovasz-weight 1 --class-mix 0.5 \
        --loss-stride 4 --keep-images

Without the last two lines of options an H200 does 20 of these steps of 48 crops a second with the
small network (docs/models.md): 800 epochs are six minutes. With them it was not measured.

Where no command may run for long, call it again and again until it exits with 0: a run that was
stopped goes on exactly from its last checkpoint. OUT gets a folder for each recipe, and for a
finished one ``RECIPE.safetensors`` (last epoch) and ``RECIPE.json``: IoU of each class on CamVid
test by the protocol of the model file, parameters, settings, machine. What follows ``--`` goes to
every ``vidseg-train fit``.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
import shutil
import subprocess
import sys
import time
from typing import Any, Final

from report import surroundings
import torch

from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.checkpoints import CHECKPOINT, read_weights, WEIGHTS
from vidseg_training.evaluation import evaluate
from vidseg_training.export import load_run
from vidseg_training.recipe_list import find_recipe
from vidseg_training.run_settings import settings_text

FROM_SCRATCH: Final = ('camvid_from_scratch', 'camvid_dual_resolution')

EXIT_UNFINISHED: Final = 3
"""Exit code when time was up before all recipes were done."""


def train(recipe: str, folder: Path, options: Sequence[str], seconds: float) -> bool:
    """Train a recipe, or go on with it, for at most so many seconds.

    Returns:
        Whether it is finished.

    Raises:
        CalledProcessError: If the training fails.
    """
    command = 'import sys; from vidseg_training.cli import main; sys.exit(main(sys.argv[1:]))'
    arguments = ['fit', recipe, '--out', str(folder), *options]
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603  # our own program
            [sys.executable, '-c', command, *arguments], check=True, timeout=max(1, seconds)
        )
        return True
    return False


def summary(folder: Path) -> dict[str, Any]:
    """Score a finished run on CamVid test; plain types."""
    result = evaluate(folder)
    trained, network, _ = load_run(folder)
    config = trained.config
    init = config.init and Path(config.init.name)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        **surroundings('torch', 'lightning'),
        'gpu': gpu,
        'protocol': result.protocol,
        'miou': result.confusion.miou(),
        'iou': dict(zip(result.labels.names, result.confusion.iou().tolist(), strict=True)),
        'parameters': sum(parameter.numel() for parameter in network.parameters()),
        'settings': settings_text(replace(config, data=Path(config.data.name), init=init)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is left in the time that is left."""
    words = list(sys.argv[1:] if argv is None else argv)
    split = words.index('--') if '--' in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('data', type=Path, help='folder of CamVid (SegNet split)')
    parser.add_argument('out', type=Path, help='folder of runs, weights and results')
    parser.add_argument('--recipes', nargs='+', default=list(FROM_SCRATCH), metavar='RECIPE')
    parser.add_argument('--minutes', type=float, default=float('inf'), help='of this call')
    args = parser.parse_args(words[:split])
    end = time.monotonic() + 60 * args.minutes
    for recipe in args.recipes:
        find_recipe(recipe)  # a misspelt one is refused before anything is trained
    for recipe in args.recipes:
        folder, done = args.out / recipe, args.out / f'{recipe}.json'
        if done.is_file():
            continue
        left = end - time.monotonic()
        options = ['--data', str(args.data), *words[split + 1 :]]
        if left < 1 or not train(recipe, folder, options, left):
            epoch = read_weights(folder).epoch if (folder / CHECKPOINT).is_file() else 0
            print(f'time is up in epoch {epoch} of {recipe}: call again to go on')
            return EXIT_UNFINISHED
        shutil.copyfile(folder / WEIGHTS, args.out / f'{recipe}.safetensors')
        write_json(done, summary(folder))
        print(f'{recipe}: result is in {done}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
