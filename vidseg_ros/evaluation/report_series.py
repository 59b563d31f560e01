# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Numbers of single frames for the report: series over time, and the worst moments."""

from collections.abc import Collection, Mapping, Sequence
import csv
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError

Columns: TypeAlias = Mapping[str, NDArray[np.float64]]
"""Numbers by name, one entry per frame; NaN = not defined. ``index`` is the position in the
source, ``t`` the time since its first frame, s, which a jump of the clock may repeat."""

WORST_IS_LOW: Final = {
    'tc': True,
    'tc_fast': True,
    'flips': False,
    'flips_fast': False,
    'confidence': True,
    'miou': True,
    'inference_ms': False,
}
"""What is shown over time, and whether its low values are the bad ones."""

APART_S: Final = 2.0
"""Moments closer than this are one, s."""

_DIGITS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame that stands out."""

    index: int
    """Position in the source, from 0."""
    t: float
    """When, s since the source's first frame."""
    value: float
    """The number that stands out."""


def read_frames(path: Path, start_ns: int | None = None) -> tuple[Columns, int]:
    """Read a frames CSV.

    Args:
        path: The file, see `vidseg_ros.evaluation.frame_table`.
        start_ns: Stamp of time 0, ns; None: that of the first frame.

    Returns:
        Its columns and the stamp of time 0, ns.

    Raises:
        SourceError: If it is missing or damaged.
    """
    columns: dict[str, list[float]] = {}
    try:
        with path.open(newline='', encoding='utf-8') as stream:
            reader = csv.DictReader(stream)
            names = [name for name in WORST_IS_LOW if name in (reader.fieldnames or ())]
            columns = {name: [] for name in ('index', 't', *names)}
            for row in reader:
                stamp_ns = int(row['stamp_ns'])
                start_ns = stamp_ns if start_ns is None else start_ns
                columns['index'].append(int(row['index']))
                columns['t'].append((stamp_ns - start_ns) / 1e9)
                for name in names:
                    columns[name].append(float(row[name] or 'nan'))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        msg = f'cannot read {path}: {error!r}; evaluate this source again'
        raise SourceError(msg) from error
    return {name: np.array(values) for name, values in columns.items()}, start_ns or 0


def thin(columns: Columns, most: int) -> dict[str, list[float | None]]:
    """Bring columns to at most ``most`` points, each with the worst value of its stretch.

    Returns:
        The columns as plain lists; None = not defined.
    """
    count = len(columns['t'])
    starts = np.arange(0, count, max(1, math.ceil(count / most)))
    thinned: dict[str, list[float | None]] = {
        'index': columns['index'][starts].astype(int).tolist(),
        't': columns['t'][starts].round(3).tolist(),
    }
    for name, values in columns.items():
        if name in thinned or not count:
            continue
        worst = (np.fmin if WORST_IS_LOW[name] else np.fmax).reduceat(values, starts)
        thinned[name] = [_plain(value) for value in worst]
    return thinned


def values_at(columns: Columns, indices: Sequence[int]) -> dict[str, list[float | None]]:
    """Return the numbers of single frames, as plain lists without ``index`` and ``t``.

    Args:
        columns: Of `read_frames`.
        indices: Positions in the source.

    Returns:
        By name, one entry per position; None = not defined, or no such frame.
    """
    rows = {index: row for row, index in enumerate(columns['index'].tolist())}
    places = [rows.get(index) for index in indices]
    return {
        name: [None if row is None else _plain(values[row]) for row in places]
        for name, values in columns.items()
        if name not in {'index', 't'}
    }


def worst_moments(columns: Columns, name: str, count: int, among: Collection[int]) -> list[Moment]:
    """Return the frames with the worst values of a column, worst first, `APART_S` apart.

    Args:
        columns: Of `read_frames`.
        name: One of them; without it there are no moments.
        count: How many at most.
        among: Positions in the source of the frames that can be shown; others are no moments.
    """
    if name not in columns:
        return []
    indices, times, values = columns['index'], columns['t'], columns[name]
    order = np.argsort(values if WORST_IS_LOW[name] else -values, kind='stable')
    found: list[Moment] = []
    for at in order.tolist():
        if len(found) == count or math.isnan(values[at]):
            break
        if indices[at] in among and all(abs(times[at] - other.t) >= APART_S for other in found):
            moment = Moment(index=int(indices[at]), t=float(times[at]), value=float(values[at]))
            found.append(moment)
    return found


def _plain(value: np.float64) -> float | None:
    return None if math.isnan(value) else round(float(value), _DIGITS)
