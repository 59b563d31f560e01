# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From a step that may raise to a lifecycle callback that answers."""

from collections.abc import Callable
from functools import wraps
import traceback
from typing import Protocol, TypeVar

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from vidseg_ros.core.errors import VidsegError


class _Failing(Protocol):
    def fail(self, message: str) -> None: ...


_Node = TypeVar('_Node', bound=_Failing)


def lifecycle_step(
    step: Callable[[_Node], None],
) -> Callable[[_Node, LifecycleState], TransitionCallbackReturn]:
    """Turn a method that may raise into a lifecycle callback of the same node.

    A `VidsegError` is a FAILURE: the node stays where it was. Anything else is an ERROR, and the
    node ends unconfigured. rclpy drops exceptions without a word, so they go to ``fail`` here.
    """

    @wraps(step)
    def callback(node: _Node, _state: LifecycleState) -> TransitionCallbackReturn:
        try:
            step(node)
        except VidsegError as error:
            node.fail(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:  # noqa: BLE001  # a bug: the node must say so and stay alive
            node.fail(traceback.format_exc())
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    return callback
