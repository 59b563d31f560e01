# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg benchmark`: how long a model takes on an engine of this machine."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import datetime, timezone
import hashlib
import os
from pathlib import Path
import platform
from typing import Any, Final

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
from vidseg_ros.core.resources import find_model
from vidseg_ros.evaluation.benchmark import Benchmark, run_benchmark
from vidseg_ros.evaluation.results_folder import write_json
from vidseg_ros.inference.agreement import Sample, street_frames
from vidseg_ros.inference.engine import AUTO, CHOICES, create_engine, ENGINES
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.model_file import ModelFile, read_model

SCHEMA: Final = 1
"""Version of the JSON; docs/performance.md has its fields."""


def main(argv: Sequence[str]) -> int:
    """Compare, time, print a table and write the JSON.

    Args:
        argv: Arguments after ``vidseg benchmark``.

    Raises:
        ModelError: If there is no such model, or the engine disagrees with it.
        SourceError: If the frames or labels to compare on cannot be read.
        EngineError: If the engine cannot be opened or fails.
        ParameterError: If the engine does not allow the settings.
        OutputError: If the JSON cannot be written.
    """
    args = _parse(argv)
    model = read_model(find_model(args.model))
    samples = check_samples(args, model.card) or [
        Sample(image=image) for image in street_frames(model.card.input_order)
    ]
    settings = EngineSettings(cameras=args.cameras, device=args.device, samples=samples)
    size = args.size or model.card.input_size
    for kind in args.against:  # what is not there is refused before anything is measured
        create_engine(kind, model.path, replace(settings, size=size, samples=())).close()
    load = os.getloadavg()[0]
    found = [
        _measure(model.path, kind, settings, size=size, seconds=args.seconds)
        for kind in (args.engine, *args.against)
    ]
    plain = _plain(model, found, str(args.check) if args.check else 'made-up streets', load)
    Console(markup=False, emoji=False).print(Group(_facts(plain), _latencies(plain)))
    if args.json:
        write_json(args.json, plain)
    return 0


def _measure(
    model: Path, kind: str, settings: EngineSettings, *, size: tuple[int, int], seconds: float
) -> Benchmark:
    """Measure one engine; where it has to be built first, show how far it is."""
    with ExitStack() as stack:
        console = Console(stderr=True, markup=False, emoji=False)
        on_progress = stack.enter_context(phase_progress(console, f'opening {kind}'))
        settings = replace(settings, on_progress=on_progress)
        return run_benchmark(model, kind, settings, size=size, seconds=seconds, opened=stack.close)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg benchmark',
        description='Compare an engine with the model, then time it from frames to label maps. '
        'A TensorRT engine that is not in the cache is built first, which takes minutes.',
    )
    add = parser.add_argument
    add('model', metavar='MODEL', help='path, or name of a shipped model')
    add('--engine', choices=CHOICES, default=AUTO, help='default: %(default)s')
    add(
        '--against',
        nargs='+',
        choices=tuple(ENGINES),
        default=(),
        metavar='ENGINE',
        help=f'measure these as well: {", ".join(ENGINES)}',
    )
    add('--size', type=image_size, metavar='HxW', help="of camera frames (default: the model's)")
    add('--cameras', type=number, default=1, metavar='N', help='frames of one call (default: 1)')
    add('--seconds', type=_seconds, default=10.0, metavar='S', help='to time (default: 10)')
    add('--device', type=int, default=0, metavar='N', help='number of the GPU (default: 0)')
    add('--json', type=Path, metavar='FILE', help='write the figures')
    add_check_arguments(parser)
    return parse_with_check(parser, argv)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float('inf'):
        msg = f'must be seconds above 0, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return value


def _plain(
    model: ModelFile, found: Sequence[Benchmark], frames: str, load: float
) -> dict[str, Any]:
    """Return everything for JSON: the first engine, and in ``against`` the others."""
    plain, *others = [asdict(item) for item in found]
    engine, cameras, size = plain.pop('engine'), plain.pop('cameras'), plain.pop('size')
    for other in others:
        del other['cameras'], other['size'], other['host_peak_bytes']  # the whole process's
    return {
        'schema': SCHEMA,
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'machine': {
            'platform': platform.platform(),
            'cpus': os.cpu_count(),
            'load_average_before': load,
        },
        'model': {
            'name': model.card.name,
            'sha256': hashlib.sha256(model.path.read_bytes()).hexdigest(),
            'precision': model.card.precision,
            'input_size': list(model.card.input_size),
        },
        'engine': engine,
        'frames': {'source': frames, 'cameras': cameras, 'size': list(size)},
        **plain,
        'against': others,
    }


def _facts(plain: dict[str, Any]) -> Table:
    engine, frames, agreement = plain['engine'], plain['frames'], plain['agreement']
    table = Table(show_header=False, title=plain['model']['name'], title_justify='left')
    table.add_column(style='bold')
    table.add_column(overflow='fold')
    table.add_row('engine', f'{engine["name"]} {engine["version"]}, {engine["device"]}')
    table.add_row('precision', engine['precision'])
    if engine['note']:
        table.add_row('note', engine['note'])
    height, width = frames['size']
    table.add_row('one call', f'{frames["cameras"]} x {height}x{width}, {frames["source"]}')
    same = f'{agreement["pixels"]:.2%} of the pixels of {agreement["frames"]} frames'
    table.add_row('as ONNX Runtime', same)
    load, cpus = plain['machine']['load_average_before'], plain['machine']['cpus']
    table.add_row('load before', f'{load:.1f} on {cpus} CPUs; beside other work times mean little')
    table.add_row('frames per second', f'{plain["frames_per_second"]:.1f}')
    table.add_row(
        'peak memory', f'{plain["host_peak_bytes"] / 2**20:.0f} MiB, with the comparison'
    )
    if plain['gpu_used_bytes'] is not None:
        used = f'{plain["gpu_used_bytes"] / 2**20:.0f} MiB, of all processes'
        table.add_row('GPU memory', used)
    if plain['power_w'] is not None:
        table.add_row('GPU power', f'{plain["power_w"]:.0f} W')
    return table


def _latencies(plain: dict[str, Any]) -> Table:
    table = Table(title='time of one call, ms', title_justify='left')
    table.add_column('', style='bold')
    for name in ('p50', 'p95', 'p99', 'max', 'calls'):
        table.add_column(name, justify='right')
    rows = {
        'frames to label maps': plain['latency'],
        **{f'the same, {other["engine"]["name"]}': other['latency'] for other in plain['against']},
        'from pinned frames': plain['pinned_latency'],
        **{name.replace('_', ' '): item for name, item in (plain['stages'] or {}).items()},
        'compute, no CUDA graph': (plain['enqueued_stages'] or {}).get('compute'),
    }
    for name, item in rows.items():
        if item is not None:
            numbers = [f'{item[f"{column}_ms"]:.2f}' for column in ('p50', 'p95', 'p99', 'max')]
            table.add_row(name, *numbers, str(item['count']))
    return table
