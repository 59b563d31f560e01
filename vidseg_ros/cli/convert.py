# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg convert`: a model file of lower precision, compared with the one it is made of."""

import argparse
from collections.abc import Sequence
from pathlib import Path
import platform
from typing import Final, get_args

from rich.console import Console

from vidseg_ros.cli.arguments import add_check_arguments, check_samples, number, parse_with_check
from vidseg_ros.cli.parser import Parser
from vidseg_ros.cli.progress import phase_progress
from vidseg_ros.core.cpu import has_vnni
from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.core.resources import find_model
from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.inference.agreement import Agreement, Sample, street_frames
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.precision import convert_to_fp16
from vidseg_ros.inference.quantization import convert_to_int8, Target

CALIBRATION_FRAMES: Final = 16
"""Frames from which the ranges of int8 are taken, where nobody says how many."""


def main(argv: Sequence[str]) -> int:
    """Write the file and say on stderr how it was checked.

    Args:
        argv: Arguments after ``vidseg convert``.

    Raises:
        ModelError: If there is no such model, it is not fp32, it has nothing that can become
            int8, or the new file disagrees with it.
        SourceError: If the frames or labels to calibrate or check it on cannot be read.
        EngineError: If ONNX Runtime cannot run one of the two.
        OutputError: If the file cannot be written.
    """
    args = _parse(argv)
    source = find_model(args.model)
    card = read_model(source).card
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    make = _to_int8 if args.precision == 'int8' else _to_fp16
    agreement, note = make(args, source, card, console)
    console.print(
        f'{args.out}: {args.out.stat().st_size:,} bytes, {args.precision}; {source} has '
        f'{source.stat().st_size:,}'
    )
    if note:
        console.print(note)
    console.print(f'the two agree on {agreement}; frames of {_footage(args)}')
    return 0


def _to_fp16(
    args: argparse.Namespace, source: Path, card: ModelCard, _console: Console
) -> tuple[Agreement, str]:
    samples = check_samples(args, card) or [
        Sample(image=image) for image in street_frames(card.input_order)
    ]
    return convert_to_fp16(source, args.out, samples), ''


def _to_int8(
    args: argparse.Namespace, source: Path, card: ModelCard, console: Console
) -> tuple[Agreement, str]:
    checked = check_samples(args, card)
    # Without --check the second half of the calibration is kept for the comparison.
    wanted = args.calibration_frames or CALIBRATION_FRAMES
    count = wanted if checked else 2 * wanted
    calibration = footage_samples(args.calibration, args.topic, card.input_order, most=count)
    if not checked:
        half = (len(calibration) + 1) // 2
        checked, calibration = calibration[half:], calibration[:half]
    if not checked:
        msg = f'{args.calibration} has one frame only; name others to compare on with --check'
        raise SourceError(msg)
    engine: Target = args.engine or 'tensorrt'
    with phase_progress(console, 'reading the model') as on_progress:
        result = convert_to_int8(
            source,
            args.out,
            [sample.image for sample in calibration],
            checked,
            engine=engine,
            origin=str(args.calibration),
            on_progress=on_progress,
        )
    note = (
        f'{result.layers - len(result.floating)} of {result.layers} layers are int8, by '
        f'{len(calibration)} frames of {args.calibration}, for {engine}'
    )
    if engine == 'onnxruntime' and platform.machine() == 'x86_64' and not has_vnni():
        note += (
            '\nthis CPU has no VNNI: sums saturate, so labels may differ from those on a CPU that '
            'has it; check the file on the CPU of the vehicle'
        )
    return result.agreement, note


def _footage(args: argparse.Namespace) -> str:
    if args.check:
        return str(args.check)
    if args.calibration:
        return f'{args.calibration} that were not calibrated on'
    return 'made-up streets (for real ones: --check)'


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg convert',
        description='Write a model file of lower precision; it is compared with its source first. '
        'fp16 is for an engine on a GPU; int8 is for one on a GPU or, with --engine onnxruntime, '
        'on a CPU with VNNI.',
    )
    add = parser.add_argument
    add('model', metavar='MODEL', help='path, or name of a shipped model; fp32')
    add('--precision', choices=('fp16', 'int8'), required=True, help='of the new file')
    add('--out', type=Path, required=True, metavar='FILE', help='model file to write')
    add(
        '--calibration',
        type=Path,
        metavar='SOURCE',
        help='for int8: bag, video or folder of images like those that it will see',
    )
    add(
        '--calibration-frames',
        type=number,
        metavar='N',
        help=f'how many of them (default: {CALIBRATION_FRAMES})',
    )
    add(
        '--engine',
        choices=get_args(Target),
        help='for int8: what shall run it (default: tensorrt)',
    )
    add_check_arguments(parser)
    args = parse_with_check(parser, argv)
    if (args.precision == 'int8') != (args.calibration is not None):
        parser.error('--precision int8 needs --calibration SOURCE: real frames; fp16 needs none')
    if args.precision == 'fp16' and (args.engine or args.calibration_frames):
        parser.error('--engine and --calibration-frames are for --precision int8')
    if args.check and args.calibration and args.check.resolve() == args.calibration.resolve():
        parser.error(
            '--check and --calibration are the same footage; name other frames, or leave out '
            '--check: half of the frames are then kept for it'
        )
    return args
