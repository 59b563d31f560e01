# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The vidseg-train command line; the options of a run are the fields of its configuration."""

import argparse
from collections.abc import Sequence
import logging
from pathlib import Path
import sys

import tyro

from vidseg_ros.core.errors import VidsegError
from vidseg_training.config import TrainConfig
from vidseg_training.export import export
from vidseg_training.fitting import run
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_training import train_motion
from vidseg_training.propagation.command import add_arguments as add_propagation_arguments
from vidseg_training.propagation.command import propagate
from vidseg_training.recipes import RECIPES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='vidseg-train', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    fit = commands.add_parser(
        'fit',
        add_help=False,
        help='train a recipe; every field of the configuration is an option (RECIPE --help)',
    )
    fit.add_argument('recipe', choices=RECIPES)
    fit.add_argument('--out', type=Path, help='folder of the run, by default runs/RECIPE')
    motion = commands.add_parser(
        'motion',
        add_help=False,
        help='train a motion network from unlabelled clips (--clips VIDEO_OR_FOLDER ...; --help)',
    )
    motion.add_argument('--out', type=Path, default=Path('runs/motion'), help='folder of the run')
    ship = commands.add_parser('export', help='write the model file of a finished run')
    ship.add_argument('run', type=Path, help='folder of the run')
    ship.add_argument('--data', type=Path, help='folder of the data set, if it has moved')
    ship.add_argument('--out', type=Path, required=True, help='model file to write')
    add_propagation_arguments(
        commands.add_parser(
            'propagate', help='make training samples at the unlabelled neighbours of frames'
        )
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``vidseg-train`` with ``fit``, ``motion``, ``propagate`` or ``export``."""
    logging.basicConfig(level=logging.ERROR, format='%(message)s')
    logging.getLogger('vidseg_training').setLevel(logging.INFO)
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    try:
        if arguments.command == 'fit':
            recipe = RECIPES[arguments.recipe]()
            prog = f'vidseg-train fit {arguments.recipe}'
            config = tyro.cli(TrainConfig, prog=prog, default=recipe, args=rest)
            print(run(config, arguments.out or Path('runs') / recipe.name))
        elif arguments.command == 'motion':
            motion = tyro.cli(
                MotionConfig,
                prog='vidseg-train motion',
                description='Train a motion network from unlabelled clips into --out DIR, by '
                'default runs/motion.',
                args=rest,
            )
            print(train_motion(motion, arguments.out))
        elif rest:
            parser.error(f'unknown arguments: {" ".join(rest)}')
        elif arguments.command == 'propagate':
            for line in propagate(arguments):
                print(line)
        else:
            print(export(arguments.run, arguments.out, arguments.data).path)
    except VidsegError as error:
        print(f'vidseg-train: {error}', file=sys.stderr)
        return 2
    return 0
