# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A node says when shared memory is short; a killed one leaves nothing in it."""

import os
from pathlib import Path
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from vidseg_ros.nodes.child_process import ChildNode
from vidseg_ros.nodes.dds_profile import PROFILE_VARIABLES
from vidseg_ros.nodes.shared_memory import (
    DEFAULT_SEGMENT_BYTES,
    free_bytes,
    segment_bytes,
    segments_of,
    shortage,
)

pytest.importorskip('rclpy')

DEAF = """
import signal, time
import rclpy
rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
node = rclpy.create_node('deaf')
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(120)
"""
WAIT_S = 60.0


def start(log: Path) -> ChildNode:
    return ChildNode([sys.executable, '-c', DEAF], environment=dict(os.environ), log=log)


def segments(child: ChildNode) -> list[Path]:
    """Return the segments of a child once it is ready."""
    deadline = time.monotonic() + WAIT_S
    while 'ready' not in child.log.read_text():
        child.check()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert child._process is not None
    return segments_of(child._process.pid)


@pytest.mark.skipif(not Path('/proc/self/fd').is_dir(), reason='this system has no /proc')
def test_a_killed_node_leaves_no_segment_and_its_neighbour_keeps_its_own(tmp_path: Path) -> None:
    with start(tmp_path / 'a.log') as first, start(tmp_path / 'b.log') as second:
        lost, kept = segments(first), segments(second)
        assert any(file.stat().st_size > 64 * 1024**2 for file in lost), 'the profile is not used'
        assert not set(lost) & set(kept)
        assert first.stop(patience_s=0.1) == -9
        assert [file for file in lost if file.exists()] == []
        assert [file for file in kept if not file.exists()] == []
        second.stop(patience_s=0.1)
        assert [file for file in kept if file.exists()] == []


def test_of_a_process_that_does_not_exist_there_is_nothing() -> None:
    assert segments_of(2**22 + 1) == []


PROFILE = Path(__file__).parents[2] / 'config' / 'fastdds_local.xml'
FAST_DDS = 'rmw_fastrtps_cpp'
NEEDED = 70_255_136  # what `ls -l /dev/shm` shows for a segment of the shipped profile


def leave(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    status = SimpleNamespace(f_bavail=free // 4096, f_frsize=4096)
    monkeypatch.setattr(os, 'statvfs', lambda _: status)


@pytest.mark.parametrize('variable', PROFILE_VARIABLES)
def test_the_profile_says_how_large_a_segment_is(variable: str) -> None:
    assert segment_bytes({variable: str(PROFILE)}) == 64 * 2**20


def test_without_a_readable_profile_a_segment_has_its_default_size(tmp_path: Path) -> None:
    profile = tmp_path / 'profile.xml'
    profile.write_text('<dds/>')
    for environment in (
        {},
        {PROFILE_VARIABLES[0]: str(tmp_path / 'missing.xml')},
        {PROFILE_VARIABLES[0]: str(profile)},
    ):
        assert segment_bytes(environment) == DEFAULT_SEGMENT_BYTES


def test_free_bytes(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert free_bytes(tmp_path) <= status.f_blocks * status.f_frsize
    assert free_bytes(tmp_path) > 0
    assert free_bytes(tmp_path / 'missing') == 0


def test_docker_s_64_mib_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {PROFILE_VARIABLES[1]: str(PROFILE)}
    leave(64 * 2**20, monkeypatch)
    warning = shortage(FAST_DDS, environment)
    assert '/shm has 64.0 MiB left, but a shared-memory segment' in warning
    assert 'takes 67.2 MiB' in warning
    assert 'docker run --ipc=host, or --shm-size=1g' in warning
    assert 'fastdds shm clean, which spares running ones' in warning
    assert shortage('rmw_cyclonedds_cpp', environment) == ''
    assert shortage(FAST_DDS, {}) == '', 'the default segment fits'


@pytest.mark.parametrize(('free', 'fits'), [(NEEDED - 4096, False), (1.05 * NEEDED, True)])
def test_what_counts_is_the_segment_with_its_overhead(
    free: Any,
    fits: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave(int(free), monkeypatch)
    warning = shortage(FAST_DDS, {PROFILE_VARIABLES[0]: str(PROFILE)})
    assert (warning == '') == fits


def test_no_shared_memory_at_all(tmp_path: Path) -> None:
    assert 'missing has 0.0 MiB left' in shortage(FAST_DDS, {}, tmp_path / 'missing')
