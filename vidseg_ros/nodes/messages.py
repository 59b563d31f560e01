# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and numpy arrays.

A message is either an object of its ROS class or its serialised bytes; a camera message that came
as bytes is read in place, and what is published for it goes out as bytes too. Both ways put the
same bytes on the wire.

Copies of frame size that are left on the way of bytes, besides those of rclpy and the middleware:

* in: none of rgb8 and bgr8 (the one that is not the model's colour order is swapped once it is
  shrunk), otherwise the conversion; a compressed file is copied once before it is decompressed;
* label map: none up to the message, then one, because rclpy publishes nothing but ``bytes``;
* confidence and overlay, only while somebody listens: one, from the array into the message.
"""

from array import array
from typing import Any, TypeAlias

from builtin_interfaces.msg import Time
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from vidseg_ros.core.image_codec import ColorOrder, decode_compressed
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.serialized_image import (
    read_compressed_image,
    read_image,
    serialize_image,
    SerializedCompressedImage,
    SerializedHeader,
    SerializedImage,
)
from vidseg_ros.nodes.image_decoding import decode_any_image

CameraMessage: TypeAlias = 'Image | CompressedImage | SerializedImage | SerializedCompressedImage'
"""A camera message with fields; those of the serialised ones are named alike."""

_NS_PER_S = 10**9


def stamp_ns(header: Header | SerializedHeader) -> int:
    """Return the header's stamp as nanoseconds."""
    if isinstance(header, SerializedHeader):
        return header.stamp_ns
    return int(header.stamp.sec) * _NS_PER_S + int(header.stamp.nanosec)


def read_message(
    message: Image | CompressedImage | bytes, message_type: type[Image | CompressedImage]
) -> CameraMessage:
    """Return a camera message with fields, none of its data copied.

    Args:
        message: As received; one that is not serialised is returned as it is.
        message_type: Its class.

    Raises:
        ImageError: If the serialised message is truncated or damaged.
    """
    if not isinstance(message, bytes):
        return message
    if message_type is CompressedImage:
        return read_compressed_image(message)
    return read_image(message)


def decode_message(message: CameraMessage, order: ColorOrder) -> NDArray[np.uint8]:
    """Decode a camera message.

    Returns:
        (H, W, 3) uint8 in ``order``; may be a view into the message, and its channels may lie in
        memory the other way round, see `vidseg_ros.core.image_codec.decode_image`.

    Raises:
        ImageError: If the message cannot be decoded; see `decode_any_image`.
    """
    if isinstance(message, (CompressedImage, SerializedCompressedImage)):
        return decode_compressed(
            message.data, order=order, allow_reversed=True, image_format=message.format
        )
    return decode_any_image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=message.step,
        data=message.data,
        order=order,
    )


def describe_format(message: CameraMessage, image: NDArray[np.uint8]) -> str:
    """Return size and encoding for people, such as ``640x480 'bgr8'``.

    The encoding as a literal: the sender may have put anything into it, line breaks too.
    """
    if isinstance(message, (CompressedImage, SerializedCompressedImage)):
        encoding = message.format
    else:
        encoding = message.encoding
    return f'{image.shape[1]}x{image.shape[0]} {encoding!r}'


def result_message(header: Header | SerializedHeader, pixels: NDArray[np.uint8]) -> Image | bytes:
    """Make an image message that is serialised if the header is.

    Args:
        header: Of the camera message; goes into this one as it is.
        pixels: (H, W) uint8 becomes mono8, (H, W, 3) uint8 RGB becomes rgb8; copied once.
    """
    if isinstance(header, SerializedHeader):
        return serialize_image(header, pixels)
    return image_message(header, pixels)


def ros_header(header: Header | SerializedHeader) -> Header:
    """Return the header as an object of its ROS class."""
    if isinstance(header, SerializedHeader):
        return Header(stamp=Time(sec=header.sec, nanosec=header.nanosec), frame_id=header.frame_id)
    return header


def image_message(header: Header, pixels: NDArray[np.uint8]) -> Image:
    """Make an image message without padding.

    Args:
        header: Goes into the message as it is.
        pixels: (H, W) uint8 becomes mono8, (H, W, 3) uint8 RGB becomes rgb8; copied.
    """
    height, width = pixels.shape[:2]
    # Only array.array passes rclpy's setter unchecked; bytes and lists cost seconds a frame.
    data = array('B')
    data.frombytes(np.ascontiguousarray(pixels).data)
    return Image(
        header=header,
        height=height,
        width=width,
        encoding='mono8' if pixels.ndim == 2 else 'rgb8',
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=data,
    )


def scaled_camera_info(info: CameraInfo, header: Header, *, height: int, width: int) -> CameraInfo:
    """Make the CameraInfo of an image that was resized to another size.

    It describes that image as a whole one, without region of interest and binning: ``k`` and
    ``p`` are cropped to the region of ``info``, then scaled from its size to the new one, which
    takes in the binning. Pixel centres have whole coordinates, as in OpenCV. Distortion and
    rectification do not depend on the size. Matrices of zeros (not calibrated) stay zeros.

    Args:
        info: Of the camera; its width and height are positive.
        header: Goes into the message as it is.
        height: New height, pixels.
        width: New width, pixels.
    """
    roi = info.roi
    if not (roi.height and roi.width):  # the convention for the full image
        roi = RegionOfInterest(height=info.height, width=info.width)
    scale_x, scale_y = width / roi.width, height / roi.height
    crop = np.array([[1.0, 0, -roi.x_offset], [0, 1, -roi.y_offset], [0, 0, 1]])
    scale = np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]])
    return CameraInfo(
        header=header,
        height=height,
        width=width,
        distortion_model=info.distortion_model,
        d=info.d,
        k=(scale @ crop @ np.reshape(info.k, (3, 3))).ravel(),
        r=info.r,
        p=(scale @ crop @ np.reshape(info.p, (3, 4))).ravel(),
    )


def label_info_message(header: Header, labels: LabelSet) -> Any:  # noqa: ANN401  # vision_msgs may be missing
    """Make the vision_msgs/LabelInfo that gives the ids of a mask their names.

    The threshold is 0: every pixel has the class of the highest score.

    Raises:
        ImportError: If vision_msgs is not installed.
    """
    from vision_msgs.msg import LabelInfo, VisionClass  # noqa: PLC0415  # optional, not on PyPI

    class_map = [
        VisionClass(class_id=index, class_name=name) for index, name in enumerate(labels.names)
    ]
    return LabelInfo(header=header, class_map=class_map, threshold=0.0)
