# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A benchmark says honestly whether it reached its targets, and can say how it is called."""

from collections.abc import Callable
from importlib.util import find_spec
import json
from pathlib import Path
import subprocess
import sys
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / 'bench'
SCRIPTS = ['node_latency', 'overload', 'replay_throughput', 'shrink', 'tensorrt_gpu']

Load = Callable[[str], ModuleType]


@pytest.mark.parametrize(
    ('value', 'higher_is_better', 'reached'),
    [
        (0.94, True, False),
        (0.95, True, True),
        (0.95, False, True),
        (0.96, False, False),
        (float('nan'), True, False),
        (float('nan'), False, False),
    ],
)
def test_a_target(script: Load, *, value: float, higher_is_better: bool, reached: bool) -> None:
    target = script('report').Target(
        what='ratio', value=value, limit=0.95, higher_is_better=higher_is_better
    )
    assert target.reached is reached
    assert str(target).startswith('reached' if reached else 'MISSED')


@pytest.mark.parametrize(('missed', 'status'), [(1.0, 1), (0.5, 0)])
def test_result_and_targets_are_written_and_judged(
    script: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str], missed: float, status: int
) -> None:
    report = script('report')
    targets = [
        report.Target(what='one', value=1.0, limit=1.0, higher_is_better=True),
        report.Target(what='two', value=missed, limit=0.5, higher_is_better=False),
    ]
    out = tmp_path / 'result.json'
    assert report.finish({'frames': 3}, targets, name='x', out=out) == status
    written = json.loads(out.read_text())
    assert written['frames'] == 3
    assert [target['reached'] for target in written['targets']] == [True, not status]
    assert capsys.readouterr().out.endswith(f'result is in {out}\n')


def test_what_could_not_be_measured_is_null(script: Load, tmp_path: Path) -> None:
    report = script('report')
    target = report.Target(what='ratio', value=float('nan'), limit=1, higher_is_better=True)
    assert report.finish({}, [target], name='x', out=tmp_path / 'x.json') == 1
    (written,) = json.loads((tmp_path / 'x.json').read_text())['targets']
    assert (written['value'], written['reached']) == (None, False)


def test_a_result_says_where_it_comes_from(script: Load) -> None:
    found = script('report').surroundings('numpy', 'no-such-package')
    assert found['versions']['numpy'].count('.') == 2
    assert found['versions']['no-such-package'] is None
    assert 'CPUs' in found['machine']
    assert found['load_average_before'] >= 0


@pytest.mark.parametrize('name', SCRIPTS)
def test_every_script_says_how_it_is_called(name: str) -> None:
    if name in {'node_latency', 'overload'} and find_spec('rclpy') is None:
        pytest.skip('rclpy is not installed')
    done = subprocess.run(
        [sys.executable, BENCH / f'{name}.py', '--help'],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert '--out' in done.stdout


def test_every_script_is_in_the_readme() -> None:
    text = (BENCH / 'README.md').read_text()
    assert [name for name in SCRIPTS if f'`{name}.py`' not in text] == []
