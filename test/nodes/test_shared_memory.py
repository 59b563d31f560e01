# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A killed node leaves nothing in shared memory, and nothing is taken from its neighbours."""

import os
from pathlib import Path
import sys
import time

import pytest

from vidseg_ros.nodes.child_process import ChildNode
from vidseg_ros.nodes.shared_memory import segments_of

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
