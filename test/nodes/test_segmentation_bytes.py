# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Serialised messages in, serialised messages out: the same bytes as by ROS's own classes."""

from array import array
from collections.abc import Callable
import os
from pathlib import Path
import struct
import time
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.overlay import blend
from vidseg_ros.nodes.messages import image_message

LABEL_MAP = '/segmentation/label_map'
TOPICS = (LABEL_MAP, '/segmentation/confidence', '/segmentation/overlay')
COLORS = LabelSet(names=('red', 'green', 'blue'), colors=((255, 0, 0), (0, 255, 0), (0, 0, 255)))
FRAME_IDS = ('', 'a', 'ab', 'kamera_vorn/ö', 'front_camera_optical_frame', '前' * 100)
CHANNELS = {'rgb8': [0, 1, 2], 'bgr8': [2, 1, 0], 'rgba8': [0, 1, 2, 0], 'bgra8': [2, 1, 0, 1]}

both_ways = pytest.mark.parametrize('serialized', [True, False])


def camera_image(header: Any, rgb: Any, encoding: str, padding: int = 0) -> Image:
    height, width = rgb.shape[:2]
    row_bytes = width * len(CHANNELS[encoding])
    rows = np.full((height, row_bytes + padding), 0xAB, np.uint8)
    rows[:, :row_bytes] = rgb[..., CHANNELS[encoding]].reshape(height, -1)
    message = image_message(header, rows)
    message.width, message.encoding = width, encoding
    return message


def numbers(count: int, at: int, message: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f'{"><"[message[1]]}{count}I', message, at)


def header_of(message: bytes) -> bytes:
    """Return stamp and frame id as serialised."""
    return message[4 : 16 + numbers(1, 12, message)[0]]


def without_padding(message: bytes) -> bytes:
    """Set the padding of a serialised image to zeros: rclpy leaves there what was in memory."""
    cleaned = bytearray(message)
    frame_id_end = 4 + len(header_of(message))
    size = frame_id_end + -frame_id_end % 4
    encoding = size + 12
    is_bigendian = encoding + numbers(1, size + 8, message)[0]
    step = is_bigendian + 1 + -(is_bigendian + 1) % 4
    for start, end in ((frame_id_end, size), (is_bigendian + 1, step)):
        cleaned[start:end] = bytes(end - start)
    (length,) = numbers(1, step + 4, message)
    assert len(message) == step + 8 + length
    return bytes(cleaned)


def listen(peer: Any, *topics: str) -> list[list[bytes]]:
    """Subscribe to what is on the wire; the lists grow with every message."""
    received: list[list[bytes]] = [[] for _ in topics]
    for topic, messages in zip(topics, received, strict=True):
        peer.node.create_subscription(Image, topic, messages.append, 10, raw=True)
        peer.wait_for(lambda topic=topic: peer.node.count_publishers(topic), topic)
    return received


def answers(peer: Any, received: list[list[bytes]], sent: bytes, send: Any) -> list[bytes]:
    """Send a message until there is an answer on every topic; best effort may lose some."""

    def found() -> list[bytes]:
        header = header_of(sent)
        first = (next((m for m in list(ms) if header_of(m) == header), None) for ms in received)
        return [message for message in first if message is not None]

    for _ in range(30):
        send(sent)
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            if len(answered := found()) == len(received):
                return answered
            time.sleep(0.005)
    return pytest.fail(f'no answer: {peer.logs}')


def sender(peer: Any, topic: str, message_type: Any) -> Callable[[bytes], None]:
    publisher = peer.publisher(topic, message_type)
    peer.wait_for(publisher.get_subscription_count, f'subscriber of {topic}')
    publish: Callable[[bytes], None] = publisher.publish
    return publish


def expected_answers(header: Any, scene: Any) -> list[bytes]:
    pictures = (
        scene.labels,
        np.full_like(scene.labels, 255),
        blend(scene.rgb, scene.labels, COLORS, 0.5),
    )
    return [
        without_padding(serialize_message(image_message(header, picture))) for picture in pictures
    ]


@both_ways
def test_images_give_the_bytes_that_ros_itself_writes(
    peer: Any,
    tiny_model: Path,
    scene: Any,
    serialized: bool,  # noqa: FBT001
) -> None:
    node = peer.start_active(serialized=serialized, model=str(tiny_model))
    (subscription,) = (s for s in node.subscriptions if s.topic_name == '/image')
    assert subscription.raw == serialized
    received = listen(peer, *TOPICS)
    send = sender(peer, '/image', Image)
    for seed, frame_id in enumerate(FRAME_IDS):
        picture, header = scene(seed=seed), peer.header(frame_id)
        encoding = list(CHANNELS)[seed % len(CHANNELS)]
        sent = serialize_message(camera_image(header, picture.rgb, encoding, padding=3 * seed))
        found = answers(peer, received, sent, send)
        assert [without_padding(message) for message in found] == expected_answers(header, picture)
        assert {header_of(message) for message in found} == {header_of(sent)}
        if serialized:
            assert [without_padding(message) for message in found] == found, 'memory leaks out'


@both_ways
def test_compressed_images_give_the_bytes_that_ros_itself_writes(
    peer: Any,
    tiny_model: Path,
    scene: Any,
    serialized: bool,  # noqa: FBT001
) -> None:
    peer.publisher('/image/compressed', CompressedImage)
    peer.start_active(serialized=serialized, model=str(tiny_model), input_type='compressed')
    received = listen(peer, *TOPICS)
    send = sender(peer, '/image/compressed', CompressedImage)
    for seed, frame_id in enumerate(FRAME_IDS):
        picture, header = scene(seed=seed), peer.header(frame_id)
        data = array('B', cv2.imencode('.png', picture.rgb[..., ::-1])[1].tobytes())
        message = CompressedImage(header=header, format='bgr8; png compressed', data=data)
        found = answers(peer, received, serialize_message(message), send)
        assert [without_padding(message) for message in found] == expected_answers(header, picture)


@both_ways
def test_masks_at_network_size_and_their_camera_info(
    peer: Any,
    tiny_model: Path,
    scene: Any,
    serialized: bool,  # noqa: FBT001
) -> None:
    node = peer.start_active(
        serialized=serialized, model=str(tiny_model), mask_size='network', cameras=['front']
    )
    received = listen(peer, '/segmentation/front/label_map')
    infos = peer.listen('/segmentation/front/camera_info', CameraInfo)
    node._cameras['front'].inputs._receive_info(CameraInfo(height=48, width=64))
    picture, header = scene(), peer.header('kamera_vorn/ö')
    header.stamp.sec, header.stamp.nanosec = -(2**31), 2**32 - 1
    sent = serialize_message(picture.message(header))
    (found,) = answers(peer, received, sent, sender(peer, '/front/image', Image))
    expected = serialize_message(image_message(header, picture.labels[::4, ::4]))
    assert without_padding(found) == without_padding(expected)
    assert peer.wait_for(lambda: infos, 'camera info')[0].header == header


def test_frame_sizes_and_headers_that_change(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model))
    received = listen(peer, LABEL_MAP)
    send = sender(peer, '/image', Image)
    for seed, (size, frame_id) in enumerate(
        (((48, 64), 'a'), ((12, 16), 'a'), ((12, 16), 'longer'), ((48, 64), 'longer'))
    ):
        picture, header = scene(*size, seed=seed), peer.header(frame_id)
        (found,) = answers(peer, received, serialize_message(picture.message(header)), send)
        expected = serialize_message(image_message(header, picture.labels))
        assert found == without_padding(expected)


def big_endian(header: Any, pixels: Any, encoding: str) -> bytes:
    frame_id, name = f'{header.frame_id}\0'.encode(), f'{encoding}\0'.encode()
    height, width = pixels.shape[:2]
    fields = struct.pack('>iII', header.stamp.sec, header.stamp.nanosec, len(frame_id)) + frame_id
    fields += bytes(-len(fields) % 4) + struct.pack('>3I', height, width, len(name)) + name + b'\0'
    fields += bytes(-len(fields) % 4) + struct.pack('>2I', pixels.nbytes // height, pixels.nbytes)
    return bytes(4) + fields + pixels.tobytes()


def test_a_big_endian_message_gets_a_big_endian_answer(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start_active(model=str(tiny_model))
    received, typed = listen(peer, LABEL_MAP), peer.listen(LABEL_MAP)
    picture, header = scene(), peer.header()
    sent = big_endian(header, picture.rgb, 'rgb8')
    (found,) = answers(peer, received, sent, sender(peer, '/image', Image))
    assert found == big_endian(header, picture.labels, 'mono8')
    mask = peer.wait_for(lambda: typed, 'the same for who reads ROS classes')[0]
    assert mask.header == header
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)


def broken_images(good: bytes) -> dict[str, list[bytes]]:
    """Break an image of frame id ``front``, by the reason it must be counted under."""
    return {
        'truncated': [
            b'',
            b'\0',
            good[:4],
            good[:17],
            good[:50],
            good[:-8],
            good[:12] + b'\xff\xff\xff\xff' + good[16:],
            good[:48] + struct.pack('<I', 2**31) + good[52:],
            good[:24] + struct.pack('<I', 49) + good[28:],
        ],
        'corrupt': [
            b'\0\3' + good[2:],
            b'\xff' * len(good),
            good[:12] + struct.pack('<I', 5) + good[16:],
            good[:12] + struct.pack('<I', 5000) + good[16:],
        ],
        'size': [good[:24] + struct.pack('<I', 2**32 - 1) + good[28:]],
        'step': [good[:44] + bytes(4) + good[48:]],
        'encoding': [good[:36] + b'\xff\xfe\0b' + good[40:]],
    }


def test_broken_bytes_are_counted_by_reason_and_the_node_goes_on(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    node = peer.start_active(model=str(tiny_model))
    masks = peer.listen(LABEL_MAP)
    peer.segment(scene().message(peer.header()), masks)
    health = node._cameras[''].health
    good = serialize_message(scene().message(peer.header('front')))
    send = sender(peer, '/image', Image)
    for reason, messages in broken_images(good).items():
        for count, message in enumerate(messages, 1):
            received = health._received
            send(message)
            peer.wait_for(lambda n=received: health._received == n + 1, reason)
            assert health._dropped[reason] == count, message[:64]
        key, expected = f'dropped.{reason}', str(len(messages))
        peer.wait_for(lambda k=key, n=expected: peer.values().get(k) == n, key)
    assert any('frame skipped: message is truncated: it has 0 bytes' in log for log in peer.logs)
    picture = scene(seed=5)
    mask = peer.segment(picture.message(peer.header()), masks)
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)


def test_a_cut_compressed_message_is_counted(peer: Any, tiny_model: Path) -> None:
    peer.publisher('/image/compressed', CompressedImage)
    peer.start_active(model=str(tiny_model), input_type='compressed')
    whole = CompressedImage(header=peer.header(), format='jpeg', data=array('B', bytes(100)))
    send = sender(peer, '/image/compressed', CompressedImage)

    def counted() -> bool:
        send(serialize_message(whole)[:-50])  # again: best effort
        return bool(peer.values().get('dropped.truncated'))

    peer.wait_for(counted, 'count')


@pytest.mark.parametrize(('free', 'warned'), [(0, True), (2**40, False)])
def test_too_little_shared_memory_is_told_once(
    peer: Any,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    warned: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(os, 'statvfs', lambda _: SimpleNamespace(f_bavail=free, f_frsize=1))
    peer.start_active(model=str(tiny_model))
    assert peer.change('DEACTIVATE')
    assert peer.change('CLEANUP')
    assert peer.change('CONFIGURE')
    peer.wait_for(lambda: sum(log.startswith('opened ') for log in peer.logs) == 2, 'logs')
    assert sum('MiB left, but a shared-memory segment' in log for log in peer.logs) == warned
