# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import struct

import numpy as np
import pytest

from vidseg_ros.bag_io.messages import read_header, restamp, serialize_image


@pytest.mark.parametrize('byte_order', ['<', '>'])
def test_restamp_changes_the_stamp_and_nothing_else(byte_order: str) -> None:
    encapsulation = b'\x00\x01\x00\x00' if byte_order == '<' else b'\x00\x00\x00\x00'
    header = struct.pack(f'{byte_order}iII', 5, 7, 6) + b'front\0'
    message = encapsulation + header + b'the rest'
    other = restamp(message, 1_800_000_000_999_999_999)
    assert read_header(message) == (5_000_000_007, 'front')
    assert read_header(other) == (1_800_000_000_999_999_999, 'front')
    assert (other[:4], other[12:]) == (message[:4], message[12:])


def test_a_restamped_image_is_the_image_of_that_time() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    first, second = (
        serialize_image(pixels, encoding='rgb8', stamp_ns=stamp_ns, frame_id='front')
        for stamp_ns in (1_500_000_000, 2_000_000_003)
    )
    assert restamp(first, 2_000_000_003) == second
