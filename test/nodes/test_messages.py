# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from array import array
from copy import deepcopy
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.nodes.messages import (
    decode_message,
    describe_format,
    image_message,
    label_info_message,
    read_message,
    result_message,
    ros_header,
    scaled_camera_info,
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


def test_serialised_messages_have_the_same_fields_and_pixels() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    image = image_message(header(), pixels)
    compressed = CompressedImage(header=header(), format='rgb8; png')
    compressed.data = array('B', cv2.imencode('.png', pixels)[1].tobytes())
    for message in (image, compressed):
        read = read_message(serialize_message(message), type(message))
        assert read_message(message, type(message)) is message
        assert stamp_ns(read.header) == stamp_ns(message.header)
        assert ros_header(read.header) == ros_header(message.header) == message.header
        assert describe_format(read, pixels) == describe_format(message, pixels)
        for order in ('rgb8', 'bgr8'):
            expected = decode_message(message, order)
            np.testing.assert_array_equal(decode_message(read, order), expected)
        again = result_message(read.header, pixels)
        assert deserialize_message(again, Image) == image == result_message(header(), pixels)


def test_the_format_says_what_a_compressed_image_holds() -> None:
    mosaic = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (2, 2))
    message = CompressedImage(header=header(), format='bayer_rggb8; png compressed ')
    message.data = array('B', cv2.imencode('.png', mosaic)[1].tobytes())
    for either in (message, read_message(serialize_message(message), CompressedImage)):
        coloured = decode_message(either, 'rgb8')
        np.testing.assert_array_equal(coloured, np.broadcast_to((200, 100, 50), (4, 4, 3)))
    message.format = '16UC1; png compressed '
    with pytest.raises(ImageError, match="encoding '16UC1' is not supported"):
        decode_message(message, 'rgb8')


@pytest.mark.parametrize('message_type', [Image, CompressedImage])
def test_a_cut_message_is_an_image_error(message_type: Any) -> None:
    with pytest.raises(ImageError, match='message is truncated'):
        read_message(serialize_message(message_type(header=header()))[:-1], message_type)


def test_a_bad_message_is_an_image_error() -> None:
    with pytest.raises(ImageError, match='size 0x0'):
        decode_message(Image(encoding='rgb8'), 'rgb8')
    with pytest.raises(ImageError, match='neither JPEG nor PNG'):
        decode_message(CompressedImage(format='jpeg', data=b'no'), 'rgb8')


def test_formats_for_people() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    assert describe_format(image_message(header(), pixels), pixels) == "3x2 'rgb8'"
    assert describe_format(CompressedImage(format='bgr8; jpeg'), pixels) == "3x2 'bgr8; jpeg'"
    assert describe_format(CompressedImage(format='a\nb\x1b'), pixels) == r"3x2 'a\nb\x1b'"


def camera_info() -> CameraInfo:
    return CameraInfo(
        header=Header(frame_id='another'),
        height=480,
        width=640,
        distortion_model='plumb_bob',
        d=[0.1, -0.2, 0.01, 0.02, 0.3],
        k=[500.0, 2.0, 319.5, 0.0, 400.0, 239.5, 0.0, 0.0, 1.0],
        r=[0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        p=[480.0, 0.0, 309.5, -60.0, 0.0, 440.0, 219.5, 8.0, 0.0, 0.0, 1.0, 0.0],
    )


def test_camera_info_scales_about_pixel_centres() -> None:
    info = camera_info()
    before = deepcopy(info)
    scaled = scaled_camera_info(info, header(), height=120, width=320)
    assert scaled.header == header()
    assert (scaled.height, scaled.width) == (120, 320)
    # The middle of 640x480 is (319.5, 239.5), that of 320x120 is (159.5, 59.5).
    np.testing.assert_allclose(scaled.k, [250, 1, 159.5, 0, 100, 59.5, 0, 0, 1])
    # cx: half of 310, less half a pixel; cy: a quarter of 220, less half a pixel.
    np.testing.assert_allclose(scaled.p, [240, 0, 154.5, -30, 0, 110, 54.5, 2, 0, 0, 1, 0])
    assert (scaled.distortion_model, scaled.d) == (info.distortion_model, info.d)
    np.testing.assert_array_equal(scaled.r, info.r)
    assert info == before


def test_camera_info_takes_in_region_and_binning() -> None:
    info = camera_info()
    info.binning_x = info.binning_y = 2  # the image has 160x120 pixels
    info.roi = RegionOfInterest(x_offset=100, y_offset=40, width=320, height=240, do_rectify=True)
    scaled = scaled_camera_info(info, header(), height=30, width=80)
    # cx: 320 less 100, a quarter of it, less half a pixel; cy: 240 less 40, an eighth of it.
    np.testing.assert_allclose(scaled.k, [125, 0.5, 54.5, 0, 50, 24.5, 0, 0, 1])
    # cx: 310 less 100, a quarter of it; cy: 220 less 40, an eighth of it.
    np.testing.assert_allclose(scaled.p, [120, 0, 52, -15, 0, 55, 22, 1, 0, 0, 1, 0])
    assert (scaled.height, scaled.width) == (30, 80)
    assert scaled.roi == RegionOfInterest()
    assert (scaled.binning_x, scaled.binning_y) == (0, 0)


def test_camera_info_of_an_uncalibrated_camera_stays_so() -> None:
    scaled = scaled_camera_info(CameraInfo(height=4, width=6), header(), height=2, width=2)
    assert (scaled.height, scaled.width) == (2, 2)
    assert not any(scaled.k)
    assert not any(scaled.p)


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
