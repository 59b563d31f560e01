# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Draws the plots of docs/performance.md and docs/consistency.md from what the benchmarks wrote.

Usage::

    python bench/plots.py bench/results/precision_2cpu.json docs/images/precision_cpu.svg
    python bench/plots.py bench/results/consistency_ablation.json docs/images/steadiness.svg
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

mpl.rcParams['svg.hashsalt'] = 'vidseg'  # else each run names its parts otherwise


def main(argv: Sequence[str] | None = None) -> int:
    """Draw one plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('result', type=Path, help='of precision.py or consistency_ablation.py')
    parser.add_argument('out', type=Path, help='SVG file')
    args = parser.parse_args(argv)
    result = json.loads(args.result.read_text(encoding='utf-8'))
    figure = draw_steadiness(result) if 'teacher' in result else draw_precision(result)
    figure.savefig(args.out, format='svg', metadata={'Date': None, 'Creator': None})
    return 0


def draw_precision(result: dict[str, Any]) -> Figure:
    """Return the median time of a frame by size and precision, in shares of that of fp32.

    The engines took turns, so the shares hold on a busy machine, too; the times would not.
    """
    medians = {(*run['size'], run['file']): run['p50_ms'] for run in result['runs']}
    sizes = list(dict.fromkeys(tuple(run['size']) for run in result['runs']))
    names = list(dict.fromkeys(run['file'] for run in result['runs']))
    figure = Figure(figsize=(7, 3), layout='constrained')
    axes = figure.subplots()
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        places = [row + (index - (len(names) - 1) / 2) * width for row in range(len(sizes))]
        shares = [100 * medians[(*size, name)] / medians[(*size, 'fp32')] for size in sizes]
        bars = axes.bar(places, shares, 0.95 * width, label=name)
        axes.bar_label(bars, fmt='%.0f', label_type='center', color='white')
    axes.set_xticks(range(len(sizes)), [f'{width}x{height}' for height, width in sizes])
    axes.set_xlabel('camera frame, px')
    axes.set_ylabel('median time of a frame\nin % of fp32')
    load = result['load_average_before']
    where = f'{result["machine"]}, load {load:.1f}, {result["date"]}'
    axes.set_title(f'{result["model"]} in ONNX Runtime, {where}', fontsize=9)
    axes.legend(frameon=False, loc='upper left', bbox_to_anchor=(1, 1))
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def draw_steadiness(result: dict[str, Any]) -> Figure:
    """Return mIoU of the scored halves over flips, a dot for each seed and a big one for all."""
    figure = Figure(figsize=(8, 3.6), layout='constrained')
    axes = figure.subplots()
    for number, (name, by_seed) in enumerate(result['runs'].items()):
        points = [
            (fmean(half['flips_per_s'] for half in halves), 100 * fmean(h['miou'] for h in halves))
            for halves in by_seed.values()
        ]
        flips, mious = zip(*points, strict=True)
        marker = 'X' if name.startswith('baseline,') else 'o'
        colour = mpl.colormaps['tab20'](2 * number % 20 + number // 10)  # strong ones first
        axes.scatter(flips, mious, s=12, marker=marker, color=colour, alpha=0.5)
        axes.scatter(fmean(flips), fmean(mious), s=80, marker=marker, color=colour, label=name)
    axes.set_xlabel('flips/s (left is steadier)')
    axes.set_ylabel('mIoU on the clip, %')
    axes.set_title(
        f'CompactNet on CamVid, {result["date"]}; crosses: done after the network',
        fontsize=9,
        loc='left',
    )
    axes.legend(frameon=False, loc='upper left', bbox_to_anchor=(1, 1), fontsize=8)
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


if __name__ == '__main__':
    raise SystemExit(main())
