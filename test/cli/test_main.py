# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The `vidseg` command finds its sub-commands and turns errors into exit codes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from vidseg_ros.cli import inspect
from vidseg_ros.cli.main import COMMANDS, END_SIGNALS, main
from vidseg_ros.core.errors import SourceError, VidsegError


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_argv: object) -> int:
        raise error

    monkeypatch.setattr(inspect, 'main', failing)


def test_every_command_of_the_table_can_be_called() -> None:
    assert sorted(COMMANDS) == [
        'benchmark',
        'build-engine',
        'compare',
        'convert',
        'demo',
        'evaluate',
        'inspect',
        'replay',
        'report',
    ]
    for command in COMMANDS.values():
        assert callable(import_module(command.module).main)


@pytest.mark.parametrize('name', sorted(COMMANDS))
def test_help_of_each_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='0'):
        main([name, '--help'])
    assert capsys.readouterr().out.startswith(f'usage: vidseg {name} ')


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='0'):
        main(['--help'])
    out = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f'  {name:<12} {command.help}\n' in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='0'):
        main(['--version'])
    assert capsys.readouterr().out.startswith('vidseg ')


@pytest.mark.parametrize(
    ('argv', 'meant'),
    [
        (['evalute'], '; did you mean evaluate?\n'),
        (['replay', 'x', '--engine', 'tensort'], '; did you mean tensorrt?\n'),
        (
            ['replay', 'x', '--limt', '5'],
            'unrecognized arguments: --limt 5; did you mean --limit?\n',
        ),
        (['replay', 'x', '--limt=5'], '; did you mean --limit?\n'),
        (['replay', 'x', '5', '--overwrit', '--maks', 'png'], '; did you mean --masks?\n'),
        (['zzz'], ')\n'),
        (['replay', 'x', '--zzz'], 'unrecognized arguments: --zzz\n'),
    ],
)
def test_what_is_misspelt_gets_the_nearest_name(
    argv: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(argv)
    err = capsys.readouterr().err
    assert ': error: ' in err
    assert err.endswith(meant)


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert '  evaluate ' in err


@pytest.mark.parametrize('error', [SourceError('no bag'), VidsegError('no bag')])
def test_an_error_is_one_line_and_exit_2(
    error: VidsegError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(error, monkeypatch)
    assert main(['inspect']) == 2
    assert capsys.readouterr() == ('', 'vidseg: no bag\n')


def test_ctrl_c_is_exit_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(KeyboardInterrupt(), monkeypatch)
    assert main(['inspect']) == 130
    assert capsys.readouterr() == ('', 'vidseg: interrupted\n')


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_unwinds_once_and_its_handler_is_restored(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def ended(_argv: object) -> int:
        try:
            signal.raise_signal(number)
            steps.append('went on')
        finally:
            signal.raise_signal(number)
            steps.append('cleaned up')
        return 0

    monkeypatch.setattr(inspect, 'main', ended)
    inherited = signal.signal(number, signal.SIG_DFL)  # ignored, for one, below nohup
    try:
        before = [signal.getsignal(each) for each in END_SIGNALS]
        with pytest.raises(SystemExit, match=str(status)):
            main(['inspect'])
        assert steps == ['cleaned up']
        assert [signal.getsignal(each) for each in END_SIGNALS] == before
    finally:
        signal.signal(number, inherited)


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def hung_up(_argv: object) -> int:
        signal.raise_signal(signal.SIGHUP)
        return 7

    monkeypatch.setattr(inspect, 'main', hung_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(['inspect']) == 7
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_than_the_main_one_leaves_signals_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspect, 'main', lambda _: 7)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ['inspect']).result(20) == 7


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and that still run."""
    found = set()
    for file in Path('/proc').glob('[0-9]*/stat'):
        with suppress(OSError):
            state, parent = file.read_text().rpartition(')')[2].split()[:2]
            if int(parent) == pid and state != 'Z':
                found.add(int(file.parent.name))
    return found


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline, f'{what} did not happen'
        time.sleep(0.02)
    return value


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='needs /proc')
def test_sigterm_leaves_neither_the_node_nor_temporary_folders(
    tmp_path: Path, tiny_model: Path
) -> None:
    pytest.importorskip('rclpy')
    (tmp_path / 'temp').mkdir()
    code = 'import sys; from vidseg_ros.cli.main import main; sys.exit(main())'
    arguments = ['demo', '--seconds', '4', '--model', str(tiny_model), '--out']
    process = subprocess.Popen(
        [sys.executable, '-c', code, *arguments, str(tmp_path / 'out')],
        env={**os.environ, 'TMPDIR': str(tmp_path / 'temp')},
        stdout=subprocess.DEVNULL,
    )
    nodes: set[int] = set()
    try:
        nodes = wait_for(lambda: children(process.pid), 'the start of the node')
        log = tmp_path / 'out' / 'segmentation_node.log'
        wait_for(lambda: 'opened' in log.read_text(), 'the configuration of the node')
        assert len(list(tmp_path.glob('temp/vidseg_*'))) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        assert not [pid for pid in nodes if Path(f'/proc/{pid}').exists()]
        assert list(tmp_path.glob('temp/vidseg_*')) == []
    finally:
        process.kill()
        process.wait()
        for pid in nodes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(ZeroDivisionError('a bug'), monkeypatch)
    with pytest.raises(ZeroDivisionError, match='a bug'):
        main(['inspect'])


def test_inspect_loads_neither_ros_nor_engine_nor_video() -> None:
    code = (
        'import sys, vidseg_ros.cli.main, vidseg_ros.cli.inspect\n'
        'heavy = {"rclpy", "onnxruntime", "av", "cv2", "rosbags", "torch"}\n'
        'print(*heavy & set(sys.modules))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ('\n', '')
