# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
r"""Does TensorRT on this GPU agree with the model, and what do one and six cameras take?

Usage::

    python bench/tensorrt_gpu.py --check DATA/camvid/test --labels DATA/camvid/testannot \
        --calibration DATA/camvid/train --size 1200x1920

A model in fp32, and converted to fp16 and, with ``--calibration``, to int8: each is built for one
camera and for several, compared with ONNX Runtime on the same frames, then timed as `vidseg
benchmark` does. The engines stay in the cache.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from report import finish, surroundings, Target

from vidseg_ros.cli.arguments import (
    add_check_arguments,
    check_samples,
    image_size,
    number,
    parse_with_check,
)
from vidseg_ros.cli.convert import CALIBRATION_FRAMES
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.core.timing import LatencySummary
from vidseg_ros.evaluation.benchmark import Benchmark, run_benchmark
from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.inference.agreement import Sample, street_frames
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.precision import convert_to_fp16
from vidseg_ros.inference.quantization import convert_to_int8

COPIES: Final = 1.3
"""What end to end may take of the copies, besides the computation."""
ALLOWANCE_MS: Final = 0.2
"""What it may take besides both."""
SPREAD: Final = 1.5
"""Most p99 of a call from pinned frames, in medians."""
BATCH_COST: Final = 3.0
"""Most computation of a batch of the cameras, in those of one."""

Runs = dict[str, dict[str, Benchmark]]
"""By precision, then 'one' and 'all' cameras."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build, compare and time; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add = parser.add_argument
    add('--model', default=DEFAULT_MODEL, help='in fp32; default: %(default)s')
    add('--size', type=image_size, default=(1200, 1920), metavar='HxW', help='default: 1200x1920')
    add('--cameras', type=number, default=6, metavar='N', help='default: %(default)s')
    add('--seconds', type=float, default=10.0, help='for each run; default: %(default)s')
    add('--out', type=Path, help='JSON file for the result')
    add('--calibration', type=Path, metavar='SOURCE', help='real frames: measures int8 as well')
    add_check_arguments(parser)
    args = parse_with_check(parser, argv)
    result = surroundings('numpy', 'onnxruntime', 'tensorrt', 'cuda-python', 'nvidia-ml-py')
    runs = measure(args)
    plain = {precision: {k: asdict(v) for k, v in run.items()} for precision, run in runs.items()}
    return finish({**result, 'runs': plain}, judge(runs), name='tensorrt_gpu', out=args.out)


def measure(args: argparse.Namespace) -> Runs:
    """Run the benchmark of each precision with one and with all cameras."""
    source = find_model(args.model)
    card = read_model(source).card
    samples = check_samples(args, card) or [
        Sample(image=image) for image in street_frames(card.input_order)
    ]
    with TemporaryDirectory() as folder:
        models = {'fp32': source, 'fp16': Path(folder) / f'{source.stem}_fp16.onnx'}
        convert_to_fp16(source, models['fp16'], samples)
        if args.calibration:
            models['int8'] = Path(folder) / f'{source.stem}_int8.onnx'
            frames = footage_samples(
                args.calibration, args.topic, card.input_order, most=CALIBRATION_FRAMES
            )
            convert_to_int8(source, models['int8'], [item.image for item in frames], samples)
        return {
            precision: {
                name: run_benchmark(
                    model,
                    'tensorrt',
                    EngineSettings(cameras=cameras, samples=samples),
                    size=args.size,
                    seconds=args.seconds,
                )
                for name, cameras in (('one', 1), ('all', args.cameras))
            }
            for precision, model in models.items()
        }


def judge(runs: Runs) -> list[Target]:
    """Return what the times have to reach, for each precision."""
    targets = []
    for precision, run in runs.items():
        one, several = run['one'], run['all']
        pinned = one.pinned_latency
        assert pinned is not None
        assert one.stages is not None
        assert several.stages is not None
        copies = _median(one.stages['copy_in']) + _median(one.stages['copy_out'])
        compute = _median(one.stages['compute'])
        allowed = compute + COPIES * copies + ALLOWANCE_MS
        for what, value, limit in (
            ('from pinned frames, ms', _median(pinned), allowed),
            ('its p99 by its median', (pinned.p99_ms or 0) / _median(pinned), SPREAD),
            (
                f'compute of {several.cameras} cameras by that of one',
                _median(several.stages['compute']) / compute,
                BATCH_COST,
            ),
        ):
            targets.append(
                Target(
                    what=f'{precision}: {what}', value=value, limit=limit, higher_is_better=False
                )
            )
    return targets


def _median(latency: LatencySummary) -> float:
    assert latency.p50_ms is not None
    return latency.p50_ms


if __name__ == '__main__':
    raise SystemExit(main())
