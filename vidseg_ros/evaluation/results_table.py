# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation as a table for people, to be printed by ``rich``."""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Group
from rich.markup import escape
from rich.table import Table

_COLUMNS: Final = (
    ('mIoU, %', ('miou',), 100, 2),
    ('TC, %', ('tc', 'tc_fast'), 100, 2),
    ('flips/s', ('flips_per_s', 'flips_per_s_fast'), 1, 3),
    ('VC8, %', ('vc8',), 100, 2),
    ('confidence, %', ('confidence_mean',), 100, 1),
)
"""Heading, keys of which one is defined, factor, digits."""


def results_table(content: Mapping[str, Any]) -> Group:
    """Return one row per source and model, the sums, and what is to be known about them.

    Args:
        content: Of results.json.
    """
    table = Table(title='results', title_justify='left')
    table.add_column('source', style='bold', overflow='fold')
    table.add_column('model')
    fast = content['settings']['metrics'] == 'fast'
    for heading in ('frames', 'labelled', 'lost'):
        table.add_column(heading, justify='right')
    for heading, *_ in _COLUMNS:
        name = heading + ' (fast flow)' if fast and heading[:2] in {'TC', 'fl'} else heading
        table.add_column(name, justify='right')
    live = content['settings']['rate'] is not None
    table.add_column('end to end p50, ms' if live else 'inference p50, ms', justify='right')
    for source in content['sources']:
        facts = [_text(source[name], 1, 0) for name in ('frames', 'labelled')]
        lost = None if source['unreadable'] is None else source['unreadable'] + source['dropped']
        for key, scores in source['models'].items() or [('-', None)]:
            table.add_row(escape(source['key']), key, *facts, _text(lost, 1, 0), *_cells(scores))
    if len(content['sources']) > 1:
        table.add_section()
        for key, scores in content['overall'].items():
            table.add_row('overall', key, '', '', '', *_cells(scores))
    notes = [
        f'{escape(source["key"])}: {escape(problem)}'
        for source in content['sources']
        for problem in source['problems']
    ]
    models = [f'model {model["key"]}: {escape(model["file"])}' for model in content['models']]
    return Group(*models, table, *notes)


def _cells(scores: Mapping[str, Any] | None) -> list[str]:
    if scores is None:
        return ['-'] * (len(_COLUMNS) + 1)
    cells = []
    for _, keys, scale, digits in _COLUMNS:
        known = [scores[key] for key in keys if scores[key] is not None]
        cells.append(_text(known[0] if known else None, scale, digits))
    return [*cells, _text(scores['inference_ms']['p50'], 1, 1)]


def _text(value: float | None, scale: float, digits: int) -> str:
    return '-' if value is None else f'{value * scale:.{digits}f}'
