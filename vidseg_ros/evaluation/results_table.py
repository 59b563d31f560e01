# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation as a table for people, to be printed by ``rich``."""

from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_COLUMNS: Final = (
    ('mIoU %', 'miou', 100, 2),
    ('TC %', 'tc', 100, 2),
    ('fast\nTC %', 'tc_fast', 100, 2),
    ('flips/s', 'flips_per_s', 1, 3),
    ('fast\nflips/s', 'flips_per_s_fast', 1, 3),
    ('VC8 %', 'vc8', 100, 2),
    ('conf. %', 'confidence_mean', 100, 1),
)
"""Heading, key, factor, digits; a column that no row has is left out."""

_OVERALL: Final = 'overall'


class _Name:
    """The name of a source, cut to the width of its column: a row is one line.

    Names that would look alike then, and those with wide characters, take several lines.
    """

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self._name, self._names = name, names

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        width = cell_len(self._name)
        return Measurement(min(width, len(_OVERALL)), width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> list[Text]:
        width = options.max_width
        text = shorten(self._name, width, self._names)
        alike = [name for name in self._names if shorten(name, width, self._names) == text]
        if len(alike) > 1 or cell_len(self._name) > len(self._name):
            return [Text(self._name, overflow='fold')]
        if options.ascii_only:
            text = text.replace('…', '~')
        return [Text(text, no_wrap=True)]


def shorten(name: str, width: int, names: Sequence[str]) -> str:
    """Cut a name that is too long: first what all such names begin with, then in its middle.

    Args:
        name: One of ``names``.
        width: Characters that there is room for.
        names: All different.

    Returns:
        The name, or ``width`` characters of it with ``…`` where some are left out.
    """
    if len(name) <= width:
        return name
    too_long = [other for other in names if len(other) > width]
    shared = len(commonprefix(too_long)) if len(too_long) > 1 else 0  # noqa: RUF071 - no paths
    if (left_out := min(shared, len(name) - width + 1)) > 1:
        name = f'…{name[left_out:]}'
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f'{name[: width - 1 - end]}…{name[len(name) - end :]}'


def results_table(content: Mapping[str, Any]) -> Group:
    """Return one row per source and model, the sums, and what is to be known about them.

    Args:
        content: Of results.json.
    """
    everything = [
        scores
        for models in (content['overall'], *(source['models'] for source in content['sources']))
        for scores in models.values()
    ]
    shown = [
        column
        for column in _COLUMNS
        if any(scores[column[1]] is not None for scores in everything)
    ]
    table = Table(title='results', title_justify='left')
    table.add_column('source', style='bold', min_width=len(_OVERALL))
    for heading in ('', 'frames', *(heading for heading, *_ in shown), 'p50 ms'):
        table.add_column(heading, justify='right', no_wrap=True)
    names = [source['key'] for source in content['sources']]
    for name, source in zip(names, content['sources'], strict=True):
        for key, scores in source['models'].items() or [('-', None)]:
            cells = _cells(shown, scores)
            table.add_row(_Name(name, names), key, str(source['frames']), *cells)
    if len(content['sources']) > 1:
        table.add_section()
        frames = str(sum(source['frames'] for source in content['sources']))
        for key, scores in content['overall'].items():
            table.add_row(_OVERALL, key, frames, *_cells(shown, scores))
    return Group(*_models(content), table, *_notes(content))


def _models(content: Mapping[str, Any]) -> list[str]:
    return [
        f'model {model["key"]}: {escape(model["file"])} ({escape(model["card"]["name"])})'
        for model in content['models']
    ]


def _notes(content: Mapping[str, Any]) -> list[str]:
    live = content['settings']['rate'] is not None
    what = 'frame published -> label map received' if live else 'inference'
    return [f'p50 ms: {what}', *_lacking(content), *_problems(content['sources'])]


def _lacking(content: Mapping[str, Any]) -> list[str]:
    """Say which classes a model cannot predict; where the labels have them, their IoU is 0."""
    return [
        f'model {model["key"]} has no class {escape(", ".join(model["lacks"]))}: where the labels '
        'have it, its IoU counts as 0'
        for model in content['models']
        if model['lacks']
    ]


def _problems(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to know about what was evaluated, each thing once."""
    who: dict[str, list[str]] = {}
    for source in sources:
        for problem in source['problems'] if source['models'] else ():
            who.setdefault(problem, []).append(source['key'])
    return [f'{escape(", ".join(keys))}: {escape(problem)}' for problem, keys in who.items()]


def _cells(
    shown: Sequence[tuple[str, str, int, int]], scores: Mapping[str, Any] | None
) -> list[str]:
    if scores is None:
        return ['-'] * (len(shown) + 1)
    cells = [_text(scores[key], scale, digits) for _, key, scale, digits in shown]
    return [*cells, _text(scores['inference_ms']['p50'], 1, 1)]


def _text(value: float | None, scale: float, digits: int) -> str:
    return '-' if value is None else f'{value * scale:.{digits}f}'
