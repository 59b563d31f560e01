# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Decoding of compressed images, the second half of image_codec."""

from array import array
from pathlib import Path
from typing import Any, get_args
import zlib

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.image_codec import ColorOrder, decode_compressed, decode_image

ORDERS: tuple[ColorOrder, ...] = get_args(ColorOrder)
Picture = NDArray[np.uint8]


def scene(height: int = 48, width: int = 64) -> Picture:
    """Return a smooth (H, W, 3) RGB picture whose channels differ clearly."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + 2 * x, 230 - 3 * y, (x + y) // 2], axis=-1).astype(np.uint8)


def compress(bgr: NDArray[Any], suffix: str, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, bgr, options)[1])


JPEG = compress(scene()[..., ::-1], '.jpg')
PROGRESSIVE = compress(scene()[..., ::-1], '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
PNG = compress(scene()[..., ::-1], '.png')


@pytest.mark.parametrize('order', ORDERS)
class TestCompressed:
    def test_png_is_exact(self, order: ColorOrder) -> None:
        decoded = decode_compressed(PNG, order=order)
        assert decoded.dtype == np.uint8
        assert np.array_equal(decoded, scene() if order == 'rgb8' else scene()[..., ::-1])

    def test_jpeg_is_close(self, order: ColorOrder) -> None:
        decoded = decode_compressed(JPEG, order=order)
        expected = scene() if order == 'rgb8' else scene()[..., ::-1]
        assert np.abs(decoded.astype(int) - expected).mean() < 2

    @pytest.mark.parametrize('suffix', ['.jpg', '.png'])
    def test_grey_becomes_colour(self, order: ColorOrder, suffix: str) -> None:
        grey = scene()[..., 0]
        decoded = decode_compressed(compress(grey, suffix), order=order)
        assert np.abs(decoded.astype(int) - grey[..., None]).max() <= (
            3 if suffix == '.jpg' else 0
        )

    def test_alpha_is_dropped(self, order: ColorOrder) -> None:
        bgra = np.dstack([scene()[..., ::-1], np.full((48, 64), 10, np.uint8)])
        decoded = decode_compressed(compress(bgra, '.png'), order=order)
        assert np.array_equal(decoded, decode_compressed(PNG, order=order))

    def test_16_bits_scale_like_mono16(self, order: ColorOrder) -> None:
        values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        decoded = decode_compressed(compress(values, '.png'), order=order)
        exact = np.rint(np.arange(65536) / 257).reshape(256, 256, 1)
        assert np.array_equal(decoded, exact.repeat(3, axis=-1))

    def test_exif_orientation_is_not_applied(self, order: ColorOrder) -> None:
        # A little-endian TIFF with one entry: orientation (0x112), SHORT, 1 value, 6 = turn right.
        tiff = b'II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'
        exif = b'Exif\0\0' + tiff
        turned = JPEG[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + JPEG[2:]
        applied = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
        assert applied is not None
        assert applied.shape == (64, 48, 3)  # the tag is understood
        decoded = decode_compressed(turned, order=order)
        assert np.array_equal(decoded, decode_compressed(JPEG, order=order))

    @pytest.mark.parametrize('file', [JPEG, PNG], ids=['jpeg', 'png'])
    def test_takes_every_kind_of_memory_and_zeros_behind(
        self, order: ColorOrder, file: bytes
    ) -> None:
        expected = decode_compressed(file, order=order)
        for data in (
            bytearray(file),
            memoryview(file),
            array('B', file),
            np.frombuffer(file, np.uint8),
            file + bytes(999),
        ):
            assert np.array_equal(decode_compressed(data, order=order), expected)


# A 4x4 mosaic of one colour: red, green, blue under its filters.
MOSAIC = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (2, 2))


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize(
    ('image_format', 'suffix', 'samples'),
    [
        ('bayer_rggb8; png compressed ', '.png', MOSAIC),
        ('bayer_rggb8; jpeg compressed bayer_rggb8', '.jpg', MOSAIC),
        ('bayer_rggb8; jpeg compressed ', '.jpg', MOSAIC),
        ('bayer_bggr8; png compressed', '.png', MOSAIC[::-1, ::-1]),
        ('bayer_rggb16; png compressed ', '.png', MOSAIC * np.uint16(257)),
        ('bayer_rggb16; jpeg compressed ', '.jpg', MOSAIC),
    ],
)
def test_a_compressed_mosaic_becomes_colour(
    order: ColorOrder, image_format: str, suffix: str, samples: NDArray[Any]
) -> None:
    data = compress(samples, suffix, cv2.IMWRITE_JPEG_QUALITY, 100)
    decoded = decode_compressed(data, order=order, image_format=image_format)
    expected = np.broadcast_to((200, 100, 50)[:: 1 if order == 'rgb8' else -1], (4, 4, 3))
    assert np.abs(decoded.astype(int) - expected).max() <= (3 if suffix == '.jpg' else 0)


@pytest.mark.parametrize(
    'image_format',
    [
        *('', 'png', 'jpeg', 'mono8; png compressed ', 'bayer_rggb8; jpeg compressed mono8'),
        *('bayer_odd8; png compressed ', 'rgb8; png compressed bgr8', ';;', 'bayer_'),
    ],
)
def test_one_channel_that_is_no_mosaic_stays_grey(image_format: str) -> None:
    decoded = decode_compressed(compress(MOSAIC, '.png'), order='rgb8', image_format=image_format)
    assert np.array_equal(decoded, MOSAIC[..., None].repeat(3, axis=-1))


def test_a_mosaic_that_was_made_colour_before_is_not_one_any_more() -> None:
    for image_format in ('bayer_rggb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed '):
        decoded = decode_compressed(PNG, order='rgb8', image_format=image_format)
        assert np.array_equal(decoded, scene())


@pytest.mark.parametrize(
    'image_format',
    ['16UC1; png compressed ', '32FC1; compressedDepth png', '16UC1; tiff compressed ', '16UC1'],
)
def test_distances_are_no_picture(image_format: str) -> None:
    encoding = image_format[:5]
    with pytest.raises(ImageError, match=f"encoding '{encoding}' is not supported") as caught:
        decode_compressed(PNG, order='rgb8', image_format=image_format)
    assert caught.value.reason == 'encoding'


def test_a_mosaic_is_refused_below_three_pixels() -> None:
    data = compress(MOSAIC[:2], '.png')
    with pytest.raises(ImageError, match='4x2 does not fit bayer_rggb8') as caught:
        decode_compressed(data, order='rgb8', image_format='bayer_rggb8; png compressed ')
    assert caught.value.reason == 'size'


def with_thumbnail(jpeg: bytes) -> bytes:
    """Put a small JPEG into the header, where EXIF has it."""
    exif = b'Exif\0\0' + compress(scene()[::4, ::4], '.jpg')
    return jpeg[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + jpeg[2:]


@pytest.mark.parametrize(
    'trailer',
    [b'\n', b'maker notes' * 20, bytes(30) + compress(scene()[::4, ::4], '.jpg')],
    ids=['byte', 'notes', 'preview'],
)
@pytest.mark.parametrize('file', [JPEG, with_thumbnail(JPEG)], ids=['plain', 'thumbnail'])
def test_what_a_camera_appends_to_a_jpeg_is_ignored(file: bytes, trailer: bytes) -> None:
    expected = decode_compressed(JPEG, order='rgb8')
    assert np.array_equal(decode_compressed(file + trailer, order='rgb8'), expected)


def refused(data: bytes, match: str) -> None:
    with pytest.raises(ImageError, match=match) as caught:
        decode_compressed(data, order='bgr8')
    assert caught.value.reason == 'corrupt'


@pytest.mark.parametrize(
    'data', [b'', b'\0' * 100, b'GIF89a....', compress(scene(), '.bmp'), b'\xff\xd8']
)
def test_what_is_neither_jpeg_nor_png(data: bytes) -> None:
    refused(data, 'neither JPEG nor PNG: .* set the camera transport')


@pytest.mark.parametrize('file', [JPEG, PROGRESSIVE, PNG], ids=['jpeg', 'progressive', 'png'])
@pytest.mark.parametrize('zeros', [0, 300])
def test_every_truncation_is_noticed_quietly(
    file: bytes, zeros: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for length in range(8, len(file)):
        if file[length:].strip(b'\0'):  # else only zeros went, which is no loss
            refused(file[:length] + bytes(zeros), 'truncated or damaged')
    assert capfd.readouterr() == ('', '')


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_jpeg(
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = with_thumbnail(JPEG)
    thumbnail_end, scan = file.index(b'\xff\xd9') + 2, file.rindex(b'\xff\xda')
    for length in range(thumbnail_end, scan + 2):  # no picture yet, as OpenCV sees
        refused(file[:length], 'OpenCV cannot decode it')
    for length in range(scan + 2, len(file)):
        refused(file[:length], 'truncated or damaged')
    assert capfd.readouterr() == ('', '')


def test_every_flipped_bit_of_a_png_is_noticed_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    for position in range(len(PNG)):
        damaged = bytearray(PNG)
        damaged[position] ^= 1 << position % 8
        refused(bytes(damaged), 'truncated or damaged|neither JPEG nor PNG')
    assert capfd.readouterr() == ('', '')


def test_a_jpeg_of_garbage_is_corrupt() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 500, np.uint8).tobytes()
    refused(b'\xff\xd8\xff' + noise + b'\xff\xd9', 'is damaged: OpenCV cannot decode it')


def png_chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return len(body).to_bytes(4, 'big') + kind + body + crc.to_bytes(4, 'big')


def test_a_png_with_right_checksums_and_wrong_content_is_corrupt() -> None:
    header = b'\0\0\0\x08' * 2 + b'\x08\x02\0\0\0'
    chunks = [(b'IHDR', header), (b'IDAT', b'not zlib'), (b'IEND', b'')]
    refused(b'\x89PNG\r\n\x1a\n' + b''.join(png_chunk(*c) for c in chunks), 'is damaged')


def test_a_compressed_image_of_absurd_size_is_refused() -> None:
    at = JPEG.index(b'\xff\xc0') + 5  # start of frame: length, precision, height, width
    huge = JPEG[:at] + b'\xff\x00\xff\x00' + JPEG[at + 4 :]
    refused(huge, 'refused by OpenCV')


def decoded_or_corrupt(data: bytes) -> None:
    try:
        decoded = decode_compressed(data, order='rgb8')
    except ImageError as error:
        assert error.reason == 'corrupt'  # noqa: PT017 (both outcomes are right)
    else:
        assert decoded.ndim == 3
        assert decoded.shape[2] == 3
        assert decoded.dtype == np.uint8


@given(
    flips=st.lists(st.tuples(st.integers(0, len(JPEG) - 1), st.integers(0, 7)), max_size=4),
    tail=st.binary(max_size=20),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_jpeg_gives_an_image_or_an_image_error(
    flips: list[tuple[int, int]], tail: bytes
) -> None:
    size_field = JPEG.index(b'\xff\xc0') + 5
    damaged = bytearray(JPEG)
    for position, bit in flips:
        if not size_field <= position < size_field + 4:  # a large frame is legal but slow
            damaged[position] ^= 1 << bit
    decoded_or_corrupt(bytes(damaged))
    decoded_or_corrupt(bytes(damaged) + tail)


@given(
    start=st.sampled_from([b'', JPEG[:3], JPEG[:200], PNG[:8], PNG[:60]]),
    middle=st.binary(max_size=200),
    end=st.sampled_from([b'', JPEG[-2:], PNG[-12:]]),
)
@settings(max_examples=200, deadline=None)
def test_garbage_gives_an_image_or_an_image_error(start: bytes, middle: bytes, end: bytes) -> None:
    decoded_or_corrupt(start + middle + end)


def test_a_real_camera_frame(data_dir: Path) -> None:
    file = min((data_dir / 'camvid' / 'test').glob('*.png'))
    frame = cv2.imread(str(file))
    assert frame is not None
    assert np.array_equal(decode_compressed(file.read_bytes(), order='bgr8'), frame)
    height, width = frame.shape[:2]
    assert (height, width) == (360, 480)
    raw = decode_image(
        height=height,
        width=width,
        encoding='bgr8',
        is_bigendian=0,
        step=3 * width,
        data=frame.tobytes(),
        order='rgb8',
    )
    assert np.array_equal(raw, frame[..., ::-1])
    small = decode_compressed(compress(frame, '.jpg'), order='bgr8').astype(int)
    assert np.abs(small - frame).mean() < 4
