# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg build-engine`: build a model's TensorRT engine before a vehicle needs it."""

import argparse
from collections.abc import Sequence
from contextlib import closing
import json
from pathlib import Path
import sys
from typing import Any, get_args

from rich.console import Console, Group
from rich.table import Table

from vidseg_ros.cli.arguments import (
    add_check_arguments,
    check_samples,
    image_size,
    number,
    parse_with_check,
)
from vidseg_ros.cli.parser import Parser
from vidseg_ros.cli.progress import phase_progress
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.tensorrt_builder import open_tensorrt
from vidseg_ros.inference.tensorrt_engine import TensorRtEngine
from vidseg_ros.inference.tensorrt_options import Precision


def main(argv: Sequence[str]) -> int:
    """Build the engine, or find it built, and print what it is and how it was checked.

    Args:
        argv: Arguments after ``vidseg build-engine``.

    Raises:
        ModelError: If there is no such model, or the new engine disagrees with it.
        ParameterError: If the model has another precision, or the settings cannot be built.
        SourceError: If the frames or labels to check it on cannot be read.
        EngineError: If TensorRT, CUDA or the GPU cannot do it.
    """
    args = _parse(argv)
    model = read_model(find_model(args.model))
    if args.precision not in (None, model.card.precision):
        msg = (
            f'{model.path} is {model.card.precision}, and an engine is as its model file; give a '
            f'model file that is {args.precision}{_how_to_make(args.precision)}'
        )
        raise ParameterError(msg)
    console = Console(stderr=True, markup=False, emoji=False)
    with phase_progress(console, 'opening TensorRT') as on_progress:
        settings = EngineSettings(
            cameras=args.frames,
            size=args.size,
            device=args.device,
            rebuild=args.rebuild,
            workspace_mib=args.workspace,
            cache=args.cache,
            samples=check_samples(args, model.card),
            on_progress=on_progress,
        )
        with closing(open_tensorrt(model.path, settings)) as engine:
            plain = _describe(engine)
    if args.json:
        sys.stdout.write(json.dumps(plain, indent=2) + '\n')
    else:
        Console(markup=False, emoji=False).print(Group(_facts(plain), _classes(plain)))
    return 0


def _how_to_make(precision: str) -> str:
    """Return the command that makes a model file of a precision, for the end of a message."""
    if precision == 'fp32':
        return ''
    calibration = ' --calibration DRIVE' if precision == 'int8' else ''
    command = f'vidseg convert FP32_MODEL --precision {precision}{calibration} --out FILE'
    return f', made by {command}'


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg build-engine',
        description='Build the TensorRT engine of a model file on this GPU, compare it with ONNX '
        'Runtime and keep it in the cache, where the node and `vidseg replay` find it.',
    )
    add = parser.add_argument
    add('model', metavar='MODEL', help='path, or name of a shipped model')
    add('--precision', choices=get_args(Precision), help='refuse a model file of another one')
    add('--frames', type=number, default=1, metavar='N', help='cameras, 1 to 8 (default: 1)')
    add('--size', type=image_size, metavar='HxW', help='of camera frames, such as 1080x1920')
    add_check_arguments(parser)
    add('--device', type=int, default=0, metavar='N', help='number of the GPU (default: 0)')
    add(
        '--workspace',
        type=number,
        default=2048,
        metavar='MIB',
        help='most memory of a layer in a new engine; --rebuild where there is one '
        '(default: %(default)s)',
    )
    add('--cache', type=Path, metavar='DIR', help='folder of engines (VIDSEG_ENGINE_CACHE)')
    add('--rebuild', action='store_true', help='build it even if there is one')
    add('--json', action='store_true', help='print JSON instead of tables')
    return parse_with_check(parser, argv)


def _describe(engine: TensorRtEngine) -> dict[str, Any]:
    assert engine.file is not None
    sidecar = json.loads(engine.file.with_suffix('.json').read_text(encoding='utf-8'))
    return {'file': str(engine.file), 'bytes': engine.file.stat().st_size, **sidecar}


def _facts(plain: dict[str, Any]) -> Table:
    key, about = plain['key'], plain['about']
    agreement = about['agreement']
    table = Table(show_header=False, title=plain['file'], title_justify='left')
    table.add_column(style='bold')
    table.add_column(overflow='fold')
    table.add_row('TensorRT', key['tensorrt'])
    table.add_row('GPU', f'{key["gpu"]}, compute capability {key["capability"]}')
    table.add_row('asked for', key['precision'])
    layers = ', '.join(f'{name} {count}' for name, count in about['real_precision'].items())
    table.add_row('real layers', layers or 'TensorRT does not say')
    shapes = [f'{count} x {height}x{width}' for count, height, width in key['shapes']]
    table.add_row('frames', ', '.join(shapes) + ' (number x height x width)')
    for shape, quicker in about['batching'].items():
        table.add_row(f'batch {shape}', 'as one' if quicker else 'one by one is quicker')
    table.add_row('CUDA graph', about['note'] or 'yes')
    table.add_row('built', f'{plain["built"]}, {about["build_s"]} s, {plain["bytes"]:,} bytes')
    table.add_row('compared on', f'{agreement["frames"]} frames, {about["checked_on"]}')
    table.add_row('same class', f'{agreement["pixels"]:.2%} of the pixels')
    if agreement['source_miou'] is not None:
        pair = f'{agreement["artefact_miou"]:.4f}, ONNX Runtime {agreement["source_miou"]:.4f}'
        table.add_row('mIoU', pair)
    return table


def _classes(plain: dict[str, Any]) -> Table:
    table = Table(title='agreement with ONNX Runtime', title_justify='left')
    table.add_column('class', style='bold')
    table.add_column('IoU', justify='right')
    for name, iou in plain['about']['agreement']['iou'].items():
        table.add_row(name, f'{iou:.4f}')
    return table
