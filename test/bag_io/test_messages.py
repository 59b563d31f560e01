# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import struct

import cv2
import numpy as np
import pytest
from rosbags.typesys.stores import ros2_jazzy as ros

from vidseg_ros.bag_io.messages import (
    BagImage,
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    make_header,
    message_types,
    read_header,
    restamp,
    serialize_image,
)
from vidseg_ros.core.errors import ImageError


@pytest.mark.parametrize('byte_order', ['<', '>'])
def test_restamp_changes_the_stamp_and_nothing_else(byte_order: str) -> None:
    encapsulation = b'\x00\x01\x00\x00' if byte_order == '<' else b'\x00\x00\x00\x00'
    header = struct.pack(f'{byte_order}iII', 5, 7, 6) + b'front\0'
    message = encapsulation + header + b'the rest'
    other = restamp(message, 1_800_000_000_999_999_999)
    assert read_header(message) == (5_000_000_007, 'front')
    assert read_header(other) == (1_800_000_000_999_999_999, 'front')
    assert (other[:4], other[12:]) == (message[:4], message[12:])


@pytest.mark.parametrize('stamp_ns', [-1, -(2**31) * 10**9, 2**31 * 10**9 - 1])
@pytest.mark.parametrize('byte_order', ['<', '>'])
def test_every_stamp_of_a_message_can_be_given(byte_order: str, stamp_ns: int) -> None:
    encapsulation = b'\x00\x01\x00\x00' if byte_order == '<' else b'\x00\x00\x00\x00'
    other = restamp(encapsulation + bytes(8) + b'rest', stamp_ns)
    seconds, nanoseconds = struct.unpack(f'{byte_order}iI', other[4:12])
    assert divmod(stamp_ns, 10**9) == (seconds, nanoseconds)
    assert (other[:4], other[12:]) == (encapsulation, b'rest')


@pytest.mark.parametrize('stamp_ns', [-(2**31) * 10**9 - 1, 2**31 * 10**9])
def test_a_stamp_that_no_message_holds_is_refused(stamp_ns: int) -> None:
    with pytest.raises(ImageError, match='s does not fit into a message: the years are 1901 to'):
        restamp(b'\x00\x01\x00\x00' + bytes(8), stamp_ns)


def test_a_restamped_image_is_the_image_of_that_time() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    first, second = (
        serialize_image(pixels, encoding='rgb8', stamp_ns=stamp_ns, frame_id='front')
        for stamp_ns in (1_500_000_000, 2_000_000_003)
    )
    assert restamp(first, 2_000_000_003) == second


def image(cdr: bytes, msgtype: str = IMAGE_TYPE) -> BagImage:
    return BagImage(msgtype=msgtype, cdr=cdr, log_ns=0, stamp_ns=0, frame_id='')


def compressed(pixels: np.ndarray, image_format: str) -> BagImage:
    message = ros.sensor_msgs__msg__CompressedImage(
        header=make_header(0, 'front'),
        format=image_format,
        data=np.frombuffer(cv2.imencode('.png', pixels)[1].tobytes(), np.uint8),
    )
    cdr = message_types().serialize_cdr(message, COMPRESSED_TYPE)
    return image(bytes(cdr), COMPRESSED_TYPE)


def test_what_the_node_reads_is_read() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    cdr = serialize_image(pixels, encoding='rgb8', stamp_ns=5, frame_id='caf_')
    odd = cdr.replace(b'caf_', b'caf\xe9')  # latin-1
    assert odd != cdr
    for message in (odd, cdr + bytes(1), cdr + bytes(8)):  # middlewares round lengths up
        np.testing.assert_array_equal(image(message).decode('rgb8'), pixels)
    assert read_header(odd) == (5, 'caf\ufffd')


def test_the_format_says_what_a_compressed_image_holds() -> None:
    mosaic = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (2, 2))
    coloured = compressed(mosaic, 'bayer_rggb8; png compressed ').decode('rgb8')
    np.testing.assert_array_equal(coloured, np.broadcast_to((200, 100, 50), (4, 4, 3)))
    distances = compressed(mosaic.astype(np.uint16), '16UC1; png compressed ')
    assert (distances.is_depth(), compressed(mosaic, 'png').is_depth()) == (True, False)
    with pytest.raises(ImageError, match="image encoding '16UC1' is not supported; use one of"):
        distances.decode('rgb8')
