# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg convert`: a model file of lower precision, compared with the one it is made of."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vidseg_ros.cli.arguments import add_check_arguments, check_samples, parse_with_check
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.agreement import Sample, street_frames
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.precision import convert_to_fp16


def main(argv: Sequence[str]) -> int:
    """Write the file and say on stderr how it was checked.

    Args:
        argv: Arguments after ``vidseg convert``.

    Raises:
        ModelError: If there is no such model, it is not fp32, or the new file disagrees with it.
        SourceError: If the frames or labels to check it on cannot be read.
        EngineError: If ONNX Runtime cannot run one of the two.
        OutputError: If the file cannot be written.
    """
    args = _parse(argv)
    source = find_model(args.model)
    card = read_model(source).card
    footage = str(args.check) if args.check else 'made-up streets (for real ones: --check)'
    samples = check_samples(args, card) or [
        Sample(image=image) for image in street_frames(card.input_order)
    ]
    agreement = convert_to_fp16(source, args.out, samples)
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.print(
        f'{args.out}: {args.out.stat().st_size:,} bytes, {args.precision}; {source} has '
        f'{source.stat().st_size:,}'
    )
    console.print(f'the two agree on {agreement}; frames of {footage}')
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='vidseg convert',
        description='Write a model file in half precision, for an engine on a GPU; it is compared '
        'with its source first. A CPU is no quicker with it.',
    )
    add = parser.add_argument
    add('model', metavar='MODEL', help='path, or name of a shipped model; fp32')
    add('--precision', choices=('fp16',), required=True, help='of the new file')
    add('--out', type=Path, required=True, metavar='FILE', help='model file to write')
    add_check_arguments(parser)
    return parse_with_check(parser, argv)
