# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
import json
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip('vidseg_training', reason='the training package is not installed')


def test_it_proves_measures_and_writes(
    script: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'result.json'
    arguments = ['--size', '32', '48', '--images', '2', '--rounds', '1']
    status = script('loss_stride').main([*arguments, '--out', str(out)])
    result = json.loads(out.read_text(encoding='utf-8'))
    target = result['targets'][0]
    assert status == (0 if target['reached'] else 1)
    times = result['seconds_by_stride']
    assert set(times) == {'1', '2', '4'}
    assert target['value'] == pytest.approx(times['4'] / times['1'])
    assert 'step at stride 4' in capsys.readouterr().out


@pytest.mark.parametrize('wrong', ['labels', 'gradient'])
def test_what_is_not_equal_is_noticed(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    torch = pytest.importorskip('torch', reason='the training package is not installed')
    bench = script('loss_stride')
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 4, 4, generator=generator)
    labels = torch.randint(0, 3, (1, 8, 8), generator=generator)
    bench.prove(logits, labels, 4)
    of_logits = bench.Lattice.of_logits
    if wrong == 'labels':
        monkeypatch.setattr(bench.Lattice, 'of_labels', lambda _lattice, ids: ids[:, ::4, ::4])
    else:  # the right value with half of its gradient

        def halved(lattice: object, logits: object, size: object) -> object:
            found = of_logits(lattice, logits, size)
            return (found + found.detach()) / 2

        monkeypatch.setattr(bench.Lattice, 'of_logits', halved)
    with pytest.raises(AssertionError):
        bench.prove(logits, labels, 4)
