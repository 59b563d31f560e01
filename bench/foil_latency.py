# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does a frame cost, on average and at worst: plain or steady network, key frames, mean?

Usage::

    python bench/foil_latency.py DATA/camvid PLAIN_RUN STEADY_RUN

The ways of `consistency_ablation.py` to steady masks, timed side by side on the frames of CamVid's
dense clip: every frame goes through all of them, in an order that turns, one PyTorch thread. First
the two networks must be of one kind, and what plain, key frames and mean say of the first frame,
which none of them has a past for, the same. A time at worst is the median of the worst of each
round: one that another program has disturbed does not count.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
import statistics
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from report import finish, surroundings, Target
from steadiness import FrameAverage, KeyFrames, PerFrame, Segmenter
import torch

from vidseg_training.data.camvid import CamVid
from vidseg_training.export import load_run

PLAIN: Final = 'plain network'
STEADY: Final = 'steady network'
KEYS: Final = 'key frames (every 5th, flow between)'
MEAN: Final = 'mean of 3 frames'

Ways = Mapping[str, Callable[[], Segmenter]]


def time_rounds(
    ways: Ways, frames: Sequence[NDArray[np.uint8]], rounds: int
) -> dict[str, dict[str, float]]:
    """Run all ways over a clip, frame by frame in turn.

    Args:
        ways: Each makes a segmenter without a past.
        frames: (H, W, 3) uint8 RGB each.
        rounds: How often.

    Returns:
        For each way mean and worst time of a frame, ms; the first five frames are not timed.
    """
    times: dict[str, list[list[float]]] = {name: [] for name in ways}
    for number in range(rounds):
        segmenters = {name: make() for name, make in ways.items()}
        for name in ways:
            times[name].append([])
        for index, frame in enumerate(frames):
            order = list(ways)
            turn = (index + number) % len(order)
            for name in order[turn:] + order[:turn]:
                start = time.perf_counter()
                segmenters[name](frame)
                if index >= 5:
                    times[name][-1].append(1000 * (time.perf_counter() - start))
    return {
        name: {
            'mean_ms': statistics.median(map(statistics.fmean, of_rounds)),
            'worst_ms': statistics.median(map(max, of_rounds)),
        }
        for name, of_rounds in times.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Check, time, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('data', type=Path, help='folder of CamVid (SegNet split)')
    parser.add_argument('plain', type=Path, help='run without consistency')
    parser.add_argument('steady', type=Path, help='run with it, of the same network')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    where: dict[str, Any] = surroundings('torch')
    (trained, plain, _), (_, steady, _) = load_run(args.plain), load_run(args.steady)
    size = trained.config.input_size
    counts = [sum(p.numel() for p in network.parameters()) for network in (plain, steady)]
    ways: Ways = {
        PLAIN: lambda: PerFrame(plain, size),
        STEADY: lambda: PerFrame(steady, size),
        KEYS: lambda: KeyFrames(PerFrame(plain, size), size),
        MEAN: lambda: FrameAverage(PerFrame(plain, size)),
    }
    clip = CamVid(args.data, 'val')
    frames = [clip[index][0] for index in range(len(clip))]
    first = {name: ways[name]()(frames[0]) for name in (PLAIN, KEYS, MEAN)}
    equal = all((labels == first[PLAIN]).all() for labels in first.values())
    if counts[0] != counts[1] or not equal:
        print('not equal: two kinds of network, or another mask of the first frame')
        return 1
    result = time_rounds(ways, frames, args.rounds)
    for name, found in result.items():
        print(f'{name:38} {found["mean_ms"]:6.1f} ms, at worst {found["worst_ms"]:6.1f} ms')
    ratio = result[STEADY]['mean_ms'] / result[PLAIN]['mean_ms']
    target = Target(
        what='time of the steady network over the plain one',
        value=ratio,
        limit=1.05,
        higher_is_better=False,
    )
    return finish(
        {**where, 'parameters': counts[0], 'frames': len(frames), 'ways': result},
        [target],
        name='foil_latency',
        out=args.out,
    )


if __name__ == '__main__':
    raise SystemExit(main())
