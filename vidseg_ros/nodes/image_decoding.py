# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Images of every encoding: the fast table of `vidseg_ros.core.image_codec`, else cv_bridge."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.image_codec import BytesLike, ColorOrder, decode_image, ENCODINGS


def decode_any_image(  # noqa: PLR0913 (the fields of the message)
    *,
    height: int,
    width: int,
    encoding: str,
    is_bigendian: bool | int,
    step: int,
    data: BytesLike,
    order: ColorOrder,
) -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/Image; what `decode_image` does not know by cv_bridge.

    cv_bridge copies and is slower; it is only imported for an encoding that needs it.

    Args:
        height: Rows, px.
        width: Columns, px.
        encoding: Any name.
        is_bigendian: Byte order.
        step: Bytes from one row to the next.
        data: The rows.
        order: Channel order wanted.

    Returns:
        (H, W, 3) uint8 in ``order``; may be a view of ``data`` and reversed, see `decode_image`.

    Raises:
        ImageError: As `decode_image` does, and with reason 'encoding' if cv_bridge would be
            needed but is not installed, or cannot make colours of this image either.
    """
    fields: dict[str, Any] = {
        'height': height,
        'width': width,
        'encoding': encoding,
        'is_bigendian': is_bigendian,
        'step': step,
        'data': data,
    }
    if encoding in ENCODINGS:
        return decode_image(**fields, order=order, allow_reversed=True)
    return _by_cv_bridge(SimpleNamespace(**fields), order)


def _by_cv_bridge(message: SimpleNamespace, order: ColorOrder) -> NDArray[np.uint8]:
    """Convert a message, of which cv_bridge reads these fields only."""
    try:
        from cv_bridge import CvBridge  # noqa: PLC0415  # optional, not on PyPI
    except ImportError as error:
        msg = (
            f'image encoding {message.encoding!r} needs cv_bridge, which cannot be imported '
            f'({error}); install ros-$ROS_DISTRO-cv-bridge, or let the camera driver publish one '
            f'of {", ".join(ENCODINGS)}'
        )
        raise ImageError(reason='encoding', message=msg) from error
    what = f'{message.width}x{message.height} {message.encoding!r} with step {message.step}'
    try:
        image = np.asarray(CvBridge().imgmsg_to_cv2(message, order))
    except Exception as error:  # its own errors, and NumPy's and OpenCV's from inside
        msg = (
            f'cv_bridge cannot convert {what} to {order}: {error}; '
            f'let the camera driver publish one of {", ".join(ENCODINGS)}'
        )
        raise ImageError(reason='encoding', message=msg) from error
    if image.shape != (message.height, message.width, 3) or image.dtype != np.uint8:
        msg = (
            f'cv_bridge made {image.dtype} {image.shape} of {what}; '
            'check height, width and step in the camera driver'
        )
        raise ImageError(reason='encoding', message=msg)
    return image
