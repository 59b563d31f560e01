# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Draws the plots of docs/performance.md from what the benchmarks wrote.

Usage::

    python bench/plots.py bench/results/precision_2cpu.json docs/images/precision_cpu.svg
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

mpl.rcParams['svg.hashsalt'] = 'vidseg'  # else each run names its parts otherwise


def main(argv: Sequence[str] | None = None) -> int:
    """Draw one plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('result', type=Path, help='JSON file of bench/precision.py')
    parser.add_argument('out', type=Path, help='SVG file')
    args = parser.parse_args(argv)
    figure = draw(json.loads(args.result.read_text(encoding='utf-8')))
    figure.savefig(args.out, format='svg', metadata={'Date': None, 'Creator': None})
    return 0


def draw(result: dict[str, Any]) -> Figure:
    """Return the time of a frame by size and precision: median, with a whisker to p95."""
    runs = result['runs']
    sizes = list(dict.fromkeys(tuple(run['size']) for run in runs))
    names = list(dict.fromkeys(run['precision'] for run in runs))
    figure = Figure(figsize=(7, 3.2), layout='constrained')
    axes = figure.subplots()
    for index, name in enumerate(names):
        chosen = [run for run in runs if run['precision'] == name]
        middle = [run['p50_ms'] for run in chosen]
        above = [run['p95_ms'] - run['p50_ms'] for run in chosen]
        places = [
            row + (index - (len(names) - 1) / 2) * 0.8 / len(names) for row in range(len(sizes))
        ]
        bars = axes.bar(places, middle, 0.8 / len(names), label=name)
        axes.errorbar(
            places, middle, [[0] * len(above), above], fmt='none', ecolor='0.4', capsize=3
        )
        axes.bar_label(bars, fmt='%.0f', label_type='center', color='white')
    axes.set_xticks(range(len(sizes)), [f'{width}x{height}' for height, width in sizes])
    axes.set_xlabel('camera frame')
    axes.set_ylabel('ms a frame: median, whisker to p95')
    axes.set_title(f'{result["model"]}, ONNX Runtime, {result["machine"]}', fontsize=9)
    axes.legend(frameon=False, ncols=len(names), loc='upper left')
    axes.spines[['top', 'right']].set_visible(False)
    axes.margins(y=0.25)
    return figure


if __name__ == '__main__':
    raise SystemExit(main())
