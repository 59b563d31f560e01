# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Camera images as ROS messages carry them, decoded to (H, W, 3) uint8 pictures.

Takes the fields of sensor_msgs/Image and sensor_msgs/CompressedImage, not the messages, so it
needs no ROS. Nothing that a message can contain raises anything but ``ImageError``.
"""

from array import array
import sys
from typing import Any, cast, Final, get_args, Literal, NamedTuple, TypeAlias
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError

ColorOrder = Literal['rgb8', 'bgr8']
"""Channel order of a decoded picture."""

BytesLike: TypeAlias = 'bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]'
"""C-contiguous memory of a message's data field."""

IMAGE_TYPES: Final = ('.png', '.jpg', '.jpeg')
"""Suffixes of image files, in lower case."""

FOLDER_FPS: Final = 15
"""Frames a second that image files without stamps stand for."""

MAX_PIXELS: Final = 2**30
"""A picture with more pixels is a broken header, not a camera frame (also OpenCV's limit)."""


class _Encoding(NamedTuple):
    """Layout of one encoding, and the OpenCV conversions out of it (None: nothing to do)."""

    channels: int
    channel_bytes: int
    to: dict[ColorOrder, int | None]
    rows_per_two: int = 2
    """Rows of data that two rows of pixels take."""
    multiple: tuple[int, int] = (1, 1)
    """Height and width are multiples of these, px."""
    least: int = 1
    """Smallest height and width, px."""


_UYVY: Final = _Encoding(
    2, 1, {'rgb8': cv2.COLOR_YUV2RGB_UYVY, 'bgr8': cv2.COLOR_YUV2BGR_UYVY}, multiple=(1, 2)
)
_YUYV: Final = _Encoding(
    2, 1, {'rgb8': cv2.COLOR_YUV2RGB_YUY2, 'bgr8': cv2.COLOR_YUV2BGR_YUY2}, multiple=(1, 2)
)
_NV12: Final = _Encoding(
    1,
    1,
    {'rgb8': cv2.COLOR_YUV2RGB_NV12, 'bgr8': cv2.COLOR_YUV2BGR_NV12},
    rows_per_two=3,
    multiple=(2, 2),
)
_NV21: Final = _NV12._replace(to={'rgb8': cv2.COLOR_YUV2RGB_NV21, 'bgr8': cv2.COLOR_YUV2BGR_NV21})

# ROS names a mosaic by its upper left 2x2 pixels, OpenCV by the 2x2 one pixel down and right.
# OpenCV answers with black below 3x3 pixels.
_MOSAICS: Final[dict[str, dict[ColorOrder, int | None]]] = {
    'rggb': {'rgb8': cv2.COLOR_BayerBG2RGB, 'bgr8': cv2.COLOR_BayerBG2BGR},
    'bggr': {'rgb8': cv2.COLOR_BayerRG2RGB, 'bgr8': cv2.COLOR_BayerRG2BGR},
    'gbrg': {'rgb8': cv2.COLOR_BayerGR2RGB, 'bgr8': cv2.COLOR_BayerGR2BGR},
    'grbg': {'rgb8': cv2.COLOR_BayerGB2RGB, 'bgr8': cv2.COLOR_BayerGB2BGR},
}

_TO_COLOR: Final[dict[str, _Encoding]] = {
    'rgb8': _Encoding(3, 1, {'rgb8': None, 'bgr8': cv2.COLOR_RGB2BGR}),
    'bgr8': _Encoding(3, 1, {'rgb8': cv2.COLOR_BGR2RGB, 'bgr8': None}),
    'rgba8': _Encoding(4, 1, {'rgb8': cv2.COLOR_RGBA2RGB, 'bgr8': cv2.COLOR_RGBA2BGR}),
    'bgra8': _Encoding(4, 1, {'rgb8': cv2.COLOR_BGRA2RGB, 'bgr8': cv2.COLOR_BGRA2BGR}),
    'mono8': _Encoding(1, 1, {'rgb8': cv2.COLOR_GRAY2RGB, 'bgr8': cv2.COLOR_GRAY2BGR}),
    'mono16': _Encoding(1, 2, {'rgb8': cv2.COLOR_GRAY2RGB, 'bgr8': cv2.COLOR_GRAY2BGR}),
    **{f'bayer_{name}8': _Encoding(1, 1, to, least=3) for name, to in _MOSAICS.items()},
    **{f'bayer_{name}16': _Encoding(1, 2, to, least=3) for name, to in _MOSAICS.items()},
    'uyvy': _UYVY,
    'yuv422': _UYVY,  # its old name
    'yuyv': _YUYV,
    'yuv422_yuy2': _YUYV,  # its old name
    'nv12': _NV12,
    'nv21': _NV21,
}

_REVERSED: Final = get_args(ColorOrder)
"""Encodings of which each, read backwards, is the other."""

ENCODINGS: Final = tuple(_TO_COLOR)
"""Encodings of sensor_msgs/Image that ``decode_image`` reads."""

DEPTH_ENCODINGS: Final = ('16UC1', '32FC1')
"""Encodings in which depth cameras send distances (ROS REP 118): no pictures."""

_JPEG_START: Final = b'\xff\xd8\xff'
_JPEG_SCAN: Final = b'\xff\xda'
_JPEG_END: Final = b'\xff\xd9'
_PNG_START: Final = b'\x89PNG\r\n\x1a\n'


def decode_image(  # noqa: PLR0913 (the fields of the message)
    *,
    height: int,
    width: int,
    encoding: str,
    is_bigendian: bool | int,
    step: int,
    data: BytesLike,
    order: ColorOrder,
    allow_reversed: bool = False,
) -> NDArray[np.uint8]:
    """Decode the fields of a sensor_msgs/Image.

    All conversions are those of OpenCV's ``cvtColor``, as in cv_bridge:

    * Alpha is dropped, not blended.
    * 16 bits become 8 at the end: times 255/65535, to the nearest. The whole range counts, so a
      camera that leaves 12 bits in the lower bits of 16 looks dark.
    * Bayer mosaics become colour by bilinear interpolation.
    * YUV is BT.601 of limited range: Y 16 is black and 235 white, U and V are 128 without colour;
      what lies outside is clipped. No field of the message says otherwise, so a camera of full
      range (0 to 255, as in JPEG) or of BT.709 comes out with slightly other colours.

    nv12 and nv21 are ``height`` rows of Y, and below them ``height / 2`` rows of ``step`` bytes
    with a U and a V (nv21: V and U) for every 2x2 pixels.

    Args:
        height: Rows, px.
        width: Columns, px.
        encoding: One of ``ENCODINGS``.
        is_bigendian: Byte order of 16-bit encodings; without effect on the others.
        step: Bytes from one row to the next; more than a row of pixels needs is padding.
        data: The rows; padding after the last one may be missing, bytes after it are ignored.
        order: Channel order wanted.
        allow_reversed: Whether rgb8 where bgr8 is wanted, and bgr8 where rgb8 is, may come as a
            view of ``data`` too, whose channels are reversed (``[..., ::-1]``). It saves the
            conversion where `vidseg_ros.core.color_image.resize_image` is what follows; OpenCV
            and NumPy take such views as well, but copy them pixel by pixel.

    Returns:
        (H, W, 3) uint8 in ``order``. When ``encoding`` is already ``order`` this is a view of
        ``data``, with its padding between the rows: valid while ``data`` is neither changed nor
        reused, and read-only where ``data`` is. Otherwise it is new, contiguous memory.

    Raises:
        ImageError: With reason 'encoding' (not one of ``ENCODINGS``), 'size' (no pixels, more
            than ``MAX_PIXELS``, or odd or too small for the encoding), 'step' (less than a row
            of pixels), or 'truncated' (less data than the header says).
    """
    available = memoryview(cast('Any', data)).nbytes  # mypy knows buffers from Python 3.12 on
    layout = _checked_layout(height, width, encoding, step, available)
    pixel_bytes = layout.channels * layout.channel_bytes
    dtype = np.dtype(np.uint8 if layout.channel_bytes == 1 else '>u2' if is_bigendian else '<u2')
    pixels = np.ndarray(
        (_data_rows(height, layout), width, layout.channels),
        dtype,
        buffer=data,
        strides=(step, pixel_bytes, layout.channel_bytes),
    )
    if layout.channel_bytes == 2:
        pixels = pixels.astype(np.uint16)  # native byte order, aligned
    if allow_reversed and encoding != order and encoding in _REVERSED:
        return np.asarray(pixels[..., ::-1], np.uint8)
    conversion = layout.to[order]
    color = pixels if conversion is None else cv2.cvtColor(pixels, conversion)
    return _to_8bit(color) if layout.channel_bytes == 2 else np.asarray(color, np.uint8)


def decode_compressed(
    data: BytesLike, *, order: ColorOrder, allow_reversed: bool = False, image_format: str = ''
) -> NDArray[np.uint8]:
    """Decode the data of a sensor_msgs/CompressedImage: JPEG or PNG.

    Grey becomes colour, alpha is dropped, 16 bits become 8 as in ``decode_image``. One channel
    that ``image_format`` calls a Bayer mosaic becomes colour as there, too. An EXIF
    orientation is not applied: a camera's frames keep the geometry of its calibration. A PNG is
    checked whole by its checksums. A JPEG has none: damage between its start and end markers
    may show as wrong pixels, which libjpeg reports on stderr.

    Args:
        data: The file's bytes; what a camera appends after its end (zeros, notes) is ignored.
        order: Channel order wanted.
        allow_reversed: As for `decode_image`.
        image_format: The message's ``format``; '' where there is none.

    Returns:
        (H, W, 3) uint8 in ``order``; new memory.

    Raises:
        ImageError: With reason 'corrupt' (neither JPEG nor PNG, cut off, damaged, or too large),
            'encoding' (``image_format`` says that it holds distances) or 'size' (too small for a
            mosaic).
    """
    encoding = compressed_encoding(image_format)
    if encoding in DEPTH_ENCODINGS:
        raise _unsupported(encoding)
    mosaic = _is_raw_mosaic(image_format)
    raw = bytes(data)
    _check_whole(raw)
    color = cv2.IMREAD_ANYCOLOR if mosaic else cv2.IMREAD_COLOR
    try:
        decoded = cv2.imdecode(
            np.frombuffer(raw, np.uint8),
            color | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION,
        )
    except cv2.error as error:
        msg = f'compressed image of {len(raw)} bytes was refused by OpenCV: {str(error).strip()}'
        raise ImageError(reason='corrupt', message=msg) from error
    if decoded is None:
        msg = (
            f'compressed image of {len(raw)} bytes is damaged: OpenCV cannot decode it; '
            'check the camera driver and for lost packets'
        )
        raise ImageError(reason='corrupt', message=msg)
    if decoded.ndim == 2:
        return _demosaic(decoded, encoding, order)
    bgr = _to_8bit(decoded) if decoded.dtype == np.uint16 else decoded
    if order == 'rgb8':
        bgr = bgr[..., ::-1] if allow_reversed else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return np.asarray(bgr, np.uint8)


def compressed_encoding(image_format: str) -> str:
    """Return the encoding that an image had before it was compressed.

    Args:
        image_format: ``format`` of a sensor_msgs/CompressedImage. Where image_transport made it,
            it is such as ``rgb8; jpeg compressed bgr8``: the encoding, the codec, and what the
            image was converted to in between, if anything. Others say no more than ``jpeg``,
            which is then what this returns.
    """
    return image_format.partition(';')[0].strip()


def _is_raw_mosaic(image_format: str) -> bool:
    """Return whether one channel is a Bayer mosaic, and not what was made of it (``mono8``)."""
    encoding = compressed_encoding(image_format)
    converted_to = image_format.partition(';')[2].partition('compressed')[2].strip()
    return (
        encoding in ENCODINGS and encoding.startswith('bayer_') and converted_to in {'', encoding}
    )


def _demosaic(pixels: NDArray[Any], encoding: str, order: ColorOrder) -> NDArray[np.uint8]:
    """Decode a mosaic, which may have fewer bits than it had: JPEG has 8."""
    height, width = pixels.shape
    pattern = encoding.removesuffix('8').removesuffix('16')
    return decode_image(
        height=height,
        width=width,
        encoding=f'{pattern}{8 * pixels.itemsize}',
        is_bigendian=sys.byteorder == 'big',
        step=pixels.strides[0],
        data=pixels.view(np.uint8),
        order=order,
    )


def _check_whole(raw: bytes) -> None:
    """Check that a file is a JPEG or PNG with its end.

    Raises:
        ImageError: With reason 'corrupt' if it is not.
    """
    if raw.startswith(_JPEG_START):
        whole = _jpeg_is_whole(raw)
    elif raw.startswith(_PNG_START):
        whole = _png_is_whole(raw)
    else:
        msg = (
            f'compressed image is neither JPEG nor PNG: {len(raw)} bytes that start with '
            f'{raw[:8].hex(" ") or "nothing"}; set the camera transport to jpeg or png'
        )
        raise ImageError(reason='corrupt', message=msg)
    if not whole:
        msg = (
            f'compressed image is truncated or damaged: {len(raw)} bytes without an intact end; '
            'check for lost packets'
        )
        raise ImageError(reason='corrupt', message=msg)


def _checked_layout(
    height: int, width: int, encoding: str, step: int, available: int
) -> _Encoding:
    """Return the layout of an image whose header fits its ``available`` bytes, or raise."""
    layout = _TO_COLOR.get(encoding)
    if layout is None:
        raise _unsupported(encoding)
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        msg = (
            f'image size {width}x{height} is not between 1 and {MAX_PIXELS} pixels; '
            'check width and height in the camera driver'
        )
        raise ImageError(reason='size', message=msg)
    rows, columns = layout.multiple
    if height % rows or width % columns or min(height, width) < layout.least:
        msg = (
            f'image size {width}x{height} does not fit {encoding}: width is a multiple of '
            f'{columns}, height of {rows}, both at least {layout.least}; '
            'check width, height and encoding in the camera driver'
        )
        raise ImageError(reason='size', message=msg)
    row_bytes = width * layout.channels * layout.channel_bytes
    if step < row_bytes:
        msg = (
            f'image step {step} is less than the {row_bytes} bytes that {width} pixels of '
            f'{encoding} take; check step in the camera driver'
        )
        raise ImageError(reason='step', message=msg)
    needed = (_data_rows(height, layout) - 1) * step + row_bytes
    if available < needed:
        msg = (
            f'image data is truncated: {available} bytes, but {width}x{height} {encoding} with '
            f'step {step} needs {needed}; check for lost packets'
        )
        raise ImageError(reason='truncated', message=msg)
    return layout


def _unsupported(encoding: str) -> ImageError:
    msg = f'image encoding {encoding!r} is not supported; use one of {", ".join(ENCODINGS)}'
    return ImageError(reason='encoding', message=msg)


def _data_rows(height: int, layout: _Encoding) -> int:
    """Return how many rows of ``step`` bytes an image has."""
    return height * layout.rows_per_two // 2


def _to_8bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale uint16 0..65535 to 0..255, to the nearest."""
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / 65535), np.uint8)


def _jpeg_is_whole(raw: bytes) -> bool:
    """Return whether the last scan has an end; the end of a thumbnail lies before that scan.

    Compressed pixels hold neither marker, a zero follows every 255 in them.
    """
    return raw.find(_JPEG_END, max(raw.rfind(_JPEG_SCAN), 0)) >= 0


def _png_is_whole(raw: bytes) -> bool:
    """Walk the chunks (length, type, data, CRC-32) of a PNG up to an intact IEND."""
    start = len(_PNG_START)
    while start + 12 <= len(raw):
        checked = start + 8 + int.from_bytes(raw[start : start + 4], 'big')
        if zlib.crc32(raw[start + 4 : checked]) != int.from_bytes(
            raw[checked : checked + 4], 'big'
        ):
            return False
        if raw[start + 4 : start + 8] == b'IEND':
            return True
        start = checked + 4
    return False
