# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Line charts of results, drawn by Matplotlib (which the tools of `make test` bring along)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def line_chart(path: Path, *, x: str, y: str, title: str) -> Iterator[Any]:
    """Draw a chart and write it; the same numbers give the same file.

    Args:
        path: The file; its suffix (.svg, .png) decides the format.
        x: What is to the right.
        y: What is upwards.
        title: Above the chart.

    Yields:
        Matplotlib's axes, for the lines.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only where something is drawn

    mpl.use('agg')
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with mpl.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': path.name}):
        figure, axes = plt.subplots(figsize=(7, 4.2), layout='constrained')
        yield axes
        axes.set(xlabel=x, ylabel=y, title=title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize='small')
        figure.savefig(path, metadata={'Date': None} if path.suffix == '.svg' else None)
        plt.close(figure)
