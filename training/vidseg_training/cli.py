# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The vidseg-train command line; the options of a run are the fields of its configuration.

PyTorch takes seconds to import, in every process of ``propagate --jobs`` as well, so only what
uses it imports it.
"""

import argparse
from collections.abc import Sequence
from importlib import metadata
import logging
from pathlib import Path
import shlex
import sys
from typing import Any, Final, get_args, NoReturn

from rich.console import Console
import tyro

from vidseg_ros.core.errors import ParameterError, VidsegError
from vidseg_ros.core.image_codec import FOLDER_FPS
from vidseg_training.config import TrainConfig
from vidseg_training.data import Split
from vidseg_training.propagation.command import add_arguments as add_propagation_arguments
from vidseg_training.propagation.command import propagate
from vidseg_training.recipe_list import find_recipe, recipe_table

TRAININGS: Final = {
    'fit': 'train a recipe',
    'cross-validate': 'train a recipe once for each fold of its data and choose one network',
}
"""Commands that take a recipe, and what they do."""

RESUMED: Final = (*TRAININGS, 'motion', 'propagate')
"""Commands that go on with what an earlier call of them left."""

EXIT_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130


class _CommandParser(argparse.ArgumentParser):
    """Helps where the recipe is missing as well.

    Help with a recipe shows the recipe's options; so ``--help`` is no option of a training here.
    """

    _asked = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401  # as typeshed has it
        """See the base class."""
        self._asked = not {'-h', '--help'}.isdisjoint(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """See the base class."""
        if self._asked and message.endswith(': recipe'):
            self.print_help()
            self.exit()
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='vidseg-train',
        description='Train networks for semantic segmentation of video, score and export them.',
        epilog='`vidseg-train COMMAND --help` says more; docs/training.md has the whole way.',
    )
    parser.add_argument('--version', action='version', version=f'vidseg-train {_version()}')
    commands = parser.add_subparsers(dest='command', required=True, parser_class=_CommandParser)
    for name, what in TRAININGS.items():
        training = commands.add_parser(
            name,
            add_help=False,
            help=f'{what}; every field of the configuration is an option (RECIPE --help)',
            description=f'{what[0].upper()}{what[1:]}.',
            epilog='Every field of the configuration is an option as well: '
            f'`vidseg-train {name} RECIPE --help` shows them, with what the recipe has.',
        )
        training.add_argument('recipe', help='one of vidseg-train list')
        training.add_argument('--out', type=Path, help='folder, by default runs/RECIPE')
    motion = commands.add_parser(
        'motion',
        add_help=False,
        help='train a motion network from unlabelled clips (--clips VIDEO_OR_FOLDER ...; --help)',
    )
    motion.add_argument('--out', type=Path, default=Path('runs/motion'), help='folder of the run')
    size = ('HEIGHT', 'WIDTH')
    ship = commands.add_parser('export', help='write the model file of a finished run')
    ship.add_argument('run', type=Path, help='folder of the run')
    ship.add_argument('--data', type=Path, help='folder of the data set, if it has moved')
    ship.add_argument('--out', type=Path, required=True, help='model file to write')
    ship.add_argument(
        '--precision', choices=('fp32', 'fp16'), default='fp32', help='of the network'
    )
    commands.add_parser('list', help='show all recipes')
    check = commands.add_parser('evaluate', help='score a run, finished or not')
    check.add_argument('run', type=Path, help='folder, checkpoint or weights of the run')
    check.add_argument('--data', type=Path, help='folder of the data set, if it has moved')
    check.add_argument('--split', choices=get_args(Split), default='test')
    check.add_argument('--scales', type=float, nargs='+', default=[1.0], metavar='FACTOR')
    check.add_argument('--flip', action='store_true', help='look at the mirror image as well')
    check.add_argument('--consistency', action='store_true', help='TC, flips and VC of a video')
    check.add_argument('--fps', type=float, help=f'with that: {FOLDER_FPS} by default')
    check.add_argument('--sliding-window', type=int, nargs=2, metavar=size, help='pixels')
    for command in (ship, check):
        command.add_argument(
            '--input-size', type=int, nargs=2, metavar=size, help="pixels, if not the run's"
        )
    masks = commands.add_parser('masks', help='write masks that vidseg evaluate --labels reads')
    masks.add_argument('--dataset', required=True, help='a name in docs/data_sets.md')
    masks.add_argument('--data', type=Path, required=True, help='folder of the data set')
    masks.add_argument('--split', choices=get_args(Split), default='test')
    masks.add_argument('--fold', type=int, default=0, help='of kitti: the tenth that is tested on')
    masks.add_argument('--out', type=Path, required=True, help='new folder for the masks')
    add_propagation_arguments(
        commands.add_parser(
            'propagate', help='make training samples at the unlabelled neighbours of frames'
        )
    )
    return parser


def _version() -> str:
    try:
        return metadata.version('vidseg-training')
    except metadata.PackageNotFoundError:
        return '(not installed: run from its sources)'


def _train(arguments: argparse.Namespace, options: list[str]) -> None:
    from vidseg_training.cross_validation import cross_validate  # noqa: PLC0415
    from vidseg_training.fitting import run  # noqa: PLC0415
    from vidseg_training.processes import leave_processes  # noqa: PLC0415

    recipe = find_recipe(arguments.recipe)
    prog = f'vidseg-train {arguments.command} {arguments.recipe}'
    config = tyro.cli(TrainConfig, prog=prog, default=recipe, args=options)
    function = run if arguments.command == 'fit' else cross_validate
    print(function(config, arguments.out or Path('runs') / recipe.name))
    leave_processes()


def _motion(arguments: argparse.Namespace, options: list[str]) -> None:
    from vidseg_training.motion_config import MotionConfig  # noqa: PLC0415
    from vidseg_training.motion_training import train_motion  # noqa: PLC0415

    config = tyro.cli(
        MotionConfig,
        prog='vidseg-train motion',
        description='Train a motion network from unlabelled clips into --out DIR, by '
        'default runs/motion.',
        args=options,
    )
    print(train_motion(config, arguments.out))


def _evaluate(arguments: argparse.Namespace) -> None:
    from vidseg_training.evaluation import evaluate  # noqa: PLC0415
    from vidseg_training.scoring import Protocol  # noqa: PLC0415

    fps = arguments.fps
    if arguments.consistency and fps is None:
        fps = FOLDER_FPS
    elif fps is not None and not arguments.consistency:
        msg = '--fps is for --consistency: give that as well, or leave --fps out'
        raise ParameterError(msg)
    window = arguments.sliding_window and tuple(arguments.sliding_window)
    protocol = Protocol(scales=tuple(arguments.scales), flip=arguments.flip, window=window)
    size = arguments.input_size and tuple(arguments.input_size)
    print(evaluate(arguments.run, arguments.data, arguments.split, protocol, size, fps=fps))


def _masks(arguments: argparse.Namespace) -> None:
    from vidseg_training.masks import open_masks, write_masks  # noqa: PLC0415

    images = open_masks(arguments.dataset, arguments.data, arguments.split, arguments.fold)
    write_masks(images, arguments.out)
    folders = dict.fromkeys(str(path.parent) for path in images.image_files)
    command = ['vidseg', 'evaluate', *folders, '--labels', str(arguments.out)]
    print(f'{len(images)} masks of {images.title}; to score a model against them:')
    print(f'{shlex.join(command)} --model MODEL --out SCORES')


def _export(arguments: argparse.Namespace) -> None:
    from vidseg_training.export import export  # noqa: PLC0415

    size = arguments.input_size and tuple(arguments.input_size)
    model = export(
        arguments.run,
        arguments.out,
        arguments.data,
        precision=arguments.precision,
        input_size=size,
    )
    print(model.path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the commands that ``vidseg-train --help`` lists.

    Returns:
        0 on success, 2 after an error (printed to stderr), 130 after Ctrl-C.
    """
    logging.basicConfig(level=logging.ERROR, format='%(message)s')
    logging.getLogger('vidseg_training').setLevel(logging.INFO)
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    try:
        if arguments.command in TRAININGS:
            _train(arguments, rest)
        elif arguments.command == 'motion':
            _motion(arguments, rest)
        elif rest:
            parser.error(f'unknown arguments: {" ".join(rest)}')
        elif arguments.command == 'list':
            Console().print(recipe_table())
        elif arguments.command == 'propagate':
            for line in propagate(arguments):
                print(line)
        else:
            others = {'evaluate': _evaluate, 'export': _export, 'masks': _masks}
            others[arguments.command](arguments)
    except VidsegError as error:
        print(f'vidseg-train: {_words_of(error)}', file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt as interrupt:
        again = ', the same command goes on' if arguments.command in RESUMED else ''
        print(f'vidseg-train: {str(interrupt) or "interrupted"}{again}', file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _words_of(error: VidsegError) -> str:
    """Return the message; of one from a loading process without that process's traceback."""
    text = str(error)
    if 'Original Traceback' not in text:
        return text
    return text.strip().splitlines()[-1].partition(': ')[2]
