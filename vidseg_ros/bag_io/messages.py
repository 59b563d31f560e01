# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The recorded messages this package deals in: images, and the names of the class ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
import struct
from typing import cast, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore
from rosbags.typesys.stores import ros2_jazzy as ros

from vidseg_ros.core import serialized_image
from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.image_codec import (
    ColorOrder,
    compressed_encoding,
    decode_compressed,
    decode_image,
    DEPTH_ENCODINGS,
)
from vidseg_ros.core.serialized_image import (
    read_compressed_image,
    read_image,
    SerializedCompressedImage,
    SerializedImage,
)

IMAGE_TYPE: Final = 'sensor_msgs/msg/Image'
COMPRESSED_TYPE: Final = 'sensor_msgs/msg/CompressedImage'
LABEL_INFO_TYPE: Final = 'vision_msgs/msg/LabelInfo'
FLOAT64_TYPE: Final = 'std_msgs/msg/Float64'
VISION_CLASS_TYPE: Final = 'vision_msgs/msg/VisionClass'

_CHANNELS: Final = {'rgb8': 3, 'bgr8': 3, 'mono8': 1}

# The fields of the ROS package vision_msgs, which rosbags does not ship.
_VISION_MSGS: Final = {
    VISION_CLASS_TYPE: 'uint16 class_id\nstring class_name\n',
    LABEL_INFO_TYPE: (
        'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n'
    ),
}


@cache
def message_types() -> Typestore:
    """Return the standard message types of ROS 2 with those of vision_msgs used here."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, definition in _VISION_MSGS.items():
        store.register(get_types_from_msg(definition, name))
    return store


class _VisionClass(Protocol):
    class_id: int
    class_name: str


class _LabelInfo(Protocol):
    class_map: Sequence[_VisionClass]


@dataclass(frozen=True, kw_only=True)
class BagImage:
    """One recorded camera image or label map, decoded only on request.

    Attributes:
        msgtype: ``IMAGE_TYPE`` or ``COMPRESSED_TYPE``.
        cdr: The serialised message exactly as recorded.
        log_ns: When it was recorded, ns.
        stamp_ns: Stamp of its header, ns (``log_ns`` where the header is damaged).
        frame_id: Frame id of its header (empty where the header is damaged).
    """

    msgtype: str
    cdr: bytes = field(repr=False)
    log_ns: int
    stamp_ns: int
    frame_id: str

    def decode(self, order: ColorOrder) -> NDArray[np.uint8]:
        """Return the picture as (H, W, 3) uint8 in the given colour order.

        Raises:
            ImageError: If this one message is damaged or of an unknown encoding.
        """
        image = self.parse()
        if isinstance(image, SerializedCompressedImage):
            return decode_compressed(image.data, order=order, image_format=image.format)
        return _decode(image, order)

    def label_map(self) -> NDArray[np.uint8]:
        """Return the class ids of a mono8 label map as (H, W) uint8.

        Raises:
            ImageError: If this message is damaged or is not a mono8 image.
        """
        image = self.parse()
        if isinstance(image, SerializedCompressedImage) or image.encoding != 'mono8':
            found = image.encoding if isinstance(image, SerializedImage) else 'compressed'
            msg = f'a label map is a mono8 image, this message is {found}'
            raise ImageError('encoding', msg)
        return np.ascontiguousarray(_decode(image, 'rgb8')[:, :, 0])

    def is_depth(self) -> bool:
        """Return whether it holds distances instead of a picture, as far as the message says.

        Raises:
            ImageError: If it is truncated or damaged.
        """
        image = self.parse()
        if isinstance(image, SerializedCompressedImage):
            return compressed_encoding(image.format) in DEPTH_ENCODINGS
        return image.encoding in DEPTH_ENCODINGS

    def parse(self) -> SerializedImage | SerializedCompressedImage:
        """Return the message with its fields, its data not copied.

        They are read as the node reads them, so that the same bytes give the same answer.

        Raises:
            ImageError: If it is truncated or damaged.
        """
        if self.msgtype == COMPRESSED_TYPE:
            return read_compressed_image(self.cdr)
        return read_image(self.cdr)


def read_header(cdr: bytes) -> tuple[int, str] | None:
    """Return stamp (ns) and frame id of a serialised message that starts with a std_msgs/Header.

    Only these bytes are read. None if they are damaged.
    """
    try:
        header = serialized_image.read_header(cdr)
    except ImageError:
        return None
    return header.stamp_ns, header.frame_id


def read_class_map(message: BagImage) -> tuple[tuple[int, str], ...]:
    """Return the ids and names of a vision_msgs/LabelInfo, in its order.

    Raises:
        ImageError: If it is truncated or damaged.
    """
    try:
        info = message_types().deserialize_cdr(message.cdr, message.msgtype)
    except SerdeError as error:
        msg = f'recorded message of {len(message.cdr)} bytes is damaged: {error}'
        raise ImageError('truncated', msg) from error
    entries = cast('_LabelInfo', info).class_map
    return tuple((entry.class_id, entry.class_name) for entry in entries)


def restamp(cdr: bytes, stamp_ns: int) -> bytes:
    """Return a copy of a whole message that starts with a std_msgs/Header, with another stamp.

    Args:
        cdr: The serialised message; `check_complete` tells whether it is whole.
        stamp_ns: The new stamp (ns).

    Raises:
        ImageError: If a message cannot hold the stamp: its seconds are an int32.
    """
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = struct.Struct('<iI' if cdr[1:2] == b'\x01' else '>iI')
    try:
        return cdr[:4] + stamp.pack(seconds, nanoseconds) + cdr[12:]
    except struct.error:
        msg = f'a stamp of {seconds} s does not fit into a message: the years are 1901 to 2038'
        raise ImageError('corrupt', msg) from None


def check_complete(image: BagImage) -> None:
    """Check that a recorded message is whole, without decoding its picture.

    Raises:
        ImageError: If it is truncated or damaged, so that publishing it would mislead receivers.
    """
    image.parse()


def serialize_image(
    image: NDArray[np.uint8],
    *,
    encoding: Literal['rgb8', 'bgr8', 'mono8'],
    stamp_ns: int,
    frame_id: str,
) -> bytes:
    """Return the CDR bytes of a sensor_msgs/Image.

    Args:
        image: (H, W, 3) uint8 in the order of ``encoding``, or (H, W) uint8 for mono8.
        encoding: What the image holds.
        stamp_ns: Header stamp, ns.
        frame_id: Header frame id.

    Raises:
        ValueError: If image and encoding do not fit together.
    """
    channels = _CHANNELS[encoding]
    expected = image.shape[:2] if channels == 1 else (*image.shape[:2], channels)
    if image.dtype != np.uint8 or image.shape != expected or image.ndim < 2:
        msg = f'{encoding} needs uint8 {expected}, got {image.dtype} {image.shape}'
        raise ValueError(msg)
    height, width = image.shape[:2]
    message = ros.sensor_msgs__msg__Image(
        header=make_header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels,
        data=np.ascontiguousarray(image).reshape(-1),
    )
    return bytes(message_types().serialize_cdr(message, IMAGE_TYPE))


def make_header(stamp_ns: int, frame_id: str) -> ros.std_msgs__msg__Header:
    """Return the header with this stamp (ns) and frame id."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = ros.builtin_interfaces__msg__Time(sec=seconds, nanosec=nanoseconds)
    return ros.std_msgs__msg__Header(stamp=stamp, frame_id=frame_id)


def _decode(image: SerializedImage, order: ColorOrder) -> NDArray[np.uint8]:
    return decode_image(
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        is_bigendian=image.is_bigendian,
        step=image.step,
        data=image.data,
        order=order,
    )
