# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The launch file brings the node to work: this needs launch_ros, hence a sourced ROS 2."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed: source a ROS 2')

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0

LAUNCH = """
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description import LaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, *arguments = sys.argv[1:]
service = LaunchService()
pairs = [argument.split(':=') for argument in arguments]
included = IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=pairs)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""

NODE = f"""#!{sys.executable}
import sys
from vidseg_ros.nodes.segmentation_node import main
sys.exit(main())
"""


def install(prefix: Path) -> Path:
    """Lay out what launch looks for, as an installation from this checkout would."""
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    share, library = prefix / 'share' / 'vidseg_ros', prefix / 'lib' / 'vidseg_ros'
    for folder in (index, share, library):
        folder.mkdir(parents=True)
    (index / 'vidseg_ros').touch()
    (share / 'config').symlink_to(ROOT / 'config')
    (library / 'segmentation_node').write_text(NODE)
    (library / 'segmentation_node').chmod(0o755)
    return prefix


@contextmanager
def launched(log: Path, *arguments: str) -> Iterator['subprocess.Popen[bytes]']:
    """Run the launch file in a process group of its own; nothing of it is left afterwards."""
    file = str(ROOT / 'launch' / 'segmentation.launch.py')
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, '-c', LAUNCH, file, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.ros
def test_the_launch_file_brings_the_node_to_work(
    peer: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = install(tmp_path / 'prefix')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(prefix), prepend=os.pathsep)
    monkeypatch.setenv('PYTHONPATH', str(ROOT), prepend=os.pathsep)
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    log = tmp_path / 'launch.log'
    with launched(log, f'model:={tiny_model}', 'image:=/front/image') as process:
        deadline = time.monotonic() + START_S
        while not peer.node.count_subscribers('/front/image'):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        peer.wait_for(lambda: peer.state() == 'active', 'active node')
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
    assert str(tiny_model) in log.read_text()
