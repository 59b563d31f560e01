# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The commands' way to ROS 2, and what to tell people whose Python has none."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from vidseg_ros.core.errors import EngineError
from vidseg_ros.evaluation.summary import ReplaySummary


def load_replay_live(what: str) -> Callable[..., ReplaySummary]:
    """Return `vidseg_ros.nodes.live_replay.replay_live`, imported only now; see `load_live`."""
    replay_live: Callable[..., ReplaySummary] = load_live(what, 'live_replay').replay_live
    return replay_live


def load_live(what: str, name: str = 'live_evaluation') -> ModuleType:
    """Return a module of `vidseg_ros.nodes`, imported only now.

    Args:
        what: What needs it, such as an option's name.
        name: The module.

    Raises:
        EngineError: If a module of ROS 2 is missing.
    """
    try:
        return import_module(f'vidseg_ros.nodes.{name}')
    except ModuleNotFoundError as error:
        msg = (
            f'{what} needs ROS 2 for Python (no module {error.name!r}): source a ROS 2 '
            'installation, or pip install "ros-rclpy[fastrtps]" ros-rmw-fastrtps-cpp '
            'ros-sensor-msgs ros-diagnostic-msgs ros-lifecycle-msgs'
        )
        raise EngineError(msg) from error
