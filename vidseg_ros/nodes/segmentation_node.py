# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: camera images in, label maps out, one network for all cameras.

``ros2 run vidseg_ros segmentation_node``; without a ROS installation
``python -m vidseg_ros.nodes.segmentation_node``. It starts unconfigured: the launch file, or
``ros2 lifecycle set /segmentation configure`` and ``activate``, makes it run.
"""

from collections.abc import Callable, Mapping
from contextlib import closing, ExitStack
from functools import partial, wraps
import os
import signal
import sys
import time
import traceback
from typing import Final, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.utilities import get_rmw_implementation_identifier, try_shutdown
from std_msgs.msg import Header

from vidseg_ros.core.errors import ImageError, VidsegError
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.prediction import SegmentationEngine
from vidseg_ros.nodes.camera_topics import advertise, CameraInputs, CameraOutputs
from vidseg_ros.nodes.diagnostics import CameraHealth, key_values
from vidseg_ros.nodes.messages import (
    CameraMessage,
    decode_message,
    describe_format,
    label_info_message,
    stamp_ns,
)
from vidseg_ros.nodes.parameters import declare_parameters, read_parameters
from vidseg_ros.nodes.shared_memory_room import shortage
from vidseg_ros.nodes.worker import Worker
from vidseg_ros.pipeline import Frame, Mailbox, Segmentation, Segmenter

STOP_TIMEOUT_S: Final = 10.0
"""Longest wait for the inference in work when the node stops, seconds."""

LOG_PERIOD_S: Final = 5.0
"""A warning about frames is repeated no faster than this, seconds."""


class _Camera(NamedTuple):
    """What belongs to one camera from one activation to the next deactivation."""

    inputs: CameraInputs
    outputs: CameraOutputs
    health: CameraHealth


_Step = Callable[['SegmentationNode'], None]
_Transition = Callable[['SegmentationNode', LifecycleState], TransitionCallbackReturn]


def _transition(step: _Step) -> _Transition:
    """Turn a step that may raise into a lifecycle callback.

    A `VidsegError` is a FAILURE: the node stays where it was. Anything else is an ERROR, and the
    node ends unconfigured. rclpy drops exceptions without a word, so they are logged here.
    """

    @wraps(step)
    def callback(node: 'SegmentationNode', _state: LifecycleState) -> TransitionCallbackReturn:
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


class SegmentationNode(LifecycleNode):
    """Segments the images of one or several cameras with one engine.

    *configure* checks the parameters, opens and warms up the engine and creates the publishers;
    *activate* subscribes and starts the worker thread; *deactivate* and *cleanup* undo them.
    When the engine fails while active, the node logs it, reports ERROR on ``/diagnostics`` and
    goes through error processing to unconfigured: configure and activate start it anew.
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
        if no_room:
            self.get_logger().warning(no_room)
        self._serialized = serialized
        self._problems = declare_parameters(self)
        self._failure = ''
        self._configured, self._active = ExitStack(), ExitStack()
        self._engine: SegmentationEngine | None = None
        self._worker: Worker | None = None
        self._mailbox = Mailbox()
        self._outputs: dict[str, CameraOutputs] = {}
        self._cameras: dict[str, _Camera] = {}
        self._formats: dict[str, str] = {}
        self._worker_failed = self.create_guard_condition(self._leave_active)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # The steady clock: the node reports on itself even while simulated time stands still.
        self.create_timer(
            self.get_parameter('diagnostics_period').value,
            self._report,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    @_transition
    def on_configure(self) -> None:
        """Check parameters, open and warm up the engine, create the publishers."""
        self._failure = ''
        with ExitStack() as stack:
            parameters = read_parameters(self, self._problems)
            path = find_model(parameters.model)
            engine = create_engine(parameters.engine, path)
            stack.enter_context(closing(engine))
            segmenter = Segmenter(engine, parameters.mask_size)
            segmenter.warm_up()
            outputs = {
                camera: CameraOutputs(self, stack, camera, with_info=parameters.wants_info)
                for camera in parameters.cameras or ('',)
            }
            self._publish_label_info(engine, stack)
            self._configured = stack.pop_all()
        self._settings, self._engine, self._segmenter = parameters, engine, segmenter
        self._outputs = outputs
        info = engine.info
        self.get_logger().info(
            f'opened {path} with {info.name} {info.version} on {info.device}, {info.precision}'
        )

    @_transition
    def on_activate(self) -> None:
        """Subscribe to the cameras and start to segment."""
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
                    serialized=self._serialized,
                )
                health = CameraHealth(' or '.join(inputs.topics))
                cameras[camera] = _Camera(inputs, outputs, health)
            self._worker = Worker(
                self._segmenter,
                self._mailbox,
                wants_confidence=lambda: any(c.outputs.wants_confidence for c in cameras.values()),
                publish=(
                    partial(self._publish_mask, cameras),
                    partial(self._publish_extras, cameras, self._segmenter.engine.card),
                ),
                failed=self._fail_from_worker,
            )
            stack.callback(self._stop_worker)
            self._active = stack.pop_all()

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
        self._release()
        super().destroy_node()

    def fail(self, message: str) -> None:
        """Log a failure and keep it as the node's diagnostic until the next try."""
        self._failure = message
        self.get_logger().error(message)

    def _release(self) -> None:
        self._active.close()
        self._configured.close()
        self._engine, self._outputs = None, {}

    def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(STOP_TIMEOUT_S):
            self.fail(f'the engine did not return within {STOP_TIMEOUT_S:.0f} s; restart the node')

    def _publish_label_info(self, engine: SegmentationEngine, stack: ExitStack) -> None:
        header = Header(stamp=self.get_clock().now().to_msg())
        try:
            message = label_info_message(header, engine.card.labels)
        except ImportError:
            self.get_logger().warning(
                'vision_msgs is not installed, so ~/label_info is not published; '
                'install ros-$ROS_DISTRO-vision-msgs'
            )
            return
        advertise(self, stack, type(message), '~/label_info', latched=True).publish(message)

    def _receive(self, camera: str, topic: str, read: Callable[[], CameraMessage]) -> None:
        received_ns = time.monotonic_ns()
        assert self._engine is not None
        health, ros_log = self._cameras[camera].health, self.get_logger()
        stamp: int | None = None
        try:
            message = read()
            stamp = stamp_ns(message.header)
            image = decode_message(message, self._engine.card.input_order)
        except ImageError as error:
            health.dropped(error.reason)
            ros_log.warning(f'{topic}: frame skipped: {error}', throttle_duration_sec=LOG_PERIOD_S)
            return
        finally:
            if health.received(stamp):
                ros_log.warning(
                    f'{topic}: a stamp jumped back', throttle_duration_sec=LOG_PERIOD_S
                )
        decoded_ns = time.monotonic_ns()
        found = f'{topic}: {describe_format(message, image)}'
        if self._formats.get(camera) != found:
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

    def _publish_mask(self, cameras: Mapping[str, _Camera], result: Segmentation) -> None:
        """Publish the label map of one result; runs in the worker thread."""
        camera = cameras[result.frame.camera]
        camera.outputs.publish_label_map(result, camera.inputs.info)
        age_ns = self.get_clock().now().nanoseconds - stamp_ns(result.frame.context)
        camera.health.published(result.timings, age_ns)

    def _publish_extras(
        self, cameras: Mapping[str, _Camera], card: ModelCard, result: Segmentation
    ) -> None:
        """Publish what somebody listens to besides; runs in the worker thread."""
        outputs = cameras[result.frame.camera].outputs
        if outputs.wants_confidence:
            outputs.publish_confidence(result)
        if outputs.wants_overlay:
            opacity = self.get_parameter('overlay_opacity').value
            outputs.publish_overlay(result, card, opacity)

    def _fail_from_worker(self, error: Exception) -> None:
        """Note what ended the worker thread, in that thread; the executor does the rest."""
        if not self.context.ok():
            return  # ROS was shut down while a result was on its way out
        self.fail(
            str(error)
            if isinstance(error, VidsegError)
            else ''.join(traceback.format_exception(error))
        )
        self._worker_failed.trigger()

    def _leave_active(self) -> None:
        if self._worker is not None:
            self.trigger_deactivate()
            self._report()

    def _report(self) -> None:
        message = DiagnosticArray(header=Header(stamp=self.get_clock().now().to_msg()))
        message.status.append(self._status())
        if self._worker is not None:
            replaced = self._mailbox.replaced()
            message.status += [
                camera.health.status(
                    f'{self.get_name()}: {name or "image"}', replaced.get(name, 0)
                )
                for name, camera in self._cameras.items()
            ]
        self._diagnostics.publish(message)

    def _status(self) -> DiagnosticStatus:
        values = {'state': self._state_machine.current_state[1]}
        if self._engine is not None:
            info = self._engine.info
            values |= {
                'model': self._engine.card.name,
                'engine': info.name,
                'engine_version': info.version,
                'device': info.device,
                'precision': info.precision,
            }
        return DiagnosticStatus(
            level=DiagnosticStatus.ERROR if self._failure else DiagnosticStatus.OK,
            name=f'{self.get_name()}: engine',
            message=self._failure or values['state'],
            hardware_id=values.get('device', ''),
            values=key_values(values),
        )


def main() -> int:
    """Run the node until SIGINT or SIGTERM; return the exit code."""
    rclpy.init()
    try:
        node = SegmentationNode()
        try:
            rclpy.spin(node)
        finally:
            # Launch and the terminal may both send SIGINT; the second must not cut this short.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            node.destroy_node()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
