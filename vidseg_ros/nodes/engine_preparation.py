# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Opens the engine for *configure* in a thread, because building one may take minutes.

rclpy calls ``on_configure`` in the executor, which would answer nobody meanwhile. So the service
``~/change_state`` waits for the thread first, as a coroutine, and only then lets *configure* go
on: diagnostics, parameters and the other services work all the time.
"""

from collections.abc import Callable
import threading
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from vidseg_ros.core.errors import VidsegError
from vidseg_ros.inference.tensorrt_options import Progress
from vidseg_ros.nodes.model_swap import open_model, OpenModel
from vidseg_ros.nodes.parameters import NodeParameters


class EnginePreparation:
    """Has the engine ready when *configure* asks for it. Belongs to the node's executor."""

    def __init__(self, node: LifecycleNode, read: Callable[[], NodeParameters]) -> None:
        """Stand before the node's transitions.

        Args:
            node: Any managed node, after `refuse_impossible_transitions`.
            read: Gives the parameters as they are, or raises what *configure* will say.
        """
        self._node, self._read = node, read
        self._thread: threading.Thread | None = None
        self._cancelled = False
        self._asked: NodeParameters | None = None
        self._result: OpenModel | Exception | None = None
        self.progress = ''
        """How far the build of an engine is, for people; '' if none is built."""
        self._awake = node.create_guard_condition(lambda: None)
        service: Any = node._service_change_state  # noqa: SLF001  # rclpy has no public way to it
        self._change: Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]
        self._change, service.callback = service.callback, self._answer
        # Else the request that waits would keep everything of the default group waiting.
        service.callback_group = ReentrantCallbackGroup()
        service.callback_group.add_entity(service)

    def take(self, parameters: NodeParameters) -> OpenModel:
        """Return the engine; it is the caller's then. Without a preparation it is opened now.

        Args:
            parameters: As they are; if the preparation had others, it is forgotten.

        Raises:
            Exception: What went wrong in the thread; else as `open_model`.
        """
        if self._asked != parameters:
            self.forget()
            return open_model(parameters)
        result, self._result, self._asked = self._result, None, None
        assert result is not None
        if isinstance(result, Exception):
            raise result
        return result

    def forget(self) -> None:
        """Close what waits for *configure*."""
        result, self._result, self._asked = self._result, None, None
        if isinstance(result, OpenModel):
            result.engine.close()

    def stop(self, timeout_s: float) -> None:
        """Cancel a build and forget its result.

        Args:
            timeout_s: Longest wait for the thread in seconds.
        """
        thread, self._cancelled = self._thread, True
        if thread is not None:
            thread.join(timeout_s)
            if not thread.is_alive():
                self.forget()

    async def _answer(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        wanted = request.transition
        by_id = wanted.id == Transition.TRANSITION_CONFIGURE
        configure = wanted.label == 'configure' if wanted.label else by_id
        if configure and self._thread is not None:
            self._node.get_logger().warning('transition configure is refused: it is under way')
            response.success = False
            return response
        if configure and self._state() == 'unconfigured':
            self._cancelled = False
            while (parameters := self._missing()) is not None:
                await self._prepare(parameters)
            if self._state() != 'unconfigured':  # shut down meanwhile
                self.forget()
        response = self._change(request, response)
        if self._thread is not None and self._state() != 'unconfigured':
            self._cancelled = True  # nobody waits for that engine any more
        return response

    def _missing(self) -> NodeParameters | None:
        """Return the parameters if their engine is to be opened; they may change meanwhile."""
        if self._cancelled or self._state() != 'unconfigured':
            return None
        try:
            parameters = self._read()
        except VidsegError:
            return None  # for `on_configure` to say
        return None if parameters == self._asked else parameters

    def _state(self) -> str:
        return str(self._node._state_machine.current_state[1])  # noqa: SLF001  # as above

    async def _prepare(self, parameters: NodeParameters) -> None:
        self.forget()
        done = Future()

        def work() -> None:
            try:
                self._result = open_model(parameters, on_progress=self._hear)
            except Exception as error:  # noqa: BLE001  # handed to `take`
                self._result = error
            done.set_result(None)
            self._awake.trigger()

        self._thread = threading.Thread(target=work, name='vidseg engine', daemon=True)
        self._thread.start()
        await done
        self._thread, self._asked, self.progress = None, parameters, ''

    def _hear(self, progress: Progress) -> bool:
        self.progress = str(progress)
        return not self._cancelled
