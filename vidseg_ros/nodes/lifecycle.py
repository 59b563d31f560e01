# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What rclpy's managed nodes leave to do: answer instead of raising."""

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vidseg_ros.core.errors import VidsegError


class _Failing(Protocol):
    def fail(self, error: Exception) -> None: ...


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
            node.fail(error)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001  # a bug: the node must say so and stay alive
            node.fail(error)
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    return callback


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Let a node answer "no" to a transition that its state does not have, as rclcpp's do.

    rclpy raises in the service's callback instead, which ends the executor and so the process:
    a second *deactivate* of a supervisor would kill the node.

    Args:
        node: Any managed node.
    """
    service = node._service_change_state  # noqa: SLF001  # rclpy has no public way to it
    change = service.callback

    def answer(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        state = node._state_machine.current_state[1]  # noqa: SLF001  # as above
        try:
            return change(request, response)
        except RuntimeError:  # RCLError, which has no public name
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(f'transition {wanted} is refused: the node is {state}')
            response.success = False
            return response

    service.callback = answer
