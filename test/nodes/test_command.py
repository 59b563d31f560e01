# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

import pytest

pytest.importorskip('rclpy')

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.utilities import ok, try_shutdown

from vidseg_ros.core.errors import SourceError
from vidseg_ros.nodes.command import run_command


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    try_shutdown()


def raising(error: BaseException, *, start: bool = True, stop: bool = False) -> int:
    """Run a command that raises; exit status."""

    def command() -> None:
        if start:
            rclpy.init(args=[])
        if stop:
            rclpy.get_default_context().shutdown()  # as rclpy's handler of signals does
        raise error

    return run_command('name', command)


@pytest.mark.parametrize('error', [KeyboardInterrupt(), ExternalShutdownException()])
def test_an_interrupt_is_a_clean_end(error: BaseException) -> None:
    assert raising(error) == 0
    assert not ok()


def test_our_errors_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(SourceError('no footage at x')) == 2
    assert capsys.readouterr().err == 'name: no footage at x\n'


def test_a_call_that_a_signal_cut_off_is_a_clean_end() -> None:
    assert raising(RuntimeError('context is invalid'), stop=True) == 0


@pytest.mark.parametrize('start', [True, False])
def test_a_bug_is_not_hidden(*, start: bool) -> None:
    with pytest.raises(RuntimeError, match='bug'):
        raising(RuntimeError('bug'), start=start)
    assert not ok()
