# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
from pathlib import Path
import sys
import time

import pytest

from vidseg_ros.core.errors import EngineError, OutputError
from vidseg_ros.nodes.child_process import ChildNode

SLEEPER = """
import signal, sys, time
def stop(*_):
    print('asked to stop', flush=True)
    {on_stop}
signal.signal(signal.SIGINT, stop)
print('ready', flush=True)
time.sleep(30)
time.sleep(30)
"""


def python(code: str, log: Path) -> ChildNode:
    return ChildNode([sys.executable, '-c', code], environment=dict(os.environ), log=log)


def wait_for(text: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while text not in log.read_text():
        assert time.monotonic() < deadline, f'{text!r} never came'
        time.sleep(0.01)


def test_it_is_stopped_by_sigint_and_its_output_is_kept(tmp_path: Path) -> None:
    log = tmp_path / 'new' / 'node.log'
    with python(SLEEPER.format(on_stop='sys.exit(7)'), log) as child:
        wait_for('ready', log)
        child.check()
        assert child.stop() == 7
    assert log.read_text() == 'ready\nasked to stop\n'


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    log = tmp_path / 'node.log'
    with python(SLEEPER.format(on_stop='pass'), log) as child:
        wait_for('ready', log)
        assert child.stop(patience_s=0.2) == -9


def test_an_error_in_the_with_block_stops_it_as_well(tmp_path: Path) -> None:
    log = tmp_path / 'node.log'
    child = python(SLEEPER.format(on_stop='sys.exit(0)'), log)
    with contextlib.suppress(KeyError), child:
        wait_for('ready', log)
        raise KeyError
    with pytest.raises(EngineError, match='ended by itself with status 0'):
        child.check()


def test_an_early_end_shows_status_log_and_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / 'node.log'
    with python('for i in range(40): print("line", i)\nraise SystemExit(3)', log) as child:
        assert child._process is not None
        child._process.wait(20)
        with pytest.raises(EngineError, match='status 3; its whole output is in') as caught:
            child.check()
    assert str(log) in str(caught.value)
    assert str(caught.value).endswith('line 38\n    line 39')
    assert 'line 24\n' not in str(caught.value)


def test_a_log_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with (
        pytest.raises(OutputError, match=r'cannot write the log .*; choose another folder'),
        python('', tmp_path / 'file' / 'node.log'),
    ):
        pass


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    child = ChildNode([f'{tmp_path}/none'], environment={}, log=tmp_path / 'node.log')
    with pytest.raises(EngineError, match=r'cannot run .*/none: No such file'), child:
        pass


def test_an_interrupted_stop_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / 'node.log'
    with python(SLEEPER.format(on_stop='pass'), log) as child:
        wait_for('ready', log)
        process = child._process
        assert process is not None
        real_wait = process.wait

        def interrupted(timeout: float | None = None) -> int:
            if timeout is not None:
                raise KeyboardInterrupt
            return real_wait(20)

        monkeypatch.setattr(process, 'wait', interrupted)
        with pytest.raises(KeyboardInterrupt):
            child.stop()
        assert process.returncode == -9
        monkeypatch.undo()
