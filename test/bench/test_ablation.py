# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip('vidseg_training', reason='the training package is not installed')

from vidseg_ros.core.errors import SourceError


@pytest.fixture
def ablation(script: Callable[[str], ModuleType]) -> ModuleType:
    return script('ablation')


def test_each_row_changes_the_baseline_in_its_ingredient_only(ablation: ModuleType) -> None:
    plain = ablation.baseline(Path('data'), 8)
    changed = {}
    for row, change in ablation.ROWS.items():
        config = asdict(replace(plain, **change))
        changed[row] = {name for name in config if config[name] != asdict(plain)[name]}
    assert changed == {
        'baseline': set(),
        '+ class-uniform sampling': {'class_uniform', 'class_uniform_tile'},
        '+ label relaxation': {'relaxed_share', 'strict_classes'},
        '+ averaged weights (EMA)': {'ema_decay'},
        '+ augmentation': {'scale_range', 'color_jitter'},
        'all of them': {
            *('class_uniform', 'class_uniform_tile', 'relaxed_share', 'strict_classes'),
            *('ema_decay', 'scale_range', 'color_jitter'),
        },
        '+ Lovász loss': {'lovasz_weight'},
        '+ mixed classes': {'class_mix'},
    }


def test_the_table_has_means_seeds_and_differences(ablation: ModuleType) -> None:
    def result(miou: float, thin: float) -> dict[str, object]:
        return {'miou': miou, 'iou': dict.fromkeys(ablation.THIN, thin)}

    runs = {
        'baseline': {'0': result(0.5, 0.1), '1': result(0.52, 0.3)},
        '+ it': {'0': result(0.54, 0.2), '1': result(0.51, 0.4)},
        '+ new': {'0': result(0.6, 0.5)},
    }
    assert ablation.table(runs).splitlines()[2:] == [
        '| baseline | 51.0 (50.0, 52.0) |  | 20.0 |',
        '| + it | 52.5 (54.0, 51.0) | +1.5 (+4.0, -1.0) | 30.0 |',
        '| + new | 60.0 (60.0) | +10.0 (+10.0) | 50.0 |',
    ]


def test_the_table_goes_between_its_marks(ablation: ModuleType, tmp_path: Path) -> None:
    document = tmp_path / 'training.md'
    begin = '<!-- table of bench/ablation.py -->'
    document.write_text(f'above\n{begin}\nold\n{ablation.END}\nbelow\n', 'utf-8')
    ablation.put_into(document, 'new')
    text = document.read_text('utf-8')
    assert text == f'above\n{begin}\nnew\n{ablation.END}\nbelow\n'
    document.write_text('nothing', 'utf-8')
    with pytest.raises(SourceError, match='no place for the table'):
        ablation.put_into(document, 'new')
