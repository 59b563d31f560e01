# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Arguments that several sub-commands have."""

import argparse
from collections.abc import Sequence
from pathlib import Path
import re
import sys

from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.evaluation.true_labels import describe_foreign, LabelDirectory
from vidseg_ros.inference.agreement import CHECK_FRAMES, Sample


def number(text: str) -> int:
    """Read a whole number from 1."""
    if not re.fullmatch(r'[1-9]\d*', text):
        msg = f'must be a whole number from 1, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def image_size(text: str) -> tuple[int, int]:
    """Read height x width in pixels."""
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if not match:
        msg = f'must be height x width in pixels, such as 1080x1920, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return int(match[1]), int(match[2])


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the frames to compare an artefact with its source on."""
    add = parser.add_argument
    add('--check', type=Path, metavar='SOURCE', help='bag, video or folder to compare it on')
    add('--topic', metavar='T', help='image topic of a bag that has several')
    add('--labels', type=Path, metavar='DIR', help='true labels: index PNGs named like the frames')
    add(
        '--check-frames',
        type=number,
        default=CHECK_FRAMES,
        metavar='N',
        help='how many of SOURCE (default: %(default)s)',
    )


def parse_with_check(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Parse, and refuse labels of no frames."""
    args = parser.parse_args(argv)
    if args.labels is not None and args.check is None:
        parser.error('--labels needs --check SOURCE: the frames that they belong to')
    return args


def check_samples(args: argparse.Namespace, card: ModelCard) -> list[Sample]:
    """Read the frames that the arguments name; an empty list if they name none.

    An id of the labels that has no class is said on stderr.

    Raises:
        SourceError: If they or their labels cannot be read, or the labels have other classes.
    """
    if args.check is None:
        return []
    truth = LabelDirectory(args.labels, card.labels) if args.labels else None
    order, most = card.input_order, args.check_frames
    samples = footage_samples(args.check, args.topic, order, truth, most=most)
    for note in describe_foreign(truth.foreign) if truth is not None else ():
        sys.stderr.write(f'vidseg: {note}\n')
    return samples
