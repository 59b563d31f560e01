# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from argparse import Namespace
from collections.abc import Callable
from functools import partial
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest

pytest.importorskip('vidseg_training', reason='the training package is not installed')

import torch
from torch import nn

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID


@pytest.fixture
def ablation(script: Callable[[str], ModuleType]) -> ModuleType:
    return script('consistency_ablation')


@pytest.fixture
def steadiness(script: Callable[[str], ModuleType]) -> ModuleType:
    return script('steadiness')


class _Brightness(nn.Module):
    """Says class 0 of dark and class 1 of bright pixels, at a quarter of the resolution."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.mean(1, keepdim=True)[..., ::4, ::4]
        return torch.cat((-5 * grey, 5 * grey, torch.full_like(grey, -50.0)), 1)


def _picture(left: int) -> NDArray[np.uint8]:
    """Return a textured bright square on a dark ground, 64x96."""
    picture = np.random.default_rng(0).integers(0, 40, (64, 96, 3)).astype(np.uint8)
    picture[20:44, left : left + 24] += 200
    return picture


def _arguments(**values: object) -> Namespace:
    usual = {'data': Path('data'), 'teacher': Path('t.pth'), 'scale': 2.0, 'motion': 'farneback'}
    usual |= {'epochs': 4, 'start_epochs': 0, 'strength': 1.0, 'picture_error': 57.63}
    return Namespace(**{**usual, **values})


def test_every_row_is_a_valid_configuration(ablation: ModuleType) -> None:
    assert len(ablation.ROWS) == 9
    for row in ablation.ROWS.values():
        config = ablation.configuration(row, Path('half0'), 3, _arguments())
        assert config.seed == 3
        assert bool(config.consistency.clips) is row.needs_clips
        assert bool(config.distillation.teacher) is bool(row.distillation)
    weak = _arguments(strength=0.5, picture_error=8.0)
    for name, weights in (('baseline', (0.0, 0.0)), ('all of these', (1.5, 0.25))):
        config = ablation.configuration(ablation.ROWS[name], Path('half0'), 3, weak)
        assert (config.consistency.temporal, config.distillation.pixel) == weights
        assert config.consistency.picture_error == (8.0 if name == 'all of these' else 9.6)
    needs = [name for name, row in ablation.ROWS.items() if row.needs_clips]
    assert needs == [
        '+ temporal loss',
        '+ pair-wise frames (PF)',
        '+ multi-frame (MF)',
        'all of these',
        "all of these, ETC's weights",
        'temporal loss, SF, equivariance',
    ]


def test_folders_of_rows_have_plain_names(ablation: ModuleType) -> None:
    names = [ablation.folder_name(row) for row in ablation.ROWS]
    assert len(set(names)) == len(names)
    assert {'temporal_loss', 'all_of_these', 'all_of_these_ETC_s_weights'} < set(names)


def test_all_rows_may_go_on_from_one_trained_start(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[Any, Path]] = []
    monkeypatch.setattr(ablation, 'run', lambda *these: trained.append(these))
    ablation.train_start(_arguments(runs=tmp_path))
    assert trained == []  # random weights
    arguments = _arguments(runs=tmp_path, start_epochs=9)
    ablation.train_start(arguments)
    ((config, folder),) = trained
    assert (folder, config.init, config.epochs) == (tmp_path / 'start', None, 9)
    assert (config.learning_rate, config.validate_epochs) == (2e-3, 9)
    assert not config.consistency.clips
    for row in ablation.ROWS.values():
        config = ablation.configuration(row, Path('half0'), 1, arguments)
        assert (config.init, config.epochs, config.learning_rate) == (folder, 4, 1e-3)


def test_the_halves_of_the_clip_are_apart(ablation: ModuleType, tmp_path: Path) -> None:
    (tmp_path / 'val').mkdir()
    for number in range(101):
        (tmp_path / 'val' / f'f_{7959 + 2 * number:05}.png').touch()
    first, second = (ablation.lend_clip(tmp_path / 'val', half, tmp_path) for half in (0, 1))
    names = [sorted(path.name for path in folder.iterdir()) for folder in (first, second)]
    assert [len(part) for part in names] == [45, 45]
    assert (names[0][-1], names[1][0]) == ('f_08047.png', 'f_08071.png')


def test_the_teacher_answers_once_for_all_runs(ablation: ModuleType, tmp_path: Path) -> None:
    giver, taker = tmp_path / 'giver', tmp_path / 'taker'
    ablation.share_answers('said.npy', giver, taker)
    assert list(taker.iterdir()) == []
    giver.mkdir()
    (giver / 'said.npy').write_text('answers')
    (giver / 'said.npy.json').write_text('whose')
    ablation.share_answers('said.npy', giver, taker)
    assert (taker / 'said.npy').read_text() == 'answers'
    assert (taker / 'said.npy.json').read_text() == 'whose'


def test_the_table_has_means_over_halves_and_the_spread_over_seeds(ablation: ModuleType) -> None:
    def half(value: float) -> dict[str, float]:
        return dict.fromkeys(ablation.COLUMNS, value)

    runs = {
        'baseline': {'0': [half(0.4), half(0.6)], '1': [half(0.5), half(0.7)]},
        '+ it': {'0': [half(0.25), half(0.25)]},
    }
    lines = ablation.table(runs).splitlines()
    assert lines[2].startswith('| baseline | 2 | 55.0 ±5.0 | 55.0 ±5.0 |')
    assert '| 0.550 ±0.050 |' in lines[2]
    assert lines[3].startswith('| + it | 1 | 25.0 | 25.0 |')


def test_between_key_frames_labels_follow_the_motion(steadiness: ModuleType) -> None:
    frame = steadiness.PerFrame(_Brightness().eval(), (64, 96))
    segment = steadiness.KeyFrames(frame, (64, 96), every=3)
    first, second, third, key = (segment(_picture(left)) for left in (30, 32, 34, 36))
    np.testing.assert_array_equal(key, frame(_picture(36)))
    for shift, labels in ((2, second), (4, third)):
        moved = np.roll(first, shift, axis=1)
        assert (labels == moved).mean() > (labels == first).mean()
        assert (labels == moved).mean() > 0.97


def test_the_mean_of_frames_by_hand(steadiness: ModuleType) -> None:
    class Frame:
        said = iter([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.95, 0.05]])

        def probabilities(self, image: NDArray[np.uint8]) -> torch.Tensor:
            del image
            return torch.tensor(next(self.said)).view(2, 1, 1)

    segment = steadiness.FrameAverage(Frame(), 2)
    labels = [segment(_picture(30)).item() for _ in range(4)]
    assert labels == [0, 0, 1, 0]  # class 0 has 0.8, 0.6, 0.25, 0.525


def test_a_still_clip_is_steady(steadiness: ModuleType) -> None:
    class Clip:
        label_set = CAMVID

        def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            return _picture(30), steady

    frame = steadiness.PerFrame(_Brightness().eval(), (64, 96))
    steady = frame(_picture(30))
    scores = steadiness.score_clip(frame, Clip(), range(20))
    for name in ('miou', 'tc', 'vc8', 'vc16', 'vc8_self'):
        assert scores[name] == 1
    assert scores['flips_per_s'] == 0
    assert 0 < scores['ms_mean'] <= scores['ms_worst']


def test_the_plot_has_each_setting_at_its_mean(script: Callable[[str], ModuleType]) -> None:
    def seed(flips: float, miou: float) -> list[dict[str, float]]:
        return [
            {'flips_per_s': flips - 0.1, 'miou': miou},
            {'flips_per_s': flips + 0.1, 'miou': miou},
        ]

    runs = {
        'baseline': {'0': seed(0.4, 0.40), '1': seed(0.6, 0.42)},
        'baseline, key frames': {'0': seed(0.3, 0.39)},
    }
    axes = script('plots').draw_steadiness({'date': '2026-11-29', 'runs': runs}).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ['baseline', 'baseline, key frames']
    means = [one.get_offsets()[0].tolist() for one in axes.collections[1::2]]
    assert means[0] == pytest.approx([0.5, 41])
    assert means[1] == pytest.approx([0.3, 39])


def test_a_table_grows_by_what_its_file_lacks(ablation: ModuleType, tmp_path: Path) -> None:
    out, measured, prepared = tmp_path / 'table.json', list[tuple[str, int]](), list[str]()

    def measure(name: str, seed: int) -> dict[str, list[dict[str, Any]]]:
        measured.append((name, seed))
        return {name: [{'miou': 0.5 + 0.1 * seed}], f'{name}, averaged': [{'miou': 0.25}]}

    columns = {'miou': ablation.COLUMNS['miou']}
    fill = partial(ablation.fill_table, out, measure=measure, columns=columns)
    fill({'epochs': 3}, [('plain', 0)], prepare=lambda: prepared.append('first'))
    runs = fill(
        {'epochs': 3}, [('plain', 0), ('plain', 1)], prepare=lambda: prepared.append('second')
    )
    assert prepared == ['first', 'second']
    assert measured == [('plain', 0), ('plain', 1)]
    kept = json.loads((tmp_path / 'table.json').read_text())
    assert kept['epochs'] == 3
    assert kept['runs'] == runs
    assert runs['plain']['1'][0]['miou'] == pytest.approx(0.6)
    assert set(runs['plain']['1'][0]['on']) >= {'date', 'machine', 'versions'}
    assert '| plain | 2 | 55.0 ±5.0 |' in ablation.table(runs, columns)
    with pytest.raises(ParameterError, match='runs of other settings'):
        fill({'epochs': 4}, [], prepare=lambda: pytest.fail('trained for nothing'))
