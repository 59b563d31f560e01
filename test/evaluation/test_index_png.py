# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Label files: grey, of a palette, and what is none."""

from pathlib import Path
import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.evaluation.index_png import read_ids


def index_png(ids: NDArray[np.uint8], bits: int, *, palette: bool = True) -> bytes:
    """Write a PNG with a palette, or of less than 8 bits a pixel, which OpenCV cannot."""
    height, width = ids.shape
    digits = (ids[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint8)) & 1
    rows = np.packbits(digits.reshape(height, -1), axis=1)
    pixels = b''.join(b'\0' + row.tobytes() for row in rows)
    colors = np.random.default_rng(0).integers(0, 256, 3 << bits, np.uint8).tobytes()
    chunks = {
        b'IHDR': struct.pack('>2I5B', width, height, bits, 3 if palette else 0, 0, 0, 0),
        **({b'PLTE': colors, b'tRNS': b'\0'} if palette else {}),  # the first is transparent
        b'IDAT': zlib.compress(pixels),
        b'IEND': b'',
    }
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content))
        + kind
        + content
        + struct.pack('>I', zlib.crc32(kind + content))
        for kind, content in chunks.items()
    )


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_ids_are_the_indices_of_a_palette(tmp_path: Path, bits: int) -> None:
    ids = np.random.default_rng(1).integers(0, 1 << bits, (13, 17), np.uint8)
    (tmp_path / 'a.png').write_bytes(index_png(ids, bits))
    colors = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_COLOR)
    assert colors is not None
    assert colors.std(axis=2).max() > 10
    found = read_ids(tmp_path / 'a.png')
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_grey_values_of_few_bits_are_not_spread(tmp_path: Path, bits: int) -> None:
    """OpenCV makes 255 of the largest one, which is void."""
    ids = np.random.default_rng(1).integers(0, 1 << bits, (13, 17), np.uint8)
    (tmp_path / 'a.png').write_bytes(index_png(ids, bits, palette=False))
    np.testing.assert_array_equal(read_ids(tmp_path / 'a.png'), ids)


def test_ids_are_grey_values(tmp_path: Path) -> None:
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / 'a.png'), ids)
    np.testing.assert_array_equal(read_ids(tmp_path / 'a.png'), ids)


@pytest.mark.parametrize(
    'image', [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint16)], ids=['colour', '16 bit']
)
def test_labels_that_are_no_ids_are_refused(
    tmp_path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]
) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    with pytest.raises(SourceError, match=r'a\.png is a colour or 16-bit .*vidseg-train masks'):
        read_ids(tmp_path / 'a.png')


WHOLE = index_png(np.ones((40, 50), np.uint8), 4)


@pytest.mark.parametrize(
    'content',
    [
        *(b'', b'garbage', WHOLE[:20], WHOLE[:26], WHOLE[:30], WHOLE[:60], WHOLE[:-30]),
        WHOLE[:16] + b'\xff' * 8 + WHOLE[24:],  # larger than OpenCV reads
        WHOLE[:24] + b'\0' + WHOLE[25:],  # no bits a pixel
    ],
)
def test_damaged_labels_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(SourceError, match=r'label file .*a\.png is damaged'):
        read_ids(tmp_path / 'a.png')


def test_labels_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'cannot read label file .*a\.png: No such file'):
        read_ids(tmp_path / 'a.png')
