# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from array import array
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.nodes.messages import (
    decode_message,
    describe_format,
    image_message,
    label_info_message,
    stamp_ns,
)


def header() -> Header:
    made = Header(frame_id='camera')
    made.stamp.sec, made.stamp.nanosec = 12, 345
    return made


def test_stamp() -> None:
    assert stamp_ns(header()) == 12_000_000_345


def test_image_messages_are_packed_whatever_the_memory_looks_like() -> None:
    wide = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for pixels, encoding, step in ((wide[:, ::2], 'rgb8', 9), (wide[::-1, :, 0], 'mono8', 6)):
        message = image_message(header(), pixels)
        assert (message.height, message.width) == pixels.shape[:2]
        assert (message.encoding, message.step, message.is_bigendian) == (encoding, step, 0)
        assert isinstance(message.data, array)
        assert bytes(message.data) == pixels.tobytes()
        assert message.header == header()


def test_decode_honours_step_and_byte_order() -> None:
    message = Image(height=2, width=1, encoding='mono16', is_bigendian=1, step=3)
    message.data = array('B', [255, 0, 9, 0, 255])
    np.testing.assert_array_equal(decode_message(message, 'rgb8'), [[[254] * 3], [[1] * 3]])
    message.is_bigendian = 0
    np.testing.assert_array_equal(decode_message(message, 'rgb8'), [[[1] * 3], [[254] * 3]])


def test_a_bad_message_is_an_image_error() -> None:
    with pytest.raises(ImageError, match='size 0x0'):
        decode_message(Image(encoding='rgb8'), 'rgb8')
    with pytest.raises(ImageError, match='neither JPEG nor PNG'):
        decode_message(CompressedImage(format='jpeg', data=b'no'), 'rgb8')


def test_formats_for_people() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    assert describe_format(image_message(header(), pixels), pixels) == '3x2 rgb8'
    assert describe_format(CompressedImage(format='bgr8; jpeg'), pixels) == '3x2 bgr8; jpeg'


def test_label_info_pairs_ids_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType('vision_msgs.msg')
    module.LabelInfo = SimpleNamespace  # type: ignore[attr-defined]  # a stand-in
    module.VisionClass = SimpleNamespace  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, 'vision_msgs', ModuleType('vision_msgs'))
    monkeypatch.setitem(sys.modules, 'vision_msgs.msg', module)
    message = label_info_message(header(), CAMVID)
    assert message.header == header()
    assert {item.class_id: item.class_name for item in message.class_map} == dict(
        enumerate(CAMVID.names)
    )
    assert message.threshold == 0.0


def test_label_info_without_vision_msgs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'vision_msgs.msg', None)
    with pytest.raises(ImportError):
        label_info_message(header(), CAMVID)
