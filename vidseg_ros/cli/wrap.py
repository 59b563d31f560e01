# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg inspect --wrap`: a model file of a network that was trained elsewhere."""

import argparse
from dataclasses import fields

from rich.console import Console

from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.evaluation.wrapping import wrap_model
from vidseg_ros.inference.agreement import street_frames
from vidseg_ros.inference.wrap_settings import load_settings, WrapSettings


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
