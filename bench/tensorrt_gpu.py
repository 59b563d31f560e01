# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
r"""Does TensorRT on this GPU agree with the model, and what do one and six cameras take?

Usage::

    python bench/tensorrt_gpu.py --check DATA/camvid/test --labels DATA/camvid/testannot \
        --calibration DATA/camvid/train --size 1200x1920

A model in fp32, and converted to fp16 and, with ``--calibration``, to int8: each is built for
several cameras, which serves one as well, compared with ONNX Runtime on the same frames, then
timed with all cameras and with one as `vidseg benchmark` does. The engines stay in the cache. The
result is written after every run, and what fails does not keep the rest from running. With
``--network-size 544x960`` the network computes at that size, as those of peers do; only networks
that are convolutions throughout can.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper
from report import checksum, finish, surroundings, Target, write_result

from vidseg_ros.cli.arguments import (
    add_check_arguments,
    check_samples,
    image_size,
    number,
    parse_with_check,
)
from vidseg_ros.cli.convert import CALIBRATION_FRAMES
from vidseg_ros.core.errors import EngineError, ParameterError
from vidseg_ros.core.model_card import METADATA_KEY
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.core.timing import LatencySummary
from vidseg_ros.evaluation.benchmark import Benchmark, run_benchmark
from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.inference.agreement import Sample, street_frames
from vidseg_ros.inference.conversion import is_network
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.model_file import read_model, replaced_when_whole
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.precision import convert_to_fp16
from vidseg_ros.inference.quantization import convert_to_int8
from vidseg_ros.inference.tensorrt_api import load_tensorrt

COPIES: Final = 1.3
"""What end to end may take of the copies, besides the computation."""
ALLOWANCE_MS: Final = 0.2
"""What it may take besides both."""
SPREAD: Final = 1.5
"""Most p99 of a call from pinned frames, in medians."""
BATCH_COST: Final = 3.0
"""Most computation of a batch of the cameras, in those of one."""

MIOU_LOSS: Final = 1.0
"""How much lower the mIoU of int8 may be than that of fp32, points of a hundred."""

PRECISIONS: Final = ('fp32', 'fp16', 'int8')
ANY_SIZE: Final = {'Add', 'Concat', 'Conv', 'ConvTranspose', 'MaxPool', 'Relu'}
"""Operators of a network that do not know its size."""
NETWORK_SIZE: Final = 'vidseg.network_size'
"""Constant of the model file that the frames are resized to."""

Runs = dict[str, dict[str, Benchmark]]
"""By precision, then 'all' and 'one' cameras."""
Errors = dict[str, dict[str, str]]
"""What failed, in the same way."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build, compare and time; return 1 if a run fails or a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add = parser.add_argument
    add('--model', default=DEFAULT_MODEL, help='in fp32; default: %(default)s')
    add('--size', type=image_size, default=(1200, 1920), metavar='HxW', help='default: 1200x1920')
    add('--cameras', type=number, default=6, metavar='N', help='default: %(default)s')
    add('--seconds', type=float, default=10.0, help='for each run; default: %(default)s')
    add('--out', type=Path, help='JSON file for the result')
    add('--calibration', type=Path, metavar='SOURCE', help='real frames: measures int8 as well')
    add(
        '--precisions', nargs='+', choices=PRECISIONS, help='in this order; default: all there are'
    )
    add('--network-size', type=image_size, metavar='HxW', help="default: the model's own")
    add('--files', type=Path, metavar='DIR', help='converted models are kept and found there')
    add_check_arguments(parser)
    args = parse_with_check(parser, argv)
    if 'int8' in (args.precisions or ()) and not args.calibration:
        parser.error('int8 needs --calibration')
    result = surroundings('numpy', 'onnxruntime', 'cuda-python', 'nvidia-ml-py')
    result['versions']['tensorrt'] = _tensorrt_version()
    result['network_size'] = args.network_size
    runs, errors = Runs(), Errors()
    for precision, name, found in measure(args):
        if isinstance(found, Benchmark):
            runs.setdefault(precision, {})[name] = found
        else:
            print(f'{precision}, {name}: {found}')
            errors.setdefault(precision, {})[name] = f'{type(found).__name__}: {found}'
        plain = {kind: {k: asdict(v) for k, v in run.items()} for kind, run in runs.items()}
        result |= {'runs': plain, 'errors': errors}
        write_result(result, judge(runs), name='tensorrt_gpu', out=args.out)
    status = finish(result, judge(runs), name='tensorrt_gpu', out=args.out)
    return 1 if errors else status


def measure(args: argparse.Namespace) -> Iterator[tuple[str, str, Benchmark | Exception]]:
    """Run the benchmark of each precision with all cameras and with one.

    The engine for all of them has what one needs, so it is built once.

    Yields:
        Precision, what was run, and what was found; what failed does not keep the rest from
        running.
    """
    source = find_model(args.model)
    card = read_model(source).card
    samples = check_samples(args, card) or [
        Sample(image=image) for image in street_frames(card.input_order)
    ]
    with TemporaryDirectory() as temporary:
        folder = args.files or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if args.network_size:
            source = resize_network(source, args.network_size, folder)
        possible = PRECISIONS if args.calibration else PRECISIONS[:2]
        for precision in dict.fromkeys(args.precisions or possible):
            try:
                model = convert(source, precision, folder, args, samples)
            except Exception as error:  # noqa: BLE001  # whatever it is, the others shall run
                yield precision, 'conversion', error
                continue
            for name, cameras in (('all', args.cameras), ('one', 1)):
                settings = EngineSettings(cameras=cameras, samples=samples)
                try:
                    found = run_benchmark(
                        model, 'tensorrt', settings, size=args.size, seconds=args.seconds
                    )
                except Exception as error:  # noqa: BLE001
                    yield precision, name, error
                else:
                    yield precision, name, found


def convert(
    source: Path,
    precision: str,
    folder: Path,
    args: argparse.Namespace,
    samples: Sequence[Sample],
) -> Path:
    """Return a model file of a precision; fp32 is the source itself.

    One in the folder that was made of the same file on the same footage is not made again.
    """
    if precision == 'fp32':
        return source
    footage = args.calibration if precision == 'int8' else ''
    made_of = hashlib.sha256(
        f'{checksum(source)} {footage} {args.check} {args.topic} {args.check_frames}'.encode()
    )
    target = folder / f'{source.stem}_{precision}_{made_of.hexdigest()[:8]}.onnx'
    if target.is_file():
        return target
    if precision == 'fp16':
        convert_to_fp16(source, target, samples)
        return target
    order = read_model(source).card.input_order
    frames = footage_samples(args.calibration, args.topic, order, most=CALIBRATION_FRAMES)
    convert_to_int8(source, target, [item.image for item in frames], samples)
    return target


def resize_network(source: Path, size: tuple[int, int], folder: Path) -> Path:
    """Write a model file whose network computes at another size, and return its path.

    Args:
        source: Model file in fp32.
        size: Height and width of the network's input, px.
        folder: For the new file.

    Raises:
        ParameterError: If the network has something that may be made for one size.
        EngineError: If it does not run at that size.
    """
    model, card = onnx.load(source), read_model(source).card
    operators = {node.op_type for node in model.graph.node if is_network(node)}
    if fixed := operators - ANY_SIZE:
        msg = f'{source}: its network has {", ".join(sorted(fixed))}, which may be for one size'
        raise ParameterError(msg)
    (weight,) = (item for item in model.graph.initializer if item.name == NETWORK_SIZE)
    weight.CopyFrom(numpy_helper.from_array(np.array(size, np.int64), NETWORK_SIZE))
    for output in model.graph.output:
        for side, length in zip(output.type.tensor_type.shape.dim[1:], size, strict=True):
            side.dim_value = length
    del model.graph.value_info[:]
    resized = replace(card, input_size=size).to_json()
    onnx.helper.set_model_props(model, {METADATA_KEY: resized})
    target = folder / f'{source.stem}_{size[0]}x{size[1]}.onnx'
    with replaced_when_whole(target) as partial:
        onnx.save(model, partial)
        with closing(OnnxRuntimeEngine(partial)) as engine:
            engine.infer([np.zeros((*size, 3), np.uint8)])
    return target


def _tensorrt_version() -> str | None:
    try:
        return str(load_tensorrt().__version__)
    except EngineError:
        return None


def judge(runs: Runs) -> list[Target]:
    """Return what the times have to reach, for each precision that ran, and the loss of int8."""
    targets = []
    for precision, run in runs.items():
        if run.keys() != {'one', 'all'}:
            continue
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
    miou = {
        precision: found.agreement.artefact_miou
        for precision, run in runs.items()
        for found in run.values()
    }
    exact, coarse = miou.get('fp32'), miou.get('int8')
    if exact is not None and coarse is not None:
        targets.append(
            Target(
                what='mIoU of fp32 less that of int8, points',
                value=100 * (exact - coarse),
                limit=MIOU_LOSS,
                higher_is_better=False,
            )
        )
    return targets


def _median(latency: LatencySummary) -> float:
    assert latency.p50_ms is not None
    return latency.p50_ms


if __name__ == '__main__':
    raise SystemExit(main())
