# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Stamps and clocks over DDS: recorded drives, simulated time, time that starts again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

MASKS = '/segmentation/label_map'
OK, WARN = b'\x00', b'\x01'
CAMERA = 'segmentation: image'


def stamped(seconds: int) -> Header:
    header = Header(frame_id='front')
    header.stamp.sec = seconds
    return header


def wait_for_rules(peer: Any, rules: str) -> Any:
    peer.wait_for(lambda: peer.values(CAMERA).get('rules') == rules, f'rules {rules!r}')
    return peer.statuses[CAMERA]


def test_a_recorded_drive_without_its_clock(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    for seconds in range(1000, 1003):
        peer.segment(scene().message(stamped(seconds)), masks)
    status = wait_for_rules(peer, 'clock')
    assert status.level == WARN
    assert "years behind the node's clock" in status.message
    assert 'use_sim_time:=true and play with --clock' in status.message

    def logs() -> int:
        return sum(log.startswith('image: stamps are') for log in peer.logs)

    peer.wait_for(logs, 'log')
    peer.wait_for(lambda: peer.statuses[CAMERA] is not status, 'next report')
    assert logs() == 1


def test_a_driver_that_does_not_stamp(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model))
    mask = peer.segment(scene().message(stamped(0)), peer.listen(MASKS))
    assert (mask.header.stamp.sec, mask.header.stamp.nanosec) == (0, 0)
    status = wait_for_rules(peer, 'clock')
    assert status.message == 'stamps are zero; the camera driver must set header.stamp'


def test_simulated_time_that_nobody_publishes(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model), use_sim_time=True)
    peer.segment(scene().message(peer.header()), peer.listen(MASKS))
    status = wait_for_rules(peer, 'clock')
    assert 'use_sim_time is true, but nothing comes on /clock; play the bag with --clock' in (
        status.message
    )


def test_a_bag_that_starts_again(
    peer: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('vidseg_ros.nodes.camera_health.WINDOW_S', 1.0)
    node = peer.start_active(model=str(tiny_model), use_sim_time=True)
    masks = peer.listen(MASKS)

    def play() -> None:
        for seconds in range(1000, 1010):
            peer.publisher('/clock', Clock)

            def arrived(now: int = seconds) -> bool:
                peer.send(Clock(clock=stamped(now).stamp), '/clock')
                return bool(node.get_clock().now().nanoseconds == now * 10**9)

            peer.wait_for(arrived, 'time')
            picture = scene(seed=seconds)
            mask = peer.segment(picture.message(stamped(seconds)), masks)
            np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
            masks.clear()

    play()
    assert wait_for_rules(peer, 'fine').level == OK
    play()
    peer.wait_for(lambda: peer.values(CAMERA)['stamp_backwards'] == '1', 'count of the jump')
    assert wait_for_rules(peer, 'fine').level == OK
    assert 'image: stamps' not in ' '.join(peer.logs)
    assert peer.state() == 'active'
