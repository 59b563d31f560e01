# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg inspect --wrap`: a model file of a network that was trained elsewhere."""

import argparse
from dataclasses import fields

from rich.console import Console

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.evaluation.wrapping import wrap_model
from vidseg_ros.inference.agreement import street_frames
from vidseg_ros.inference.foreign_model import load_foreign
from vidseg_ros.inference.wrap_settings import load_settings, REQUIRED, WrapSettings


def wrap(args: argparse.Namespace) -> None:
    """Write the model file and say on stderr how it was checked.

    Args:
        args: Of `vidseg inspect`.

    Raises:
        ModelError: If the network does not fit the contract or the settings.
        ParameterError: If a setting is missing or wrong.
        SourceError: If the footage cannot be read.
        EngineError: If the network cannot run.
        OutputError: If the file cannot be written.
    """
    load_foreign(args.wrap)  # what is wrong with the file comes before questions about it
    if args.out is None:
        flags = ', '.join(f'--{name}' for name in REQUIRED)
        msg = (
            '--wrap needs --out FILE, and what the network was trained with: '
            f'{flags}, or --settings YAML'
        )
        raise ParameterError(msg)
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    names = [field.name for field in fields(WrapSettings)]
    settings = load_settings(args.settings, {name: getattr(args, name) for name in names})
    if args.frames:
        footage = str(args.frames)
        samples = footage_samples(args.frames, args.topic, settings.order)
        frames = [sample.image for sample in samples]
    else:
        footage = 'made-up streets (for real ones: --frames)'
        frames = street_frames(settings.order)
    agreement = wrap_model(args.wrap, args.out, settings, frames)
    console.print(
        f'{args.out} agrees with {args.wrap} on {agreement.pixels:.2%} of the pixels, '
        f'mIoU {agreement.miou:.4f}, over {len(frames)} frames of {footage}'
    )
    seen, classes = len(agreement.classes), len(settings.classes)
    console.print(f'{seen} of {classes} classes were seen: {", ".join(agreement.classes)}')
    if seen == 1:
        console.print(
            'A single class proves little: check mean, std, scale and order, and the frames'
        )
