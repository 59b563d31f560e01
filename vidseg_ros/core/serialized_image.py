# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Serialised sensor_msgs/Image and sensor_msgs/CompressedImage, read and written in place.

ROS 2 sends messages as CDR (OMG CDR, classic encoding): 4 bytes of encapsulation that give the
byte order, then the fields, each number aligned to its own size counted from behind these 4
bytes. A camera frame read here is never copied: its ``data`` is a view of the message, and keeps
it alive. Needs no ROS. Nothing that a message can contain raises anything but ``ImageError``.
"""

from dataclasses import dataclass, field
import struct
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError

ByteOrder = Literal['<', '>']
"""Byte order as `struct` writes it: little or big endian."""

MAX_STRING_BYTES: Final = 4096
"""A longer frame_id or encoding is a broken message (and would flood the log)."""

_ENCAPSULATION_BYTES: Final = 4
_ENCAPSULATIONS: Final[dict[ByteOrder, bytes]] = {'>': b'\0\0\0\0', '<': b'\0\1\0\0'}
_BYTE_ORDERS: Final[dict[bytes, ByteOrder]] = {b'\0\0': '>', b'\0\1': '<'}
_CHANNELS: Final = {'mono8': 1, 'rgb8': 3}


@dataclass(frozen=True, kw_only=True)
class SerializedHeader:
    """A std_msgs/Header as it came."""

    sec: int
    """Seconds of the stamp, as sent."""
    nanosec: int
    """Nanoseconds of the stamp, as sent."""
    frame_id: str
    """Frame id; what is not UTF-8 in it is replaced, here but not in ``cdr``."""
    byte_order: ByteOrder
    """Byte order of ``cdr``."""
    cdr: bytes = field(repr=False)
    """Stamp and frame id as sent, without encapsulation and padding."""

    @property
    def stamp_ns(self) -> int:
        """Return the stamp as nanoseconds."""
        return self.sec * 1_000_000_000 + self.nanosec


@dataclass(frozen=True, kw_only=True, eq=False)
class SerializedImage:
    """A sensor_msgs/Image as sent: not checked yet, see `vidseg_ros.core.image_codec`."""

    header: SerializedHeader
    height: int
    """Rows, px."""
    width: int
    """Columns, px."""
    encoding: str
    is_bigendian: int
    """0 or another number: byte order of pixels of 16 bits."""
    step: int
    """Bytes from one row to the next."""
    data: memoryview
    """The rows; read-only view of the message."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SerializedCompressedImage:
    """A sensor_msgs/CompressedImage as sent."""

    header: SerializedHeader
    format: str
    """What the sender says about ``data``, such as ``jpeg``."""
    data: memoryview
    """The file; read-only view of the message."""


def read_header(message: bytes) -> SerializedHeader:
    """Read the std_msgs/Header that a serialised message starts with, and nothing behind it.

    Args:
        message: As for `read_image`; of any type that starts with a header.

    Raises:
        ImageError: As for `read_image`.
    """
    return _Cursor(message).header()


def read_image(message: bytes) -> SerializedImage:
    """Read a serialised sensor_msgs/Image without copying its data.

    Args:
        message: Encapsulation and fields; bytes behind the last field are ignored, because
            middlewares round the length up.

    Raises:
        ImageError: With reason 'truncated' (ends before its last field does, or a length in it
            lies) or 'corrupt' (no classic CDR, or a string that is too long or has no end).
    """
    cursor = _Cursor(message)
    return SerializedImage(
        header=cursor.header(),
        height=cursor.uint32('height'),
        width=cursor.uint32('width'),
        encoding=cursor.string('encoding'),
        is_bigendian=cursor.uint8('is_bigendian'),
        step=cursor.uint32('step'),
        data=cursor.octets('data'),
    )


def read_compressed_image(message: bytes) -> SerializedCompressedImage:
    """Read a serialised sensor_msgs/CompressedImage without copying its data.

    Args:
        message: As for `read_image`.

    Raises:
        ImageError: As for `read_image`.
    """
    cursor = _Cursor(message)
    return SerializedCompressedImage(
        header=cursor.header(), format=cursor.string('format'), data=cursor.octets('data')
    )


def serialize_image(header: SerializedHeader, pixels: NDArray[np.uint8]) -> bytes:
    """Return a serialised sensor_msgs/Image without padding: one copy of the pixels.

    Args:
        header: Goes into the message bit for bit, and gives its byte order.
        pixels: (H, W) uint8 becomes mono8, (H, W, 3) uint8 RGB becomes rgb8.
    """
    height, width = pixels.shape[:2]
    start = _before_pixels(header, height, width, 'mono8' if pixels.ndim == 2 else 'rgb8')
    return b''.join((start, np.ascontiguousarray(pixels).data))


class LabelMapWriter:
    """Writes the serialised mono8 images of one topic into memory kept from frame to frame.

    Filled in place by whoever makes the labels, so that the one copy left is that into the
    ``bytes`` which rclpy wants.
    """

    def __init__(self) -> None:
        """Start without memory; the first `place` takes it."""
        self._layout = (0, 0, 0)
        self._buffer = bytearray()
        self._pixels = np.empty((0, 0), np.uint8)

    def place(self, header: SerializedHeader, height: int, width: int) -> NDArray[np.uint8]:
        """Begin a message.

        Args:
            header: Goes into the message bit for bit, and gives its byte order.
            height: Rows, px.
            width: Columns, px.

        Returns:
            (height, width) uint8, contiguous: the memory to fill before `message`. It stays the
            writer's, the next `place` gives it out again.
        """
        start = _before_pixels(header, height, width, 'mono8')
        layout = (len(start), height, width)
        if layout != self._layout:
            self._layout = layout
            self._buffer = bytearray(len(start) + height * width)
            pixels = np.frombuffer(self._buffer, np.uint8, offset=len(start))
            self._pixels = pixels.reshape(height, width)
        self._buffer[: len(start)] = start
        return self._pixels

    def message(self) -> bytes:
        """Return the message that `place` began, with the pixels that are there now."""
        start, height, width = self._layout
        message = bytes(self._buffer)
        # rclpy sends a message that is too short without a word.
        assert len(message) == start + height * width
        return message


def _before_pixels(header: SerializedHeader, height: int, width: int, encoding: str) -> bytes:
    """Return everything of a serialised image but the pixels; padding is zeros."""
    order, name = header.byte_order, f'{encoding}\0'.encode()
    size = struct.pack(f'{order}3I', height, width, len(name))
    step = width * _CHANNELS[encoding]
    is_bigendian = b'\0'
    fields = _padded(_padded(header.cdr) + size + name + is_bigendian)
    return _ENCAPSULATIONS[order] + fields + struct.pack(f'{order}2I', step, height * step)


def _padded(fields: bytes) -> bytes:
    return fields + bytes(-len(fields) % 4)


class _Cursor:
    """Reads one field after the other, and nothing outside of the message."""

    def __init__(self, message: bytes) -> None:
        self._message = memoryview(message).cast('B')
        self._at = 0
        order = _BYTE_ORDERS.get(bytes(self._take(_ENCAPSULATION_BYTES, 'encapsulation')[:2]))
        if order is None:
            msg = (
                f'message starts with {bytes(self._message[:4]).hex(" ")}, which is not classic '
                'CDR; check that sender and node use the same RMW'
            )
            raise ImageError(reason='corrupt', message=msg)
        self._order: ByteOrder = order

    def header(self) -> SerializedHeader:
        seconds, nanoseconds = struct.unpack(f'{self._order}iI', self._take(8, 'stamp'))
        frame_id = self.string('frame_id')
        return SerializedHeader(
            sec=seconds,
            nanosec=nanoseconds,
            frame_id=frame_id,
            byte_order=self._order,
            cdr=bytes(self._message[_ENCAPSULATION_BYTES : self._at]),
        )

    def uint8(self, name: str) -> int:
        return self._take(1, name)[0]

    def uint32(self, name: str) -> int:
        self._at += -self._at % 4  # the encapsulation is 4 bytes, so this aligns behind it too
        (value,) = struct.unpack(f'{self._order}I', self._take(4, name))
        return int(value)

    def octets(self, name: str) -> memoryview:
        length = self.uint32(name)
        return self._take(length, name)

    def string(self, name: str) -> str:
        octets = self.octets(name)
        if len(octets) > MAX_STRING_BYTES:
            msg = f'{name} of a message has {len(octets)} bytes, more than {MAX_STRING_BYTES}'
            raise ImageError(reason='corrupt', message=f'{msg}; check the camera driver')
        if len(octets) and octets[-1]:  # some senders leave out the zero of an empty string
            msg = f'{name} of a message does not end with a zero; check the camera driver'
            raise ImageError(reason='corrupt', message=msg)
        return str(octets[:-1], 'utf-8', 'replace')

    def _take(self, count: int, name: str) -> memoryview:
        taken = self._message[self._at : self._at + count]
        if len(taken) < count:
            msg = (
                f'message is truncated: it has {len(self._message)} bytes, but {name} alone takes '
                f'{count} from byte {self._at} on; check for lost packets'
            )
            raise ImageError(reason='truncated', message=msg)
        self._at += count
        return taken
