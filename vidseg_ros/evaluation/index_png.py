# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Index PNGs: label maps whose class ids are grey values or the indices of a palette."""

from contextlib import suppress
from pathlib import Path
import struct
from typing import Final
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError

_START: Final = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
"""Of every PNG; width, height, bits a pixel, kind of colours and three more bytes follow."""

_DEPTH, _COLORS = 24, 25
"""Where the bits a pixel and the kind of colours are."""

_GREY, _PALETTE = b'\0', b'\3'
_INDICES: Final = (_GREY, _PALETTE)

_CHECKSUM, _CHUNKS = 29, 33
"""Where the checksum of the header and the chunks behind it begin."""

_STEPS: Final = {1: 255, 2: 85, 4: 17, 8: 1}
"""By bits a pixel: what OpenCV multiplies a grey value with, to spread them over 0 to 255."""


def read_ids(file: Path) -> NDArray[np.uint8]:
    """Read a label map.

    Returns:
        (H, W) uint8 ids.

    Raises:
        SourceError: If the file cannot be read, is damaged, or has colours or 16 bits.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        msg = f'cannot read label file {file}: {error.strerror}'
        raise SourceError(msg) from error
    ids, step = None, 1
    if data.startswith(_START) and data[_COLORS:][:1] in _INDICES and data[_DEPTH] in _STEPS:
        data, step = _without_palette(data), _STEPS[data[_DEPTH]]
    with suppress(cv2.error):
        ids = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if ids is None:
        msg = f'label file {file} is damaged: it cannot be decoded'
        raise SourceError(msg)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        msg = (
            f'label file {file} is a colour or 16-bit image; save the class ids as an 8-bit PNG, '
            'grey or with a palette: vidseg-train masks does it for published data sets'
        )
        raise SourceError(msg)
    return (ids if step == 1 else ids // step).astype(np.uint8, copy=False)


def _without_palette(data: bytes) -> bytes:
    """Return a PNG whose grey values are the indices: of a palette OpenCV gives the colours."""
    header = data[12:_COLORS] + _GREY + data[_COLORS + 1 : _CHECKSUM]
    parts = [data[:12], header, struct.pack('>I', zlib.crc32(header))]
    start = _CHUNKS
    while len(data) >= start + 8:
        length, kind = struct.unpack_from('>I4s', data, start)
        end = start + length + 12
        if kind in {b'IDAT', b'IEND'}:
            parts.append(data[start:end])
        start = end
    return b''.join(parts)
