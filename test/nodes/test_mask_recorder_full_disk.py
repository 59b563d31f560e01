# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up while masks are recorded."""

import os
from pathlib import Path
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image

from vidseg_ros.bag_io import BagReader
from vidseg_ros.bag_io.messages import serialize_image
from vidseg_ros.nodes.mask_recorder import LABEL_MAP_TOPIC

WAIT_S = 30.0
FULL_BYTES = 8_000_000

# No file may outgrow the limit: the kernel's answer to a write is that of a full disk but for its
# number. (Neither may Fast DDS's shared memory, so this process gets its masks by UDP.)
RECORDER = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({FULL_BYTES}, {FULL_BYTES}))
from vidseg_ros.nodes.mask_recorder import main
sys.exit(main())
"""


def test_a_full_disk_ends_the_recording_with_a_clear_error_and_keeps_what_was_written(
    tmp_path: Path, context: Context
) -> None:
    bag = tmp_path / 'bag'
    process = subprocess.Popen(
        [sys.executable, '-c', RECORDER, str(bag)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    # What compresses badly fills the disk soon.
    noise = np.random.default_rng(0).integers(0, 256, (300, 800), dtype=np.uint8)
    node = Node('publisher', context=context)
    publisher = node.create_publisher(Image, LABEL_MAP_TOPIC, 10)
    try:
        deadline = time.monotonic() + WAIT_S
        sent = 0
        while process.poll() is None:
            assert time.monotonic() < deadline, f'it goes on after {sent} masks'
            if publisher.get_subscription_count():
                labels = np.roll(noise, sent, axis=0)
                publisher.publish(
                    serialize_image(labels, encoding='mono8', stamp_ns=sent, frame_id='front')
                )
                sent += 1
            time.sleep(0.01)
        _, stderr = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
        node.destroy_node()
    assert process.returncode == 2, stderr
    assert f'cannot write bag {bag}: ' in stderr
    assert 'check the path and the free space' in stderr
    assert 'Traceback' not in stderr
    with BagReader(bag) as reader:
        masks = list(reader.images(LABEL_MAP_TOPIC))
    assert len(masks) > 10
    for mask in masks:
        np.testing.assert_array_equal(mask.label_map(), np.roll(noise, mask.stamp_ns, axis=0))
