# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
r"""Is a model file of lower precision quicker on this CPU? Equal labels first, then the times.

Usage::

    python bench/precision.py camvid_fp16.onnx camvid_int8.onnx --check DATA/camvid/test \
        --labels DATA/camvid/testannot

The files and the one they were made of take turns, frame by frame, so that other work on the
machine slows all of them; what counts is the ratio of their medians.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray
from report import finish, surroundings, Target

from vidseg_ros.cli.arguments import (
    add_check_arguments,
    check_samples,
    image_size,
    number,
    parse_with_check,
)
from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.cpu import has_vnni
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.core.timing import summarize
from vidseg_ros.inference.agreement import compare, require, Sample, street_frames, TOLERANCES
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

WARM_UP: Final = 3
"""Rounds before those that are timed."""

QUICKER: Final = 1.3
"""Least median of fp32 in medians of int8, at network size."""

SIZES: Final = [(480, 640), (720, 1280), (1080, 1920)]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, time and write; return 1 if int8 is not quick enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add = parser.add_argument
    add('files', nargs='+', type=Path, metavar='FILE', help='model files of lower precision')
    add('--model', default=DEFAULT_MODEL, help='that they were made of; default: %(default)s')
    add('--sizes', nargs='+', type=image_size, default=SIZES, metavar='HxW', help='of the frames')
    add('--rounds', type=number, default=20, metavar='N', help='default: %(default)s')
    add('--out', type=Path, help='JSON file for the result')
    add_check_arguments(parser)
    args = parse_with_check(parser, argv)
    result = surroundings('numpy', 'onnxruntime') | {'vnni': has_vnni()}
    with ExitStack() as stack:
        source = OnnxRuntimeEngine(find_model(args.model))
        engines = {'fp32': source}
        for path in args.files:
            if path.stem in engines:
                msg = f'{path}: there is a file {path.stem} already; rename one of them'
                raise ParameterError(msg)
            engines[path.stem] = OnnxRuntimeEngine(path)
        for engine in engines.values():
            stack.callback(engine.close)
        samples = check_samples(args, source.card) or [
            Sample(image=image) for image in street_frames(source.card.input_order)
        ]
        agreement = {}
        for name, engine in engines.items():
            if engine is not source:
                found = compare(engine, source, samples)
                require(found, TOLERANCES[engine.card.precision], name)
                agreement[name] = asdict(found)
        images = [sample.image for sample in samples]
        times = {
            size: alternate(engines, [resize_image(image, size) for image in images], args.rounds)
            for size in args.sizes
        }
        network = source.card.input_size
        precisions = {name: engine.card.precision for name, engine in engines.items()}
    runs = [
        {
            'size': list(size),
            'file': name,
            'precision': precisions[name],
            **summarize(values).to_dict(),
        }
        for size, by_name in times.items()
        for name, values in by_name.items()
    ]
    result |= {'model': source.card.name, 'agreement': agreement, 'runs': runs}
    return finish(
        result, judge(times.get(network, {}), precisions), name='precision', out=args.out
    )


def alternate(
    engines: Mapping[str, OnnxRuntimeEngine], images: Sequence[NDArray[np.uint8]], rounds: int
) -> dict[str, list[int]]:
    """Return the times of each engine, ns; all get the same frame before the next one comes."""
    times: dict[str, list[int]] = {name: [] for name in engines}
    for index in range(WARM_UP + rounds):
        image = images[index % len(images)]
        for name, engine in engines.items():
            start = time.perf_counter_ns()
            engine.infer([image])
            if index >= WARM_UP:
                times[name].append(time.perf_counter_ns() - start)
    return times


def judge(times: Mapping[str, Sequence[int]], precisions: Mapping[str, str]) -> list[Target]:
    """Return what int8 files have to reach at network size; nothing if that was not measured."""
    return [
        Target(
            what=f'median of fp32 in medians of {name}, frames of network size',
            value=float(np.median(times['fp32']) / np.median(values)),
            limit=QUICKER,
            higher_is_better=True,
        )
        for name, values in times.items()
        if precisions[name] == 'int8'
    ]


if __name__ == '__main__':
    raise SystemExit(main())
