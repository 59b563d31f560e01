# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How much of the bare engine's frame rate is left to an offline replay of the same frames?

Usage::

    python bench/replay_throughput.py DATA/dashcam/project_video_cut.mp4

Bare engine: frames that are decoded and in memory, one after the other through the engine.
Replay: what ``vidseg replay --no-video --no-sheet`` does from the first frame read to the last
label map written: read, decode, segment, enlarge to the camera's size, write. Opening the footage
and the warm-up are in neither. First the label maps must be the same, pixel for pixel.
"""

import argparse
from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
import statistics
from tempfile import TemporaryDirectory
import time
from typing import Final, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from report import finish, surroundings, Target

from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.core.timing import summarize
from vidseg_ros.evaluation.replay import (
    MaskFormat,
    MASKS,
    Outputs,
    replay_offline,
    ReplayResults,
)
from vidseg_ros.evaluation.sources import open_source, Source
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.pipeline import Segmenter

LEAST_RATIO: Final = 0.95

Images = list[NDArray[np.uint8]]


def main() -> int:
    """Compare; return 1 if the label maps differ or the replay is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('source', type=Path, help='bag, video or folder of images')
    parser.add_argument('--model', default=DEFAULT_MODEL, help='default: %(default)s')
    parser.add_argument('--frames', type=int, default=60, help='default: %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='JSON file for the result')
    arguments = parser.parse_args()
    result = surroundings('numpy', 'onnxruntime', 'av', 'rosbags')
    path = find_model(arguments.model)
    with (
        open_source(arguments.source) as source,
        closing(OnnxRuntimeEngine(path)) as engine,
        TemporaryDirectory(prefix='vidseg_bench_') as folder,
    ):
        order = engine.card.input_order
        images = [item.decode(order) for item in islice(source, arguments.frames)]
        outputs = {kind: _outputs(Path(folder), kind) for kind in get_args(MaskFormat)}
        if not _equal(source, engine, images, outputs['png']):
            print('the replay and the bare engine give different label maps: no times')
            return 1
        bare_ns, bare_fps, replay_fps = _race(source, engine, images, outputs, arguments.rounds)
    ratios = {
        kind: [fps / bare for fps, bare in zip(rates, bare_fps, strict=True)]
        for kind, rates in replay_fps.items()
    }
    result |= {
        'question': 'frame rate of an offline replay / of the bare engine, same frames',
        'source': {'name': source.name, 'kind': source.kind},
        'frame_size': list(images[0].shape[:2]),
        'frames': len(images),
        'rounds': arguments.rounds,
        'model': arguments.model,
        'engine': vars(engine.info),
        'boundaries': {
            'bare': 'decoded picture in memory -> label map at network size, engine only',
            'replay': 'first frame read -> last label map at camera size written; no drawing',
        },
        'equal_label_maps': True,
        'bare_infer': summarize(bare_ns).to_dict(),
        'bare_fps': bare_fps,
        'replay_fps': replay_fps,
        'ratio': ratios,
        'ratio_median': {kind: statistics.median(values) for kind, values in ratios.items()},
    }
    targets = [
        Target(
            what=f'frame rate of a replay / of the bare engine, masks {kind}',
            value=statistics.median(values),
            limit=LEAST_RATIO,
            higher_is_better=True,
        )
        for kind, values in ratios.items()
    ]
    size = f'{images[0].shape[0]}p_{source.kind}'
    name = f'replay_throughput_{size}_{arguments.model}'
    return finish(result, targets, name=name, out=arguments.out)


def _race(
    source: Source,
    engine: OnnxRuntimeEngine,
    images: Images,
    outputs: Mapping[MaskFormat, Outputs],
    rounds: int,
) -> tuple[list[int], list[float], dict[MaskFormat, list[float]]]:
    """Take turns; return the engine's times (ns), its frames/s and those of the replays."""
    bare_ns: list[int] = []
    bare_fps: list[float] = []
    replay_fps: dict[MaskFormat, list[float]] = {kind: [] for kind in outputs}
    for number in range(rounds):
        times_ns = _bare(engine, images)
        bare_ns += times_ns
        bare_fps.append(len(images) / (sum(times_ns) / 1e9))
        for kind, wanted in outputs.items():
            replay_fps[kind].append(_replay(source, engine, wanted, len(images)))
        print(f'round {number + 1} of {rounds}', flush=True)
    return bare_ns, bare_fps, replay_fps


def _outputs(folder: Path, masks: MaskFormat) -> Outputs:
    return Outputs(folder=folder / masks, masks=masks, video=False, sheet=False, overwrite=True)


def _replay(source: Source, engine: OnnxRuntimeEngine, outputs: Outputs, limit: int) -> float:
    """Return the frames/s of one replay."""
    with ReplayResults(engine.card.labels, outputs) as results:
        summary = replay_offline(source, Segmenter(engine), results, limit=limit)
    return summary.frames_segmented / (summary.wall_ns / 1e9)


def _bare(engine: OnnxRuntimeEngine, images: Images) -> list[int]:
    """Return how long the engine took for each picture (ns)."""
    times_ns = []
    engine.infer(images[:1])  # a replay warms up as well
    for image in images:
        start_ns = time.monotonic_ns()
        engine.infer([image])
        times_ns.append(time.monotonic_ns() - start_ns)
    return times_ns


def _equal(source: Source, engine: OnnxRuntimeEngine, images: Images, outputs: Outputs) -> bool:
    """Whether a replay writes exactly the label maps that the engine gives."""
    _replay(source, engine, outputs, len(images))
    files = sorted((outputs.folder / MASKS).glob('*.png'))
    written = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
    expected = [
        resize_labels(engine.infer([image]).labels[0], image.shape[:2]) for image in images
    ]
    return len(written) == len(expected) and all(
        mask is not None and np.array_equal(mask, ids)
        for mask, ids in zip(written, expected, strict=True)
    )


if __name__ == '__main__':
    raise SystemExit(main())
