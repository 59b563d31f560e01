# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from vidseg_ros.bag_io import BagImage, BagReader
from vidseg_ros.bag_io.messages import serialize_image
from vidseg_ros.nodes import mask_recorder
from vidseg_ros.nodes.mask_recorder import LABEL_MAP_TOPIC, MaskRecorder

LABELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def label_map(number: int) -> bytes:
    return serialize_image(
        LABELS + number, encoding='mono8', stamp_ns=5_000_000_000 + number, frame_id='front'
    )


def publish(context: Context, count: int, topic: str = LABEL_MAP_TOPIC) -> Node:
    """Publish label maps once somebody is there; they live as long as the node."""
    node = Node('publisher', context=context)
    publisher = node.create_publisher(Image, topic, 10)
    deadline = time.monotonic() + 20
    while not publisher.get_subscription_count():
        assert time.monotonic() < deadline, 'no subscriber'
        time.sleep(0.01)
    for number in range(count):
        publisher.publish(label_map(number))
    publisher.wait_for_all_acked()
    return node


def test_masks_are_handed_on_with_stamp_and_time(context: Context) -> None:
    masks: list[tuple[BagImage, int]] = []
    enough = threading.Event()

    def on_mask(mask: BagImage, received_ns: int) -> None:
        masks.append((mask, received_ns))
        if len(masks) == 3:
            enough.set()

    recorder = MaskRecorder(on_mask, context=context)
    assert not recorder.has_publisher()
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(recorder)

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin)
    thread.start()
    before_ns = time.monotonic_ns()
    publisher = publish(context, 3)
    assert enough.wait(20)
    assert recorder.has_publisher()
    publisher.destroy_node()
    executor.shutdown()
    thread.join()
    recorder.destroy_node()
    for number, (mask, received_ns) in enumerate(masks):
        np.testing.assert_array_equal(mask.label_map(), LABELS + number)
        assert (mask.stamp_ns, mask.frame_id) == (5_000_000_000 + number, 'front')
        assert mask.cdr == label_map(number)
        assert before_ns < received_ns < time.monotonic_ns()


RECORDER = [sys.executable, '-m', 'vidseg_ros.nodes.mask_recorder']


def test_command_line_records_a_bag_until_ctrl_c(
    tmp_path: Path, context: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen([*RECORDER, 'bag', '--ros-args', '-r', '__ns:=/car'], cwd=tmp_path)
    try:
        publisher = publish(context, 4, f'/car{LABEL_MAP_TOPIC}')
        time.sleep(0.5)  # acknowledged is not written yet
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        publisher.destroy_node()
    finally:
        process.kill()
    said = capfd.readouterr()
    assert 'recording /car/segmentation/label_map into bag' in said.err
    assert said.out == '4 label maps of /car/segmentation/label_map in bag\n'
    with BagReader(tmp_path / 'bag') as bag:
        images = list(bag.images('/car/segmentation/label_map'))
    assert [image.cdr for image in images] == [label_map(number) for number in range(4)]


def test_masks_are_recorded_at_simulated_time(context: Context) -> None:
    """With use_sim_time, the masks of a replay lie beside the footage, not in the present."""
    context.shutdown()
    context = Context()
    context.init(['--ros-args', '-p', 'use_sim_time:=true'])
    masks: list[BagImage] = []
    recorder = MaskRecorder(lambda mask, _: masks.append(mask), context=context)
    clock = recorder.create_publisher(Clock, '/clock', 1)
    publisher = recorder.create_publisher(Image, LABEL_MAP_TOPIC, 1)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(recorder)
    deadline = time.monotonic() + 20

    def spin_while(waiting: Callable[[], bool]) -> None:
        while waiting():
            assert time.monotonic() < deadline
            executor.spin_once(timeout_sec=0.05)

    clock.publish(Clock(clock=Time(sec=5, nanosec=7)))
    spin_while(lambda: recorder.get_clock().now().nanoseconds != 5_000_000_007)
    publisher.publish(label_map(1))
    spin_while(lambda: not masks)
    executor.shutdown()
    recorder.destroy_node()
    context.shutdown()
    assert masks[0].log_ns == 5_000_000_007


def test_an_existing_bag_is_named_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mask_recorder.main([str(tmp_path)]) == 2
    assert 'exists and is not overwritten' in capsys.readouterr().err
