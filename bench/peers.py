# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The rest of the robot, one process each: cameras, and who receives the masks.

Both use serialised messages, as quick as Python gets: they stand for drivers and consumers in
C++, and all nodes under test meet the same ones.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
import struct
import threading
import time
from typing import Any, Final, NamedTuple
import zlib

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from numpy.typing import NDArray
from processes import requests
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import Image

from vidseg_ros.bag_io.messages import IMAGE_TYPE, message_types, serialize_image

FRAME_ID: Final = 'front_optical_frame'

_STAMP: Final = struct.Struct('<iI')
_STAMP_AT: Final = 4
_NS_PER_S: Final = 1_000_000_000
_NAP_S: Final = 0.01
_MOST_KEPT: Final = 200


class Sent(NamedTuple):
    """A frame that a camera published."""

    topic: str
    stamp_ns: int
    """Stamp of its header: the system clock right before it was published (ns)."""
    picture: int
    """Which of the camera's pictures it showed."""
    at_ns: int
    """Monotonic clock right before it was published (ns)."""


class Mask(NamedTuple):
    """A mask that was received."""

    topic: str
    stamp_ns: int
    """Stamp of its header (ns)."""
    at_ns: int
    """Monotonic clock when it was received (ns)."""
    checksum: int
    """CRC-32 of its data; `Masks.pictures` has the data."""


class Masks(NamedTuple):
    """What `receiver` returns in the end."""

    received: list[Mask]
    pictures: dict[int, NDArray[np.uint8]]
    """Checksum -> (H, W) uint8."""
    diagnostics: list[dict[str, dict[str, str]]]
    """Every message on /diagnostics: name of the status -> its values."""


def camera(
    pipe: Connection, arguments: list[str], topics: Sequence[str], rate_hz: float
) -> list[Sent]:
    """Publish pictures as bgr8; every topic with its rate, one after the other within a period.

    Requests: .npy files of pictures, which the topics take in turn, and the number of frames to
    publish on each topic. It waits for subscribers first. The answer is what was sent.

    Args:
        pipe: To the parent.
        arguments: ROS arguments.
        topics: One camera each.
        rate_hz: Of each topic.
    """
    node = _start('camera', arguments)
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    publishers = [node.create_publisher(Image, topic, qos) for topic in topics]
    sent: list[Sent] = []
    messages: dict[Path, list[bytearray]] = {}
    for paths, count in requests(pipe):
        for path in set(paths) - messages.keys():
            messages[path] = [_serialize(picture) for picture in np.load(path)]
        while not all(publisher.get_subscription_count() for publisher in publishers):
            time.sleep(_NAP_S)
        begin = len(sent)
        start_ns = time.monotonic_ns()
        for tick in range(count * len(topics)):
            number = tick % len(topics)
            pictures = messages[paths[number % len(paths)]]
            picture = tick // len(topics) % len(pictures)
            due_ns = start_ns + round(tick * _NS_PER_S / (rate_hz * len(topics)))
            _sleep_until(due_ns)
            stamp_ns = time.time_ns()
            _STAMP.pack_into(pictures[picture], _STAMP_AT, *divmod(stamp_ns, _NS_PER_S))
            cdr = bytes(pictures[picture])
            at_ns = time.monotonic_ns()
            publishers[number].publish(cdr)
            sent.append(Sent(topics[number], stamp_ns, picture, at_ns))
        pipe.send(sent[begin:])
    try_shutdown()
    return sent


def receiver(
    pipe: Connection, arguments: list[str], topics: Sequence[str], lifecycle: str | None
) -> Masks:
    """Receive masks and diagnostics.

    Requests: ``'connect'`` brings the node up if it has a lifecycle, waits for publishers of the
    masks and is answered with True; ``'diagnostics'`` is answered with the newest values.

    Args:
        pipe: To the parent.
        arguments: ROS arguments.
        topics: Where masks come.
        lifecycle: Node to configure and activate; None if it has no lifecycle.
    """
    node = _start('receiver', arguments)
    masks = Masks([], {}, [])
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    subscriptions = [
        node.create_subscription(Image, topic, partial(_receive, masks, topic), qos, raw=True)
        for topic in topics
    ]
    diagnosed = partial(_diagnosed, masks)
    node.create_subscription(DiagnosticArray, '/diagnostics', diagnosed, 10)
    clients = lifecycle and (
        node.create_client(ChangeState, f'{lifecycle}/change_state'),
        # The younger of the two: when the node answers this one, it also knows the other.
        node.create_client(GetState, f'{lifecycle}/get_state'),
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    for (request,) in requests(pipe):
        if request == 'diagnostics':
            pipe.send(masks.diagnostics[-1] if masks.diagnostics else {})
            continue
        if clients:
            _bring_up(*clients)
        while not all(subscription.get_publisher_count() for subscription in subscriptions):
            time.sleep(_NAP_S)
        pipe.send(True)  # noqa: FBT003 - the answer
    try_shutdown()
    thread.join()
    return masks


def _receive(masks: Masks, topic: str, cdr: bytes) -> None:
    at_ns = time.monotonic_ns()
    message: Any = message_types().deserialize_cdr(cdr, IMAGE_TYPE)
    stamp_ns = message.header.stamp.sec * _NS_PER_S + message.header.stamp.nanosec
    checksum = zlib.crc32(message.data)
    masks.received.append(Mask(topic, stamp_ns, at_ns, checksum))
    if checksum not in masks.pictures and len(masks.pictures) < _MOST_KEPT:
        assert (message.encoding, message.step) == ('mono8', message.width)
        shape = (message.height, message.width)
        masks.pictures[checksum] = message.data.reshape(shape).copy()


def _diagnosed(masks: Masks, message: DiagnosticArray) -> None:
    masks.diagnostics.append(
        {
            status.name: {item.key: item.value for item in status.values}
            for status in message.status
        }
    )


def _start(name: str, arguments: list[str]) -> Node:
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    return rclpy.create_node(name, start_parameter_services=False)


def _spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _serialize(picture: NDArray[np.uint8]) -> bytearray:
    return bytearray(serialize_image(picture, encoding='bgr8', stamp_ns=0, frame_id=FRAME_ID))


def _sleep_until(due_ns: int) -> None:
    left_s = (due_ns - time.monotonic_ns()) / _NS_PER_S
    if left_s > 0:
        time.sleep(left_s)


def _bring_up(change: Any, state: Any) -> None:
    """Configure and activate a node.

    Either side may know the other later than itself is known, and a request in between is lost:
    first something harmless is asked until there is an answer.
    """
    change.wait_for_service()
    state.wait_for_service()
    answer = state.call_async(GetState.Request())
    asked_ns = time.monotonic_ns()
    while not answer.done():
        if time.monotonic_ns() - asked_ns > _NS_PER_S:
            answer, asked_ns = state.call_async(GetState.Request()), time.monotonic_ns()
        time.sleep(_NAP_S)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = change.call_async(request)
        while not answer.done():
            time.sleep(_NAP_S)
        if not answer.result().success:
            msg = f'transition {transition} failed; the node says why'
            raise RuntimeError(msg)
