# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The nodes under test, one process each: ours, the usual one, and one without inference."""

from array import array
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
import struct
import sys
import threading
import time
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
import onnx
import onnxruntime
from processes import requests
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import Image

from vidseg_ros.inference.engine import ENGINES
from vidseg_ros.inference.model_file import LABELS, read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.prediction import Prediction
from vidseg_ros.nodes import segmentation_node

NAME: Final = 'segmentation'
"""Of every node under test, so that all publish on the same topics."""

NETWORK_INPUT: Final = 'vidseg/Mul'
"""Node of the model file's graph whose output the network itself takes, float NCHW."""

Span = tuple[int, int]
"""Monotonic clock at start and end (ns)."""


class EngineTimes(NamedTuple):
    """When the engine worked: the warm-up first, then one entry per frame, in order."""

    session: list[Span]
    """ONNX Runtime alone: ``InferenceSession.run``."""
    infer: list[Span]
    """`SegmentationEngine.infer`: with the shrinking of the frame before. Empty if not ours."""


class FloatModel(NamedTuple):
    """The network of a model file without what comes before it."""

    path: Path
    """Takes float32 (1, 3, h, w) RGB, gives the labels of the model file."""
    size: tuple[int, int]
    """h and w, pixels."""
    mean: NDArray[np.float32]
    """(3,), on the scale 0 to 1."""
    std: NDArray[np.float32]
    """(3,), same scale."""


class _TimedSession(onnxruntime.InferenceSession):  # type: ignore[misc]  # untyped
    """Notes when it ran."""

    spans: Final[list[Span]] = []

    def run(self, *args: Any, **options: Any) -> Any:
        start_ns = time.monotonic_ns()
        outputs = super().run(*args, **options)
        self.spans.append((start_ns, time.monotonic_ns()))
        return outputs


class _TimedEngine(OnnxRuntimeEngine):
    """Notes when it worked."""

    spans: Final[list[Span]] = []

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        start_ns = time.monotonic_ns()
        prediction = super().infer(frames, confidence=confidence)
        self.spans.append((start_ns, time.monotonic_ns()))
        return prediction


def vidseg_node(pipe: Connection, arguments: list[str], model: str) -> EngineTimes:
    """Run our node as it is, with an engine that notes its times; it waits to be configured.

    Args:
        pipe: To the parent.
        arguments: ROS arguments.
        model: Name of a shipped model.
    """
    onnxruntime.InferenceSession = _TimedSession
    ENGINES['timed'] = lambda path, _: _TimedEngine(path)
    run_vidseg_node(pipe, arguments, model=model, engine='timed', input_type='image')
    return EngineTimes(_TimedSession.spans, _TimedEngine.spans)


class _SlowEngine(OnnxRuntimeEngine):
    """Sleeps after each inference until it has taken as long as it shall; the labels are right.

    Sleeping leaves the processor to the cameras: what is overloaded is the model alone.
    """

    time_of_a_frame_s = 0.0

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        end_s = time.monotonic() + len(frames) * self.time_of_a_frame_s
        prediction = super().infer(frames, confidence=confidence)
        time.sleep(max(0.0, end_s - time.monotonic()))
        return prediction


def slow_vidseg_node(
    pipe: Connection, arguments: list[str], model: str, rate_hz: float, cameras: Sequence[str]
) -> None:
    """Run our node with a model that manages so many frames per second, of all cameras together.

    Args:
        pipe: To the parent.
        arguments: ROS arguments.
        model: Name of a shipped model.
        rate_hz: Frames per second.
        cameras: As the node's parameter; none: the single topic ``image``.
    """
    ENGINES['slow'] = lambda path, _: _SlowEngine(path)
    _SlowEngine.time_of_a_frame_s = 1 / rate_hz
    several = {'cameras': f'[{", ".join(cameras)}]'} if cameras else {}
    run_vidseg_node(pipe, arguments, model=model, engine='slow', input_type='image', **several)


def run_vidseg_node(pipe: Connection, arguments: list[str], **parameters: str) -> None:
    """Run the program of our node until the parent lets it end.

    Args:
        pipe: To the parent.
        arguments: ROS arguments.
        parameters: Of the node, as YAML.
    """
    values = [part for key, value in parameters.items() for part in ('-p', f'{key}:={value}')]
    sys.argv = ['segmentation_node', *arguments, *values]
    _shut_down_after(pipe)
    segmentation_node.main()


def echo_node(pipe: Connection, arguments: list[str]) -> EngineTimes:
    """Answer every frame at once with an empty mask of its size: what the transport costs alone.

    It receives as our node does, best effort and one deep, but serialised; and it publishes
    serialised, the header's bytes as they came.
    """
    rclpy.init(args=arguments)
    node = rclpy.create_node(NAME)
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    publisher = node.create_publisher(Image, '~/label_map', reliable)
    rests: dict[bytes, bytes] = {}

    def receive(cdr: bytes) -> None:
        # 4 bytes of encapsulation, the stamp, then the frame id up to the next multiple of 4.
        (length,) = struct.unpack_from('<I', cdr, 12)
        end = 16 + (length + 3) // 4 * 4
        size = cdr[end : end + 8]
        if size not in rests:
            height, width = struct.unpack('<II', size)
            kind = struct.pack('<I6sBxII', 6, b'mono8\0', 0, width, height * width)
            rests[size] = size + kind + bytes(height * width)
        publisher.publish(cdr[:end] + rests[size])

    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, 'image', receive, best_effort, raw=True)
    _spin(node, pipe)
    return EngineTimes([], [])


def usual_node(pipe: Connection, arguments: list[str], model: FloatModel) -> EngineTimes:
    """Run the node that most packages have: typed messages, a queue of 10, NumPy in float.

    Args:
        pipe: To the parent.
        arguments: ROS arguments.
        model: What `write_float_model` wrote.
    """
    rclpy.init(args=arguments)
    node = UsualNode(model)
    _spin(node, pipe)
    return EngineTimes(_TimedSession.spans, [])


class UsualNode(Node):
    """What one writes first: subscribe, convert, normalise, run, enlarge, publish.

    Where there are ways to write it badly (a mask as a list, conversion pixel by pixel, float
    before shrinking), it takes the good one, and the class ids come out of the graph as in ours.
    """

    def __init__(self, model: FloatModel) -> None:
        """Load the model and subscribe."""
        super().__init__(NAME)
        self.mean, self.std = model.mean, model.std
        height, width = model.size
        self.size = (width, height)
        self.session = _TimedSession(str(model.path), providers=['CPUExecutionProvider'])
        self.input = self.session.get_inputs()[0].name
        self.session.run(None, {self.input: np.zeros((1, 3, height, width), np.float32)})
        self.publisher = self.create_publisher(Image, '~/label_map', 10)
        self.create_subscription(Image, 'image', self.receive, 10)

    def receive(self, message: Image) -> None:
        """Segment one frame in the callback."""
        frame = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        image = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), self.size)
        scaled = (image.astype(np.float32) / 255.0 - self.mean) / self.std
        batch = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
        (labels,) = self.session.run(None, {self.input: batch})
        size = (message.width, message.height)
        mask = cv2.resize(labels[0], size, interpolation=cv2.INTER_NEAREST)
        answer = Image(header=message.header, height=message.height, width=message.width)
        answer.encoding = 'mono8'
        answer.step = message.width
        answer.data = array('B', mask.tobytes())
        self.publisher.publish(answer)


def write_float_model(source: Path, target: Path) -> FloatModel:
    """Cut the preprocessing off a model file: the same engine and network, fed float.

    Args:
        source: A model file for rgb8.
        target: The file to write.
    """
    model = onnx.load(source)
    (begin,) = (node.output[0] for node in model.graph.node if node.name == NETWORK_INPUT)
    onnx.utils.extract_model(str(source), str(target), [begin], [LABELS], check_model=False)
    values = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    card = read_model(source).card
    assert card.input_order == 'rgb8', 'the usual node converts to it'
    return FloatModel(
        path=target,
        size=card.input_size,
        mean=values['vidseg.mean'].ravel() / np.float32(255),
        std=1 / values['vidseg.inverse_std'].ravel() / np.float32(255),
    )


def _spin(node: Node, pipe: Connection) -> None:
    _shut_down_after(pipe)
    with suppress(ExternalShutdownException):
        rclpy.spin(node)
    node.destroy_node()


def _shut_down_after(pipe: Connection) -> None:
    """Shut ROS down, in a thread, as soon as the parent lets this process end."""

    def wait() -> None:
        for _ in requests(pipe):
            pass
        try_shutdown()

    threading.Thread(target=wait, daemon=True).start()
