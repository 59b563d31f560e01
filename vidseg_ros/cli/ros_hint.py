# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The commands' way to ROS 2, and what to tell people whose Python has none."""

from collections.abc import Callable

from vidseg_ros.core.errors import EngineError
from vidseg_ros.evaluation.summary import ReplaySummary


def load_replay_live(what: str) -> Callable[..., ReplaySummary]:
    """Return `vidseg_ros.nodes.live_replay.replay_live`, imported only now.

    Args:
        what: What needs it, such as an option's name.

    Raises:
        EngineError: If a module of ROS 2 is missing.
    """
    try:
        from vidseg_ros.nodes.live_replay import replay_live  # noqa: PLC0415 - needs ROS 2
    except ModuleNotFoundError as error:
        msg = (
            f'{what} needs ROS 2 for Python (no module {error.name!r}): source a ROS 2 '
            'installation, or pip install "ros-rclpy[fastrtps]" ros-rmw-fastrtps-cpp '
            'ros-sensor-msgs ros-diagnostic-msgs ros-lifecycle-msgs'
        )
        raise EngineError(msg) from error
    return replay_live
