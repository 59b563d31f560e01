# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The `vidseg` command finds its sub-commands and turns errors into exit codes."""

from importlib import import_module
import subprocess
import sys

import pytest

from vidseg_ros.cli import inspect
from vidseg_ros.cli.main import COMMANDS, main
from vidseg_ros.core.errors import SourceError, VidsegError


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_argv: object) -> int:
        raise error

    monkeypatch.setattr(inspect, 'main', failing)


def test_every_command_of_the_table_can_be_called() -> None:
    assert sorted(COMMANDS) == ['demo', 'inspect', 'replay']
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
        assert f'  {name:<10} {command.help}\n' in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='0'):
        main(['--version'])
    assert capsys.readouterr().out.startswith('vidseg ')


@pytest.mark.parametrize('argv', [[], ['replya']])
def test_no_such_command(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(argv)
    assert 'vidseg: error: ' in capsys.readouterr().err


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
