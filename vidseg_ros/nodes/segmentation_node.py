# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: camera images in, label maps out, one network for all cameras.

``ros2 run vidseg_ros segmentation_node``; without a ROS installation
``python -m vidseg_ros.nodes.segmentation_node``. It starts unconfigured: the launch file, or
``ros2 lifecycle set /segmentation configure`` and ``activate``, makes it run.

Pause and go on: ``ros2 lifecycle set /segmentation deactivate`` and ``activate``; the model stays
open and warm. Another model: ``ros2 param set /segmentation model …``, see `model_swap`.
"""

import atexit
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
import gc
import math
import os
import signal
import sys
import time
import traceback
from typing import Final

from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.utilities import get_rmw_implementation_identifier, remove_ros_args

from vidseg_ros.core.errors import EngineError, ImageError, ParameterError, VidsegError
from vidseg_ros.core.malloc import keep_freed_memory
from vidseg_ros.inference.cuda_runtime import any_gpu_broken, GpuError, is_sticky, WAIT_S
from vidseg_ros.inference.engine import AUTO
from vidseg_ros.inference.prediction import SegmentationEngine
from vidseg_ros.nodes.camera import Camera
from vidseg_ros.nodes.camera_topics import CameraInputs, CameraOutputs
from vidseg_ros.nodes.command import run_command
from vidseg_ros.nodes.diagnostics import STAMP_BACKWARDS
from vidseg_ros.nodes.engine_preparation import EnginePreparation
from vidseg_ros.nodes.health_report import HealthReport, read_clock
from vidseg_ros.nodes.label_info import LabelInfoTopic
from vidseg_ros.nodes.lifecycle import lifecycle_step, refuse_impossible_transitions
from vidseg_ros.nodes.log_throttle import LogThrottle
from vidseg_ros.nodes.messages import (
    CameraMessage,
    decode_message,
    describe_format,
    stamp_ns,
)
from vidseg_ros.nodes.model_swap import ModelSwap, OpenModel
from vidseg_ros.nodes.parameters import (
    declare_parameters,
    describe_unused,
    NodeParameters,
    read_limits,
    read_parameters,
)
from vidseg_ros.nodes.qos import QosClashes
from vidseg_ros.nodes.shared_memory import shortage
from vidseg_ros.nodes.worker import Worker
from vidseg_ros.pipeline import Frame, Mailbox

STOP_TIMEOUT_S: Final = WAIT_S + 5.0
"""Longest wait for the inference in work when the node stops, seconds: a GPU that does not answer
is given up before."""

LOG_PERIOD_S: Final = 5.0
"""What the log says about frames it repeats no faster than this per camera and reason, seconds."""


class SegmentationNode(LifecycleNode):
    """Segments the images of one or several cameras with one engine.

    *configure* checks the parameters, opens (or builds) and warms up the engine and creates the
    publishers; *activate* subscribes and starts the worker thread; *deactivate* and *cleanup* undo
    them. When the engine fails while active, the node logs it, reports ERROR on ``/diagnostics``
    and goes through error processing to unconfigured: configure and activate start it anew. A GPU
    that this process can never use again ends the executor with its `GpuError` instead.
    """

    def __init__(
        self,
        *,
        context: Context | None = None,
        parameter_overrides: list[Parameter] | None = None,
        serialized: bool = True,
    ) -> None:
        """Declare the parameters and start to report on ``/diagnostics``.

        Args:
            context: What ``rclpy.init`` was called with; None is rclpy's default context.
            parameter_overrides: Start-up values, over those of the command line.
            serialized: Whether images are received and sent as bytes. False makes rclpy convert
                them: the slower reference that tests and benchmarks compare with. No parameter,
                because the bytes on the wire are the same.
        """
        no_room = shortage(get_rmw_implementation_identifier(), os.environ)
        super().__init__('segmentation', context=context, parameter_overrides=parameter_overrides)
        refuse_impossible_transitions(self)
        if no_room:
            self.get_logger().warning(no_room)
        self._serialized = serialized
        self._problems = declare_parameters(self)
        self.add_on_set_parameters_callback(self._forget_problems)
        self._failure = ''
        self._lost: GpuError | None = None
        self._configured, self._active = ExitStack(), ExitStack()
        self._settings: NodeParameters | None = None
        self._engine: SegmentationEngine | None = None
        self._fallback = ''
        self._worker: Worker | None = None
        self._mailbox = Mailbox()
        self._outputs: dict[str, CameraOutputs] = {}
        self._cameras: dict[str, Camera] = {}
        self._formats: dict[str, str] = {}
        self._failed = self.create_guard_condition(self._react_to_failure)
        self._throttle, self._once = LogThrottle(LOG_PERIOD_S), LogThrottle(math.inf)
        self._clashes = QosClashes(self)
        self._health = HealthReport(self, self._clashes)
        self._problems |= self._health.problems
        self._preparation = EnginePreparation(self, lambda: read_parameters(self, self._problems))
        self._swap = ModelSwap(self, lambda: self._settings, self._exchange_model, self.fail)
        # The steady clock: the node reports on itself even while simulated time stands still.
        self.create_timer(
            self.get_parameter('diagnostics_period').value,
            self._report,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    @lifecycle_step
    def on_configure(self) -> None:
        """Check parameters, open and warm up the engine, create the publishers."""
        self._failure = ''
        with ExitStack() as stack:
            settings = read_parameters(self, self._problems)
            stack.callback(self._close_model)
            model = self._preparation.take(settings)
            self._use(model)
            outputs = {
                camera: CameraOutputs(
                    self, stack, camera, clashes=self._clashes, with_info=settings.wants_info
                )
                for camera in settings.cameras or ('',)
            }
            self._label_info = LabelInfoTopic(
                self, stack, self._segmenter.engine.card.labels, self._clashes
            )
            self._configured, self._outputs = stack.pop_all(), outputs
        # Another model shall run on what this one runs on.
        info = model.engine.info
        engine = info.name if settings.engine == AUTO else settings.engine
        self._settings = replace(settings, engine=engine)
        self._fallback = info.note if info.degraded else ''  # holds for those models as well

    @lifecycle_step
    def on_activate(self) -> None:
        """Subscribe to the cameras and start to segment."""
        assert self._settings is not None
        self._failure = ''
        self._mailbox, self._cameras, self._formats = Mailbox(), {}, {}
        cameras = self._cameras  # the thread keeps these, should it outlive the activation
        with ExitStack() as stack:
            for camera, outputs in self._outputs.items():
                inputs = CameraInputs(
                    self,
                    stack,
                    camera,
                    self._settings,
                    self._receive,
                    clashes=self._clashes,
                    serialized=self._serialized,
                )
                cameras[camera] = Camera(self, inputs, outputs, self._throttle)
            card = self._segmenter.engine.card
            self._worker = Worker(
                self._segmenter,
                self._mailbox,
                wants_confidence=lambda: any(c.outputs.wants_confidence for c in cameras.values()),
                publish=(
                    lambda result: cameras[result.frame.camera].publish_mask(result),
                    lambda result: cameras[result.frame.camera].publish_extras(result, card),
                ),
                failed=self._fail_from_worker,
            )
            stack.callback(self._stop_worker)
            self._active = stack.pop_all()
        for name, text in describe_unused(self).items():
            if self._once.passes(name):
                self.get_logger().warning(text)

    def on_deactivate(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to segment and unsubscribe; an error if the engine had failed."""
        self._active.close()
        if self._failure:
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free the engine and the publishers."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from any state."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything; the node may be configured again."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop and free everything, then destroy the node."""
        self._preparation.stop(STOP_TIMEOUT_S)
        self._release()
        super().destroy_node()

    def fail(self, error: Exception) -> None:
        """Log a failure and keep it as the node's diagnostic until the next try."""
        known = isinstance(error, VidsegError)
        self._failure = str(error) if known else ''.join(traceback.format_exception(error))
        self.get_logger().error(self._failure)
        if is_sticky(error):
            self._lost = error
            self._failed.trigger()  # whoever asked for the transition gets the answer first

    def _forget_problems(self, changes: list[Parameter]) -> SetParametersResult:
        """Drop the complaint about a start-up value that somebody now replaces."""
        for change in changes:
            self._problems.pop(change.name, None)
        return SetParametersResult(successful=True)

    def _release(self) -> None:
        self._swap.forget()
        self._active.close()
        self._configured.close()
        self._settings, self._outputs, self._fallback = None, {}, ''

    def _use(self, model: OpenModel) -> None:
        self._engine, self._segmenter = model.engine, model.segmenter
        if model.engine.info.degraded:
            self.get_logger().warning(f'opened {model}')
        else:  # a line of code has one level in rclpy
            self.get_logger().info(f'opened {model}')

    def _close_model(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _exchange_model(self, model: OpenModel) -> None:
        """Go on with another model; an active node is inactive meanwhile."""
        was_active = self._state_machine.current_state[1] == 'active'
        if was_active and self.trigger_deactivate() != TransitionCallbackReturn.SUCCESS:
            model.engine.close()  # the old engine failed: the node is unconfigured and said why
            return
        self._close_model()
        self._use(model)
        self._label_info.publish(model.engine.card.labels)
        if was_active:
            self.trigger_activate()

    def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(STOP_TIMEOUT_S):
            msg = f'the engine did not return within {STOP_TIMEOUT_S:.0f} s; restart the node'
            self.fail(EngineError(msg))

    def _receive(self, camera: str, topic: str, read: Callable[[], CameraMessage]) -> None:
        received_ns, clock_ns = time.monotonic_ns(), self.get_clock().now().nanoseconds
        assert self._engine is not None
        health, ros_log = self._cameras[camera].health, self.get_logger()
        stamp: int | None = None
        try:
            message = read()
            stamp = stamp_ns(message.header)
            image = decode_message(message, self._engine.card.input_order)
        except ImageError as error:
            health.dropped(error.reason)
            if self._throttle.passes(camera, error.reason):
                ros_log.warning(f'{topic}: frame skipped: {error}')
            return
        finally:
            backwards = health.received(stamp, clock_ns)
            if backwards and self._throttle.passes(camera, STAMP_BACKWARDS):
                ros_log.warning(f'{topic}: a stamp jumped back')
        decoded_ns = time.monotonic_ns()
        found = f'{topic}: {describe_format(message, image)}'
        if self._formats.get(camera) != found and self._throttle.passes(camera, 'format'):
            self._formats[camera] = found
            ros_log.info(found)
        health.accepted()
        self._mailbox.put(
            Frame(
                camera=camera,
                image=image,
                context=message.header,
                received_ns=received_ns,
                decoded_ns=decoded_ns,
                place=self._cameras[camera].outputs.place_for(message.header),
            )
        )

    def _fail_from_worker(self, error: Exception) -> None:
        """Note what ended the worker thread, in that thread; the executor does the rest."""
        if not self.context.ok():
            return  # ROS was shut down while a result was on its way out
        self.fail(error)
        self._failed.trigger()

    def _react_to_failure(self) -> None:
        try:
            if self._worker is not None:
                self.trigger_deactivate()
            self._report()
            if self._lost is not None:
                self._health.flush()
        finally:  # whatever becomes of the last words
            if self._lost is not None:
                raise self._lost

    def _report(self) -> None:
        state = self._state_machine.current_state[1]
        self._health.add_engine(
            self._engine,
            state=state,
            failure=self._failure,
            building=self._preparation.progress,
            fallback=self._fallback,
            wants_confidence=any(o.wants_confidence for o in self._outputs.values()),
        )
        cameras = self._cameras if self._worker is not None else {}
        seen = {name: camera.inputs.look() for name, camera in cameras.items()}
        self._health.add_graph(self._clashes, [inputs.misfit for inputs in seen.values()])
        if cameras:
            replaced, clock, limits = self._mailbox.replaced(), read_clock(self), read_limits(self)
            for name, camera in cameras.items():
                verdict, values = camera.health.assess(
                    replaced=replaced.get(name, 0),
                    inputs=seen[name],
                    clock=clock,
                    limits=limits,
                )
                self._health.add(name or 'image', camera.health.topic, verdict, values)
        self._health.send()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM, or until its GPU is lost to the process.

    Args:
        argv: Arguments without the program's name, for ROS only; None takes sys.argv.

    Returns:
        Exit status: 0, or 2 after an error that is named on stderr.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    def run() -> None:
        if others := remove_ros_args(arguments):
            msg = (
                f'cannot use {" ".join(others)}: --ros-args must stand before parameters and '
                'remappings, such as --ros-args -p max_age:=0.5 -r image:=/camera/image_raw'
            )
            raise ParameterError(msg)
        keep_freed_memory()
        rclpy.init(args=arguments)
        node = SegmentationNode()
        try:
            rclpy.spin(node)
        finally:
            # Launch and the terminal may both send SIGINT; the second must not cut this short.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            node.destroy_node()

    status = 1  # of a traceback
    try:
        status = run_command('segmentation_node', run)
    finally:
        # Asked last: a node that is stopped drops the error of the inference in work.
        if any_gpu_broken():
            # What CUDA does at the end of a process might wait for that GPU for ever. But DDS has
            # to hear that the node is gone: else the next one has a namesake for 20 s.
            gc.collect()
            atexit.register(os._exit, status)
    return status


if __name__ == '__main__':
    sys.exit(main())
