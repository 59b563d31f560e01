# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Shrink the camera frame before the graph, or inside it? Equal labels first, then the times.

Usage::

    python bench/shrink.py DATA/dashcam/project_video_cut.mp4 [--model camvid_fddwnet]
"""

import argparse
from contextlib import closing
from itertools import islice
import json
from pathlib import Path
import statistics
import time

import onnxruntime
from report import surroundings

from vidseg_ros.core.resources import find_model
from vidseg_ros.evaluation.sources import open_source
from vidseg_ros.inference.model_file import INPUT, LABELS
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

LEAST_AGREEMENT = 0.99


def main() -> int:
    """Run the comparison; return 1 if the labels differ too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('source', help='bag, video or folder of images')
    parser.add_argument('--model', default='camvid_fddwnet')
    parser.add_argument('--frames', type=int, default=20)
    parser.add_argument('--out', type=Path, help='JSON file for the result')
    arguments = parser.parse_args()
    result = surroundings('numpy', 'onnxruntime')
    path = find_model(arguments.model)
    graph = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    with open_source(arguments.source) as source, closing(OnnxRuntimeEngine(path)) as engine:
        order = engine.card.input_order
        frames = [item.decode(order) for item in islice(source, arguments.frames)]
        before_ms: list[float] = []
        inside_ms: list[float] = []
        same = []
        for repeat in range(2):  # the first pass warms up and compares
            for frame in frames:
                start = time.perf_counter()
                before = engine.infer([frame]).labels
                middle = time.perf_counter()
                inside = graph.run([LABELS], {INPUT: frame[None]})[0]
                end = time.perf_counter()
                if repeat == 0:
                    same.append(float((before == inside).mean()))
                else:
                    before_ms.append(1e3 * (middle - start))
                    inside_ms.append(1e3 * (end - middle))
    result |= {
        'question': 'time of one frame, shrunk before the graph / inside the graph',
        'model': arguments.model,
        'frame_size': list(frames[0].shape[:2]),
        'frames': len(frames),
        'least_agreement': min(same),
        'before_ms_median': statistics.median(before_ms),
        'inside_ms_median': statistics.median(inside_ms),
        'ratio_median': statistics.median(
            a / b for a, b in zip(before_ms, inside_ms, strict=True)
        ),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if min(same) < LEAST_AGREEMENT:
        print(f'labels agree on {min(same):.3f} only: the times mean nothing')
        return 1
    if arguments.out is not None:
        arguments.out.write_text(text + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
