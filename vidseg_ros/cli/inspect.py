# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg inspect`: what a model file says about itself; and `--wrap`, which makes one."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
import hashlib
from importlib import import_module
import json
from pathlib import Path
import sys
from typing import get_args

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vidseg_ros.cli.add_scores import add_scores
from vidseg_ros.cli.parser import Parser
from vidseg_ros.core.class_list import LABEL_SETS
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ColorOrder, ModelCard
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.model_builder import Gives
from vidseg_ros.inference.model_file import ModelFile, read_model
from vidseg_ros.inference.wrap_settings import Layout


def main(argv: Sequence[str]) -> int:
    """Check a model file against the contract and print its card and its graph's outside.

    Args:
        argv: Arguments after ``vidseg inspect``.

    Raises:
        ModelError: If there is no such file, it breaks the model contract, or it cannot be made.
        ParameterError: If a setting of ``--wrap`` is missing or wrong.
        SourceError: If the footage for ``--wrap`` cannot be read, or results for
            ``--add-scores`` are not of the file.
        EngineError: If the network to wrap cannot run.
        OutputError: If the new file cannot be written.
    """
    args = _parse(argv)
    if args.wrap:
        # Only now: it loads the engine and what reads footage.
        import_module('vidseg_ros.cli.wrap').wrap(args)
    path = args.out if args.wrap else find_model(args.model)
    if args.add_scores:
        add_scores(path, args.add_scores, args.note or '')
    model = read_model(path)
    data = model.path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if args.json:
        plain = {
            'file': {'path': str(model.path), 'bytes': len(data), 'sha256': digest},
            'inputs': [asdict(tensor) for tensor in model.inputs],
            'outputs': [asdict(tensor) for tensor in model.outputs],
            'parameters': model.parameters,
            'opset': model.opset,
            'card': json.loads(model.card.to_json()),
        }
        sys.stdout.write(json.dumps(plain, indent=2) + '\n')
        return 0
    card = model.card
    Console(markup=False, emoji=False).print(
        Group(
            _facts(model, len(data), digest), _labels(card.labels), _sources(card), _scores(card)
        )
    )
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg inspect',
        description='Check a model file against the contract and print what it says about itself. '
        'With --wrap first make it of a network that was not exported for vidseg.',
    )
    parser.add_argument(
        'model', metavar='MODEL', nargs='?', help='path, or name of a shipped model'
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    parser.add_argument(
        '--add-scores',
        nargs='+',
        type=Path,
        metavar='RESULTS',
        help='write TC, VC and flips of vidseg evaluate (its results.json) into the card of the '
        'file',
    )
    parser.add_argument(
        '--note',
        metavar='TEXT',
        help='what a reader should know of them, as "labels of these frames were learned"',
    )
    wrapping = parser.add_argument_group('make a model file of another ONNX network')
    add = wrapping.add_argument
    wrap_only = [
        add('--out', type=Path, metavar='FILE', help='the model file to write'),
        add('--frames', type=Path, metavar='SOURCE', help='bag, video or folder to check it on'),
        add('--topic', metavar='T', help='image topic of a bag that has several'),
        add('--settings', type=Path, metavar='YAML', help='the settings below in a file'),
        *_add_settings(wrapping),
    ]
    add('--wrap', type=Path, metavar='ONNX', help='float images in; logits or class ids out')
    args = parser.parse_args(argv)
    if (args.model is None) == (args.wrap is None):
        parser.error('give either MODEL or --wrap ONNX --out FILE')
    if args.note and not args.add_scores:
        parser.error('--note needs --add-scores')
    for option in wrap_only:
        if args.wrap is None and getattr(args, option.dest) is not None:
            parser.error(f'{option.option_strings[0]} needs --wrap')
    return args


def _add_settings(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    """Add one option for each field of `WrapSettings`; what is not given is None."""
    add = partial(group.add_argument, default=None)
    three = partial(add, nargs=3, type=float, metavar='X')
    return [
        add('--classes', choices=LABEL_SETS, help='class names; a list of your own: in YAML'),
        three('--mean', help='input is (pixel * scale - mean) / std'),
        three('--std', help='one number for each channel'),
        add('--scale', type=float, help='default: 1/255'),
        add('--order', choices=get_args(ColorOrder), help='of the input (default: rgb8)'),
        add('--size', nargs=2, type=int, metavar=('H', 'W'), help='where the file leaves it free'),
        add('--layout', choices=get_args(Layout), help='of the input (default: as it looks)'),
        add('--output', metavar='NAME', help='which one, where the network has several'),
        add('--gives', choices=get_args(Gives), help='what that is (default: as it looks)'),
        add('--no-confidence', dest='confidence', action='store_false', help='leave it out'),
        add('--name', help='of the model (default: as the file)'),
        add('--network', help='name of the architecture (default: as the original file)'),
        add('--licence', help='what the data allow users of the weights'),
    ]


def _facts(model: ModelFile, size: int, digest: str) -> Table:
    card = model.card
    height, width = card.input_size
    table = Table(show_header=False, title=str(model.path), title_justify='left')
    table.add_column(style='bold')
    table.add_column(overflow='fold')
    table.add_row('name', card.name)
    table.add_row('network', f'{card.network}, {card.precision}')
    table.add_row('works at', f'{width}x{height} (width x height), {card.input_order}')
    table.add_row('parameters', f'{model.parameters:,}')
    table.add_row('inputs', '\n'.join(map(str, model.inputs)))
    table.add_row('outputs', '\n'.join(map(str, model.outputs)))
    table.add_row('opset', str(model.opset))
    table.add_row('file', f'{size:,} bytes')
    table.add_row('SHA-256', digest)
    table.add_row('licence', card.licence)
    table.add_row('recipe', card.recipe)
    return table


def _labels(labels: LabelSet) -> Table:
    table = Table(title='labels', title_justify='left')
    table.add_column('id', justify='right')
    table.add_column('class', style='bold')
    table.add_column('colour')
    for index, (name, (red, green, blue)) in enumerate(
        zip(labels.names, labels.colors, strict=True)
    ):
        swatch = Text('    ', style=f'on rgb({red},{green},{blue})')
        table.add_row(
            str(index), name, swatch.append(f' {red} {green} {blue}', style='default on default')
        )
    return table


def _sources(card: ModelCard) -> Table:
    table = Table(title='made from', title_justify='left')
    for header in ('name', 'licence', 'use'):
        table.add_column(header, overflow='fold')
    for source in card.datasets:
        table.add_row(source.name, source.licence, source.use)
    if not card.datasets:
        table.add_row('not stated')
    return table


def _scores(card: ModelCard) -> Table:
    table = Table(title='scores', title_justify='left')
    table.add_column('metric', style='bold')
    table.add_column('value', justify='right')
    table.add_column('protocol', overflow='fold')
    noted = any(score.note for score in card.scores)
    if noted:
        table.add_column('note', overflow='fold')
    for score in card.scores:
        note = [score.note] if noted else []
        table.add_row(score.metric, f'{score.value:.4g}', score.protocol, *note)
    if not card.scores:
        table.add_row('none')
    return table
