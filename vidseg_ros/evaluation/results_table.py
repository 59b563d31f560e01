# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation as a table for people, to be printed by ``rich``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
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
    """The name of a source, cut to the width of its column: a row is one line."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self._name, self._names = name, tuple(names)

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        width = cell_len(self._name)
        return Measurement(min(width, len(_OVERALL)), width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> list[Text]:
        text = shorten(self._names, options.max_width)[self._name]
        if options.ascii_only:
            text = text.replace('…', '~')
        return [Text(text, overflow='fold')]


@lru_cache(maxsize=4)  # every row asks for all of them
def shorten(names: tuple[str, ...], width: int) -> dict[str, str]:
    """Cut names that are too long: first what all such begin with, then in their middle.

    Args:
        names: All different.
        width: Characters that there is room for.

    Returns:
        For each name ``width`` characters of it with ``…`` where some are left out; those with
        wide characters, and those that would look alike then, are whole.
    """
    narrow = [name for name in names if cell_len(name) == len(name)]
    too_long = [name for name in narrow if len(name) > width]
    shared = len(commonprefix(too_long)) if len(too_long) > 1 else 0  # noqa: RUF071  # no paths
    cut = {name: _cut(name, width, shared) for name in too_long}
    uses = Counter(cut.values())
    alone = {name: text for name, text in cut.items() if uses[text] == 1}
    return {name: alone.get(name, name) for name in names}


def _cut(name: str, width: int, shared: int) -> str:
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
