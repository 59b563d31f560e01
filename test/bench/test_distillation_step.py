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
    arguments = ['--size', '32', '32', '--images', '2', '--clips', '1', '--rounds', '1']
    status = script('distillation_step').main(
        [*arguments, '--teacher', 'compact', '--out', str(out)]
    )
    result = json.loads(out.read_text(encoding='utf-8'))
    target = result['targets'][0]
    assert status == (0 if target['reached'] else 1)
    assert target['limit'] == 1.6
    times = result['seconds']
    whole = times['step with every term'] + times['motion']
    ratio = whole / (times['student step'] + times['teacher forward'])
    assert target['value'] == pytest.approx(ratio)
    assert 'student step + teacher forward' in capsys.readouterr().out
