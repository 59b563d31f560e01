# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Messages as other software serialises them, and whatever else may arrive on a wire."""

from functools import cache
import struct
import tracemalloc
from typing import Any

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from rosbags.serde import SerdeError
from rosbags.typesys import get_typestore, Stores
from rosbags.typesys.stores import ros2_jazzy as ros

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.image_codec import decode_compressed, decode_image
from vidseg_ros.core.serialized_image import (
    LabelMapWriter,
    MAX_STRING_BYTES,
    read_compressed_image,
    read_header,
    read_image,
    serialize_image,
    SerializedImage,
)

# Every alignment of what follows a string, also by bytes that are not characters.
FRAME_IDS = ('', 'a', 'ab', 'abc', 'abcd', 'kamera_vorn/ö', '前', 'x' * (MAX_STRING_BYTES - 1))
STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


def ros_header(frame_id: str) -> Any:
    stamp = ros.builtin_interfaces__msg__Time(sec=-5, nanosec=4_294_967_295)
    return ros.std_msgs__msg__Header(stamp=stamp, frame_id=frame_id)


def image_bytes(  # noqa: PLR0913  # the fields of the message
    pixels: Any,
    encoding: str = 'rgb8',
    frame_id: str = 'front',
    *,
    little: bool = True,
    big_pixels: int = 0,
    step: int | None = None,
) -> bytes:
    """Serialise with rosbags."""
    height, width = pixels.shape[:2]
    message = ros.sensor_msgs__msg__Image(
        header=ros_header(frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=big_pixels,
        step=pixels.nbytes // height if step is None else step,
        data=pixels.view(np.uint8).reshape(-1),
    )
    return bytes(STORE.serialize_cdr(message, IMAGE, little_endian=little))


def compressed_bytes(data: bytes, frame_id: str = 'front', *, little: bool = True) -> bytes:
    message = ros.sensor_msgs__msg__CompressedImage(
        header=ros_header(frame_id), format='rgb8; png', data=np.frombuffer(data, np.uint8)
    )
    return bytes(STORE.serialize_cdr(message, COMPRESSED, little_endian=little))


def picture(height: int = 3, width: int = 5) -> Any:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def decoded(message: SerializedImage) -> Any:
    return decode_image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=message.step,
        data=message.data,
        order='rgb8',
    )


@pytest.mark.parametrize('little', [True, False])
@pytest.mark.parametrize('frame_id', FRAME_IDS)
@pytest.mark.parametrize('encoding', ['', 'rgb8', 'mono8', 'bayer_rggb16', 'ünknown'])
def test_every_field_of_an_image_is_read(little: bool, frame_id: str, encoding: str) -> None:  # noqa: FBT001
    sent = image_bytes(picture(), encoding, frame_id, little=little, big_pixels=1, step=16)
    message = read_image(sent)
    assert (message.header.sec, message.header.nanosec) == (-5, 4_294_967_295)
    assert message.header.stamp_ns == -5_000_000_000 + 4_294_967_295
    assert message.header.frame_id == frame_id
    assert message.header.byte_order == ('<' if little else '>')
    assert message.header.cdr == sent[4 : 4 + 12 + len(frame_id.encode()) + 1]
    assert (message.height, message.width, message.step) == (3, 5, 16)
    assert (message.encoding, message.is_bigendian) == (encoding, 1)
    assert bytes(message.data) == picture().tobytes()
    assert read_header(sent) == message.header


@pytest.mark.parametrize('little', [True, False])
@pytest.mark.parametrize('frame_id', FRAME_IDS)
def test_every_field_of_a_compressed_image_is_read(little: bool, frame_id: str) -> None:  # noqa: FBT001
    message = read_compressed_image(compressed_bytes(b'file', frame_id, little=little))
    assert message.header.frame_id == frame_id
    assert message.header.stamp_ns == -5_000_000_000 + 4_294_967_295
    assert (message.format, bytes(message.data)) == ('rgb8; png', b'file')


def test_nothing_of_the_frame_is_copied_and_its_memory_stays() -> None:
    pixels = np.full((400, 500, 3), 7, np.uint8)
    sent = image_bytes(pixels)
    image = decoded(read_image(sent))
    assert np.shares_memory(image, np.frombuffer(sent, np.uint8))
    assert not image.flags.writeable
    del sent
    other = [bytes(600_000) for _ in range(8)]  # would take freed memory
    np.testing.assert_array_equal(image, pixels)
    assert len(other) == 8


def test_pixels_of_16_bits_have_their_own_byte_order() -> None:
    pixels = np.array([[0x0100, 0xFF00]], '>u2')
    for little in (True, False):
        sent = image_bytes(pixels, 'mono16', little=little, big_pixels=1)
        np.testing.assert_array_equal(decoded(read_image(sent)), [[[1] * 3, [254] * 3]])


def test_a_message_cut_anywhere_is_truncated() -> None:
    for sent, read in (
        (image_bytes(picture()), read_image),
        (compressed_bytes(b'file'), read_compressed_image),
    ):
        for length in range(len(sent)):
            with pytest.raises(ImageError, match='message is truncated') as caught:
                read(sent[:length])
            assert caught.value.reason == 'truncated'


def test_the_error_says_where_a_message_ends() -> None:
    with pytest.raises(ImageError, match='it has 71 bytes, but data alone takes 45 from byte 52'):
        read_image(image_bytes(picture())[:71])


@pytest.mark.parametrize('sent', [image_bytes(picture()), compressed_bytes(b'file')])
def test_bytes_behind_the_last_field_are_ignored(sent: bytes) -> None:
    read: Any = read_image if len(sent) > 80 else read_compressed_image
    assert bytes(read(sent + b'zzz').data) == bytes(read(sent).data)


@pytest.mark.parametrize('start', [b'\0\2', b'\0\7', b'\1\0', b'\xff\xff'])
def test_another_encapsulation_is_refused(start: bytes) -> None:
    with pytest.raises(ImageError, match=f'starts with {start.hex(" ")} 00 00, which') as caught:
        read_image(start + image_bytes(picture())[2:])
    assert caught.value.reason == 'corrupt'


def with_frame_id(length: int, frame_id: bytes) -> bytes:
    """Return an image whose frame_id has this length field and these bytes."""
    rest = image_bytes(picture(), frame_id='')[20:]
    padding = bytes(-len(frame_id) % 4)
    return b'\0\1\0\0' + bytes(8) + struct.pack('<I', length) + frame_id + padding + rest


def test_an_empty_string_may_lack_its_zero() -> None:
    message = read_image(with_frame_id(0, b''))
    assert (message.header.frame_id, message.header.cdr) == ('', bytes(12))
    assert (message.height, message.encoding) == (3, 'rgb8')


def test_a_frame_id_that_is_no_text_still_comes_back_bit_for_bit() -> None:
    message = read_image(with_frame_id(4, b'\xff\xfea\0'))
    assert message.header.frame_id == '\ufffd\ufffda'
    assert message.header.cdr == bytes(8) + b'\4\0\0\0\xff\xfea\0'
    assert serialize_image(message.header, picture())[4:20] == message.header.cdr


@pytest.mark.parametrize(
    ('length', 'frame_id', 'reason', 'error'),
    [
        (3, b'abc', 'corrupt', 'frame_id of a message does not end with a zero'),
        (4097, bytes(4097), 'corrupt', 'has 4097 bytes, more than 4096; check the camera driver'),
        (2**31, b'abc\0', 'truncated', 'frame_id alone takes 2147483648 from byte 16'),
        (2**32 - 1, b'abc\0', 'truncated', 'frame_id alone takes 4294967295 from byte 16'),
    ],
)
def test_a_string_that_lies_is_refused(
    length: int, frame_id: bytes, reason: str, error: str
) -> None:
    with pytest.raises(ImageError, match=error) as caught:
        read_image(with_frame_id(length, frame_id))
    assert caught.value.reason == reason


@pytest.mark.parametrize('length', [46, 2**31 - 1, 2**32 - 1])
def test_data_that_claims_to_be_longer_than_the_message_is_truncated(length: int) -> None:
    sent = image_bytes(picture())
    lying = sent[:48] + struct.pack('<I', length) + sent[52:]
    with pytest.raises(ImageError, match=f'data alone takes {length} from byte 52') as caught:
        read_image(lying)
    assert caught.value.reason == 'truncated'


@pytest.mark.parametrize('little', [True, False])
@pytest.mark.parametrize('frame_id', FRAME_IDS)
def test_images_are_written_as_rosbags_writes_them(little: bool, frame_id: str) -> None:  # noqa: FBT001
    wide = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    header = read_image(image_bytes(picture(), frame_id=frame_id, little=little)).header
    writer = LabelMapWriter()
    for pixels, encoding in ((wide[:, ::2], 'rgb8'), (wide[::-1, :, 0], 'mono8')):
        packed = np.ascontiguousarray(pixels)
        expected = image_bytes(packed, encoding, frame_id, little=little)
        assert serialize_image(header, pixels) == expected
        if pixels.ndim == 2:
            writer.place(header, *pixels.shape)[:] = pixels
            assert writer.message() == expected


def test_label_maps_of_one_size_are_written_into_the_same_memory() -> None:
    writer = LabelMapWriter()
    headers = [read_header(image_bytes(picture(), frame_id=name)) for name in ('a', 'b', 'long')]
    first = writer.place(headers[0], 2, 3)
    first[:] = 1
    sent = writer.message()
    again = writer.place(headers[1], 2, 3)
    assert again is first
    again[:] = 2
    assert sent == serialize_image(headers[0], np.full((2, 3), 1, np.uint8))
    assert writer.message() == serialize_image(headers[1], np.full((2, 3), 2, np.uint8))
    for header, size in ((headers[2], (2, 3)), (headers[2], (3, 2)), (headers[0], (1, 1))):
        writer.place(header, *size)[:] = 3
        assert writer.message() == serialize_image(header, np.full(size, 3, np.uint8))
    np.testing.assert_array_equal(first, 2)  # whoever still reads it is not disturbed


def test_a_label_map_of_the_wrong_length_is_never_sent() -> None:
    writer = LabelMapWriter()
    writer.place(read_header(image_bytes(picture())), 2, 3)
    writer._buffer = writer._buffer[:-1]
    with pytest.raises(AssertionError):
        writer.message()


def test_a_frame_costs_one_copy_of_its_label_map() -> None:
    height, width = 480, 640
    sent = image_bytes(np.zeros((height, width, 3), np.uint8))
    small, writer = np.zeros((120, 160), np.uint8), LabelMapWriter()

    def answer() -> bytes:
        message = read_image(sent)
        assert decoded(message).shape == (height, width, 3)
        memory = writer.place(message.header, height, width)
        cv2.resize(small, (width, height), dst=memory, interpolation=cv2.INTER_NEAREST_EXACT)
        return writer.message()

    answer()
    tracemalloc.start()
    try:
        found = answer()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert height * width < len(found) < peak < height * width + 50_000


@cache
def seeds() -> tuple[bytes, ...]:
    return (
        *(
            image_bytes(picture(), encoding, frame_id, little=little)
            for encoding in ('rgb8', 'mono16', 'mono8')
            for frame_id in ('', 'front')
            for little in (True, False)
        ),
        compressed_bytes(b'\x89PNG\r\n\x1a\n' + bytes(20)),
        compressed_bytes(b'\xff\xd8\xff\xda\xff\xd9', little=False),
    )


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Draw a good message with numbers and bytes overwritten, cut or with bytes added."""
    message = bytearray(draw(st.sampled_from(seeds())))
    number = st.sampled_from([0, 1, 2, 44, 46, 4096, 4097, 2**16, 2**31, 2**32 - 4, 2**32 - 1])
    for order, word, value in draw(
        st.lists(st.tuples(st.sampled_from('<>'), st.integers(0, 15), number), max_size=2)
    ):
        message[4 * word : 4 * word + 4] = struct.pack(f'{order}I', value)
    for position, value in draw(
        st.lists(st.tuples(st.integers(0, len(message) - 1), st.integers(0, 255)), max_size=3)
    ):
        message[position] = value
    cut = draw(st.integers(0, 2 * len(message)))
    return bytes(message[:cut]) + draw(st.binary(max_size=8))


def check_inside(data: memoryview, message: bytes) -> None:
    """Check that a view lies within the message's own memory."""
    inner, outer = np.frombuffer(data, np.uint8), np.frombuffer(message, np.uint8)
    start = inner.ctypes.data - outer.ctypes.data
    assert not len(inner) or 0 <= start <= start + len(inner) <= len(outer)


def reference(message: bytes, name: str) -> Any:
    """Return what rosbags reads; None if it refuses the message."""
    try:
        return STORE.deserialize_cdr(message, name)
    except (SerdeError, UnicodeDecodeError):
        return None


def check_refusal(error: ImageError, message: bytes, name: str) -> None:
    """Check that rosbags does not find whole what was refused as truncated."""
    assert error.reason == 'corrupt' or reference(message, name) is None


def check_image(message: bytes) -> None:
    try:
        found = read_image(message)
    except ImageError as error:
        check_refusal(error, message, IMAGE)
        return
    check_inside(found.data, message)
    expected = reference(message, IMAGE)
    if expected is not None:
        fields = ('height', 'width', 'encoding', 'is_bigendian', 'step')
        assert [getattr(found, name) for name in fields] == [
            getattr(expected, name) for name in fields
        ]
        assert found.header.frame_id == expected.header.frame_id
        assert bytes(found.data) == expected.data.tobytes()
    try:
        picture_found = decoded(found)
    except ImageError:
        return
    assert picture_found.shape == (found.height, found.width, 3)
    int(picture_found.sum())  # touches every pixel


def check_compressed(message: bytes) -> None:
    try:
        found = read_compressed_image(message)
    except ImageError as error:
        check_refusal(error, message, COMPRESSED)
        return
    check_inside(found.data, message)
    expected = reference(message, COMPRESSED)
    if expected is not None:
        assert (found.format, found.header.frame_id) == (
            expected.format,
            expected.header.frame_id,
        )
        assert bytes(found.data) == expected.data.tobytes()
    try:
        decode_compressed(found.data, order='rgb8')
    except ImageError:
        return


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(st.one_of(messages(), messages(), st.binary(max_size=80)))
def test_no_message_does_more_than_raise_an_image_error(message: bytes) -> None:
    check_image(message)
    check_compressed(message)
