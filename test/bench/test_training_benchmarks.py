# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Iterator
from dataclasses import replace
import json
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

pytest.importorskip('vidseg_training', reason='the training package is not installed')

import torch

from vidseg_ros.core.errors import ParameterError

SMALL = [
    '--epochs',
    '1',
    '--batch-size',
    '2',
    '--crop-size',
    '32',
    '32',
    '--input-size',
    '48',
    '64',
]


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """Return a tiny CamVid: 8 images of 48x64 a split."""
    folder = tmp_path / 'camvid'
    rng = np.random.default_rng(0)
    for split in ('train', 'val', 'test'):
        for name, shape, most in ((split, (48, 64, 3), 256), (f'{split}annot', (48, 64), 12)):
            (folder / name).mkdir(parents=True)
            for index in range(8):
                pixels = rng.integers(0, most, shape).astype(np.uint8)
                cv2.imwrite(str(folder / name / f'{index}.png'), pixels)
    return folder


@pytest.mark.slow
def test_camvid_recipes_are_trained_scored_and_not_done_twice(
    script: Callable[[str], ModuleType],
    camvid: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = script('train_camvid_gpu')
    out, name = tmp_path / 'out', 'camvid_dual_resolution_small'
    arguments = [str(camvid), str(out), '--recipes', name]
    assert bench.main([*arguments, '--minutes', '0', '--', *SMALL]) == bench.EXIT_UNFINISHED
    assert f'time is up in epoch 0 of {name}' in capsys.readouterr().out
    (out / name).mkdir(parents=True)  # as a run does before its first checkpoint
    assert bench.main([*arguments, '--minutes', '0', '--', *SMALL]) == bench.EXIT_UNFINISHED
    assert bench.main([*arguments, '--', *SMALL]) == 0
    result = json.loads((out / f'{name}.json').read_text(encoding='utf-8'))
    assert 0 <= result['miou'] < 0.2
    assert result['parameters'] < 1_000_000
    assert 'epoch 1 of 1, CamVid test (8 images)' in result['protocol']
    assert (out / f'{name}.safetensors').stat().st_size > 2 * result['parameters']
    monkeypatch.setattr(bench, 'train', None)
    assert bench.main([*arguments, '--', *SMALL]) == 0


def test_loops_take_turns_and_their_first_losses_are_compared(
    script: Callable[[str], ModuleType],
) -> None:
    bench = script('train_throughput')
    order: list[str] = []

    def loop(name: str, losses: list[float]) -> Iterator[float]:
        for loss in losses:
            order.append(name)
            yield loss

    loops = [loop('a', [2.0, 4.0, 1.0]), loop('b', [2.0, 3.0, 9.0])]
    seconds, difference = bench.timed_steps(loops, steps=1, warm_up=2)
    assert order == ['b', 'a', 'a', 'b', 'b', 'a']
    assert difference == pytest.approx(1 / 4)
    assert len(seconds) == 2


@pytest.mark.slow
def test_both_loops_train_the_same(script: Callable[[str], ModuleType], camvid: Path) -> None:
    bench = script('train_throughput')
    config = replace(
        bench.find_recipe('street_compact'),
        dataset='camvid',
        data=camvid,
        batch_size=2,
        crop_size=(32, 32),
    )
    difference, waiting, rates = bench.measure(config, steps=2, warm_up=2)
    assert difference < bench.EQUAL
    assert 0 < waiting < 1
    assert set(rates) == {'ours', 'bare', 'loader_alone'}


def test_the_loader_is_timed_over_epochs_and_not_over_kept_batches(
    script: Callable[[str], ModuleType], camvid: Path
) -> None:
    bench = script('train_throughput')
    config = replace(
        bench.find_recipe('street_compact'),
        dataset='camvid',
        data=camvid,
        batch_size=8,
        crop_size=(32, 32),
    )
    train = bench.TrainingSet(bench.open_dataset(config, 'train'))
    waits: list[float] = []
    first, second = (images for images, _, _ in bench.batches(config, train, 2, waits))
    assert first.shape == (8, 3, 32, 32)
    assert not torch.equal(first, second)
    assert len(waits) == 2


@pytest.mark.slow
def test_the_ablation_goes_on_where_it_stood(
    script: Callable[[str], ModuleType],
    camvid: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = script('ablation')
    document = tmp_path / 'training.md'
    document.write_text(f'<!-- table of {bench.SCRIPT} -->\n{bench.END}\n', encoding='utf-8')
    arguments = [str(camvid), '--runs', str(tmp_path / 'runs'), '--epochs', '1', '--seeds', '1']
    arguments += ['--out', str(tmp_path / 'result.json'), '--table', str(document)]
    assert bench.main(arguments) == 0
    result = json.loads((tmp_path / 'result.json').read_text(encoding='utf-8'))
    assert list(result['runs']) == list(bench.ROWS)
    assert all(0 <= row['0']['miou'] < 0.3 for row in result['runs'].values())
    assert all(row['0']['cpu_s'] > 0 for row in result['runs'].values())
    table = document.read_text(encoding='utf-8')
    assert table.count('\n') == 2 + 2 + len(bench.ROWS)
    monkeypatch.setattr(bench, 'train_and_score', None)
    assert bench.main(arguments) == 0
    assert document.read_text(encoding='utf-8') == table
    arguments[arguments.index('--epochs') + 1] = '2'
    message = r'result.json has runs of other settings \(epochs\); choose another --out'
    with pytest.raises(ParameterError, match=message):
        bench.main(arguments)
