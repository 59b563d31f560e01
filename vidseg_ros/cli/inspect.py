# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg inspect`: what a model file says about itself."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
import hashlib
import json
import sys

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.model_file import ModelFile, read_model, TensorInfo


def main(argv: Sequence[str]) -> int:
    """Check a model file against the contract and print its card and its graph's outside.

    Args:
        argv: Arguments after ``vidseg inspect``.

    Raises:
        ModelError: If there is no such file, or it breaks the model contract.
    """
    args = _parser().parse_args(argv)
    model = read_model(find_model(args.model))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='vidseg inspect',
        description='Check a model file against the contract and print what it says about itself.',
    )
    parser.add_argument('model', metavar='MODEL', help='path, or name of a shipped model')
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    return parser


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
    table.add_row('inputs', '\n'.join(map(_describe, model.inputs)))
    table.add_row('outputs', '\n'.join(map(_describe, model.outputs)))
    table.add_row('opset', str(model.opset))
    table.add_row('file', f'{size:,} bytes')
    table.add_row('SHA-256', digest)
    table.add_row('licence', card.licence)
    table.add_row('recipe', card.recipe)
    return table


def _describe(tensor: TensorInfo) -> str:
    return f'{tensor.name}: {tensor.dtype} ({", ".join(tensor.shape)})'


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
    for score in card.scores:
        table.add_row(score.metric, f'{score.value:.4g}', score.protocol)
    if not card.scores:
        table.add_row('none')
    return table
