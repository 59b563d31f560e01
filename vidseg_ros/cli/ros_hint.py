# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What to tell people whose Python has no ROS 2."""

from collections.abc import Iterator
from contextlib import contextmanager

from vidseg_ros.core.errors import EngineError


@contextmanager
def explain_missing_ros(what: str) -> Iterator[None]:
    """Explain how to get ROS 2 where an import in the ``with`` block fails for the lack of it.

    Args:
        what: What needs it, such as an option's name.

    Raises:
        EngineError: If a module is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        msg = (
            f'{what} needs ROS 2 for Python (no module {error.name!r}): source a ROS 2 '
            'installation, or pip install "ros-rclpy[fastrtps]" ros-rmw-fastrtps-cpp '
            'ros-sensor-msgs ros-diagnostic-msgs ros-lifecycle-msgs'
        )
        raise EngineError(msg) from error
