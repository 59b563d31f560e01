# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""ROS for tests: on this machine, in a domain of its own, always with a time limit."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
import gc
from importlib.util import find_spec
import os
from pathlib import Path
import threading
import time
from typing import Any, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
import pytest

if TYPE_CHECKING or find_spec('rclpy') is not None:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState
    from rcl_interfaces.msg import Log
    from rcl_interfaces.srv import SetParametersAtomically
    from rclpy.context import Context
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.parameter import Parameter
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from vidseg_ros.inference.cuda_runtime import GpuError
    from vidseg_ros.nodes.messages import image_message
    from vidseg_ros.nodes.segmentation_node import SegmentationNode

PROFILE = str(Path(__file__).parents[2] / 'config' / 'fastdds_local.xml')

# Before any rclpy.init, and inherited by child processes.
os.environ.update(
    ROS_DOMAIN_ID=str(1 + os.getpid() % 101),
    ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
    FASTRTPS_DEFAULT_PROFILES_FILE=PROFILE,
    FASTDDS_DEFAULT_PROFILES_FILE=PROFILE,
)

WAIT_S = 15.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f'no {what} within {WAIT_S} s'
        time.sleep(0.005)
    return value


def spin(
    context: 'Context', node: 'Node', lost: 'list[GpuError] | None' = None
) -> Callable[[], None]:
    """Spin a node in a thread; returns what stops it and destroys the node.

    A lost GPU ends the thread as it would end the process, and is added to ``lost``. What else
    ends it, or a lost GPU that nobody expects, is raised by what stops it.
    """
    unexpected: list[Exception] = []
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def run() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:  # noqa: BLE001  # for `stop`
            if lost is not None and isinstance(error, GpuError):
                lost.append(error)
            else:
                unexpected.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def stop() -> None:
        executor.shutdown()
        thread.join(WAIT_S)
        assert not thread.is_alive()
        node.destroy_node()
        for error in unexpected:
            raise error

    return stop


def pixels(message: Any) -> Any:
    """(H, W) or (H, W, 3) uint8 out of an image message without padding."""
    channels = 1 if message.encoding == 'mono8' else 3
    assert message.step == message.width * channels
    assert message.is_bigendian == 0
    array = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, channels)
    return array[..., 0] if channels == 1 else array


class Peer:
    """The rest of the robot: cameras, and who listens to the segmentation node."""

    wait_for = staticmethod(wait_for)
    pixels = staticmethod(pixels)

    def __init__(self, context: 'Context', stack: ExitStack) -> None:
        self.context, self.stack = context, stack
        self.node = Node('peer', context=context, start_parameter_services=False)
        self.logs: list[str] = []
        self.lost: list[GpuError] = []
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(Log, '/rosout', lambda m: self.logs.append(m.msg), latched)
        self.statuses: dict[str, DiagnosticStatus] = {}
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnosed, 10)
        self._change_client = self.node.create_client(ChangeState, '/segmentation/change_state')
        self._state_client = self.node.create_client(GetState, '/segmentation/get_state')
        self._parameters_client = self.node.create_client(
            SetParametersAtomically, '/segmentation/set_parameters_atomically'
        )
        stack.callback(spin(context, self.node))
        self.publishers: dict[str, Any] = {}
        self.stamp_ns = 0

    def start(self, *, serialized: bool = True, **parameters: Any) -> 'SegmentationNode':
        """Start a segmentation node in this process, unconfigured."""
        overrides = [
            Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()
        ]
        node = SegmentationNode(
            context=self.context, parameter_overrides=overrides, serialized=serialized
        )
        self.stack.callback(spin(self.context, node, self.lost))
        return node

    def start_active(self, **parameters: Any) -> 'SegmentationNode':
        """Start one that segments; that this machine is busy shall be no trouble of its own."""
        patient = {'diagnostics_period': 0.1, 'max_age': 60.0, 'camera_timeout': 60.0}
        node = self.start(**patient | parameters)
        assert self.change('CONFIGURE')
        assert self.change('ACTIVATE')
        return node

    def call(self, client: Any, request: Any) -> Any:
        """Call a service; asked again when no answer comes, so only for what may be repeated.

        Either side may know the other later than itself is known: a request or an answer that
        is sent in between is lost.
        """
        wait_for(client.service_is_ready, client.srv_name)
        for _ in range(15):
            future = client.call_async(request)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                if future.done():
                    return future.result()
                time.sleep(0.005)
        return pytest.fail(f'no answer of {client.srv_name}')

    def state(self) -> str:
        return str(self.call(self._state_client, GetState.Request()).current_state.label)

    def change(self, transition: str) -> bool:
        """Ask for a transition as the command line does; whether it succeeded."""
        self.state()  # the younger client: when this one is answered, both are known
        return self.request(transition)

    def request(self, transition: str) -> bool:
        """Ask a node that has answered before."""
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f'TRANSITION_{transition}')
        future = self._change_client.call_async(request)
        wait_for(future.done, f'answer to {transition}')
        return bool(future.result().success)

    def set_parameters(self, **values: Any) -> Any:
        """Set parameters of the node together, as `ros2 param set` does; the result."""
        request = SetParametersAtomically.Request()
        request.parameters = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        return self.call(self._parameters_client, request).result

    def listen(self, topic: str, message_type: Any = None) -> list[Any]:
        """Subscribe; the list grows with every message."""
        received = self.listen_later(topic, message_type)
        wait_for(lambda: self.node.count_publishers(topic), f'publisher of {topic}')
        return received

    def listen_later(self, topic: str, message_type: Any = None) -> list[Any]:
        """Subscribe before anybody publishes."""
        received: list[Any] = []
        self.node.create_subscription(message_type or Image, topic, received.append, 10)
        return received

    def header(self, frame_id: str = 'front') -> 'Header':
        """Return a header with a stamp of its own: now."""
        self.stamp_ns = max(self.stamp_ns + 1, time.time_ns())
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = divmod(self.stamp_ns, 10**9)
        return header

    def publisher(self, topic: str, message_type: Any = None) -> Any:
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(message_type or Image, topic, 10)
        return self.publishers[topic]

    def send(self, message: Any, topic: str = '/image') -> None:
        """Publish once somebody subscribes."""
        publisher = self.publisher(topic, type(message))
        wait_for(publisher.get_subscription_count, f'subscriber of {topic}')
        publisher.publish(message)

    def segment(self, message: Any, masks: list[Any], topic: str = '/image') -> Any:
        """Send a camera message; its mask out of ``masks``.

        Best effort, so a message may be lost while the two still discover each other: again.
        """

        def answered() -> Any:
            return next((m for m in list(masks) if m.header == message.header), None)

        for _ in range(30):
            self.send(message, topic)
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                if (mask := answered()) is not None:
                    return mask
                time.sleep(0.005)
        return pytest.fail(f'no mask for {message.header}: {self.logs}')

    def reported(self, name: str, level: bytes, text: str) -> bool:
        """Whether the last status of that name, if there is one, has this level and text."""
        status = self.statuses.get(name)
        return status is not None and status.level == level and text in status.message

    def values(self, name: str = 'segmentation: image') -> dict[str, str]:
        """Values of the newest diagnostic of that name; empty if there is none."""
        status = self.statuses.get(name)
        return {} if status is None else {item.key: item.value for item in status.values}

    def _diagnosed(self, message: 'DiagnosticArray') -> None:
        self.statuses.update({status.name: status for status in message.status})


@pytest.fixture
def context(request: pytest.FixtureRequest) -> Iterator['Context']:
    """ROS for one test; an indirect parameter gives remapping rules."""
    remapping = [word for rule in getattr(request, 'param', ()) for word in ('-r', rule)]
    context = Context()
    context.init(['--ros-args', '--disable-external-lib-logs', *remapping])
    yield context
    context.try_shutdown()


@pytest.fixture
def peer(context: 'Context') -> Iterator[Peer]:
    with ExitStack() as stack:
        peer = Peer(context, stack)
        yield peer
    peer.lost.clear()  # its traceback holds the node
    # A destroyed lifecycle node keeps its services, its name in /rosout and more until Python
    # collects it: requests of the next test would go to a node that is no more.
    gc.collect()


class Scene:
    """A picture of one-coloured blocks, and the labels the tiny model must find in it."""

    def __init__(self, height: int = 48, width: int = 64, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        small = rng.integers(0, 3, (12, 16), dtype=np.uint8)
        scale = (height // 12, width // 16)
        self.labels: NDArray[np.uint8] = np.kron(small, np.ones(scale, np.uint8))
        self.rgb: NDArray[np.uint8] = np.eye(3, dtype=np.uint8)[self.labels] * 200

    def message(self, header: 'Header') -> 'Image':
        return image_message(header, self.rgb)


@pytest.fixture
def scene() -> type[Scene]:
    return Scene
