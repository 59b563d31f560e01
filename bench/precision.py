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
from typing import Any, Final

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
    result = surroundings('numpy', 'onnxruntime')
    with ExitStack() as stack:
        source = OnnxRuntimeEngine(find_model(args.model))
        engines = {'fp32': source}
        for path in args.files:
            engine = OnnxRuntimeEngine(path)
            engines[engine.card.precision] = engine
        for engine in engines.values():
            stack.callback(engine.close)
        samples = check_samples(args, source.card) or [
            Sample(image=image) for image in street_frames(source.card.input_order)
        ]
        agreement = {}
        for name, engine in engines.items():
            if engine is not source:
                found = compare(engine, source, samples)
                require(found, TOLERANCES[name], name)
                agreement[name] = asdict(found)
        images = [sample.image for sample in samples]
        times = {
            size: alternate(engines, [_at_size(image, size) for image in images], args.rounds)
            for size in args.sizes
        }
        network = source.card.input_size
    runs = [
        {'size': list(size), 'precision': name, **summarize(values).to_dict()}
        for size, by_name in times.items()
        for name, values in by_name.items()
    ]
    result |= {'model': source.card.name, 'agreement': agreement, 'runs': runs}
    return finish(result, judge(times.get(network, {})), name='precision', out=args.out)


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


def judge(times: Mapping[str, Sequence[int]]) -> list[Target]:
    """Return what int8 has to reach at network size; nothing where that was not measured."""
    if 'int8' not in times:
        return []
    ratio = float(np.median(times['fp32']) / np.median(times['int8']))
    what = 'median of fp32 in medians of int8, frames of network size'
    return [Target(what=what, value=ratio, limit=QUICKER, higher_is_better=True)]


def _at_size(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[Any]:
    target = np.empty((*size, 3), np.uint8)
    resize_image(image, size, target)
    return target


if __name__ == '__main__':
    raise SystemExit(main())
