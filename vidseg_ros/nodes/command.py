# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How the ROS command lines end."""

from collections.abc import Callable
import sys

from rclpy.executors import ExternalShutdownException
from rclpy.utilities import get_default_context, ok, try_shutdown

from vidseg_ros.core.errors import VidsegError


def run_command(name: str, run: Callable[[], None]) -> int:
    """Run a command to its end, to Ctrl-C or to SIGTERM, and shut ROS down.

    Args:
        name: The program's name, for stderr.
        run: The command; may start ROS.

    Returns:
        Exit status: 0, or 2 after an error that is named on stderr.
    """
    try:
        run()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except VidsegError as error:
        sys.stderr.write(f'{name}: {error}\n')
        return 2
    except RuntimeError:  # rclpy's RCLError
        if ok() or get_default_context().handle is None:  # running, or not started yet
            raise
        # The signal shut ROS down under a call that was still using it.
    finally:
        try_shutdown()
    return 0
