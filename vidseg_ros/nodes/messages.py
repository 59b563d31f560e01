# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and numpy arrays."""

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from vidseg_ros.core.image_codec import ColorOrder, decode_compressed
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.nodes.image_decoding import decode_any_image

_NS_PER_S = 10**9


def stamp_ns(header: Header) -> int:
    """Return the header's stamp as nanoseconds."""
    return int(header.stamp.sec) * _NS_PER_S + int(header.stamp.nanosec)


def decode_message(message: Image | CompressedImage, order: ColorOrder) -> NDArray[np.uint8]:
    """Decode a camera message.

    Returns:
        (H, W, 3) uint8 in ``order``; may be a view into the message.

    Raises:
        ImageError: If the message cannot be decoded; see `decode_any_image`.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, order=order)
    return decode_any_image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=message.step,
        data=message.data,
        order=order,
    )


def describe_format(message: Image | CompressedImage, image: NDArray[np.uint8]) -> str:
    """Return size and encoding for people, such as ``640x480 bgr8``."""
    encoding = message.format if isinstance(message, CompressedImage) else message.encoding
    return f'{image.shape[1]}x{image.shape[0]} {encoding}'


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
