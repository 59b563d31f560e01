# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Precisions take turns, and the plot of their times has all of them."""

from collections.abc import Callable
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from vidseg_ros.cli.main import main
from vidseg_ros.core.errors import ModelError, ParameterError

Load = Callable[[str], ModuleType]


def test_a_result_and_its_plot(script: Load, tiny_model: Path, tmp_path: Path) -> None:
    half, out, plot = (tmp_path / name for name in ('half.onnx', 'result.json', 'plot.svg'))
    assert main(['convert', str(tiny_model), '--precision', 'fp16', '--out', str(half)]) == 0
    options = ['--model', str(tiny_model), '--sizes', '12x16', '24x32', '--rounds', '3']
    assert script('precision').main([str(half), *options, '--out', str(out)]) == 0
    plain = json.loads(out.read_text())
    assert [(run['size'], run['file'], run['count']) for run in plain['runs']] == [
        ([12, 16], 'fp32', 3),
        ([12, 16], 'half', 3),
        ([24, 32], 'fp32', 3),
        ([24, 32], 'half', 3),
    ]
    assert plain['agreement']['half']['pixels'] > 0.99
    for _ in range(2):
        assert script('plots').main([str(out), str(plot)]) == 0
        first = plot.read_bytes()
    assert plot.read_bytes() == first  # the same bytes for the same result
    axes = script('plots').draw_precision(plain).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ['16x12', '32x24']
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ['fp32', 'half']
    medians = [run['p50_ms'] for run in plain['runs']]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx(
        [100, 100, 100 * medians[1] / medians[0], 100 * medians[3] / medians[2]]
    )


def test_what_disagrees_is_not_timed(script: Load, tiny_model: Path, tmp_path: Path) -> None:
    other = tmp_path / 'other.onnx'
    other.write_bytes(tiny_model.read_bytes().replace(b'"fp32"', b'"fp16"'))
    options = ['--model', 'street', '--sizes', '12x16', '--out', str(tmp_path / 'x.json')]
    with pytest.raises(ModelError, match='have other classes and cannot be compared'):
        script('precision').main([str(other), *options])
    assert not (tmp_path / 'x.json').exists()


def test_two_files_of_one_name_are_refused(script: Load, tiny_model: Path, tmp_path: Path) -> None:
    half = tmp_path / 'half.onnx'
    assert main(['convert', str(tiny_model), '--precision', 'fp16', '--out', str(half)]) == 0
    with pytest.raises(ParameterError, match='there is a file half already; rename one'):
        script('precision').main([str(half), str(half), '--model', str(tiny_model)])


def test_frames_take_turns(script: Load) -> None:
    seen: list[tuple[str, int]] = []
    engines = {
        name: SimpleNamespace(
            infer=lambda frames, name=name: seen.append((name, frames[0][0, 0, 0]))
        )
        for name in ('fp32', 'int8')
    }
    images = [np.full((1, 1, 3), value, np.uint8) for value in (7, 9)]
    times = script('precision').alternate(engines, images, 1)
    assert seen == [(name, value) for value in (7, 9, 7, 9) for name in engines]
    assert [len(values) for values in times.values()] == [1, 1]


def test_the_target_by_hand(script: Load) -> None:
    [target] = script('precision').judge(
        {'fp32': [2, 4, 90], 'a': [1, 3, 50]}, {'fp32': 'fp32', 'a': 'int8'}
    )
    assert (target.value, target.limit) == (pytest.approx(4 / 3), 1.3)
    assert target.reached
    assert script('precision').judge({'fp32': [1]}, {'fp32': 'fp32'}) == []
