# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from array import array
from collections.abc import Callable
from pathlib import Path
import re
from typing import Any, get_args

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.image_codec import (
    BytesLike,
    ColorOrder,
    decode_image,
    ENCODINGS,
)

ORDERS: tuple[ColorOrder, ...] = get_args(ColorOrder)
PLAIN = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1, 'mono16': 2}
"""Bytes a pixel of encodings in which each pixel has its own colour."""
BAYER = {'bayer_rggb': 'BG', 'bayer_bggr': 'RG', 'bayer_gbrg': 'GR', 'bayer_grbg': 'GB'}
"""Mosaics, and what OpenCV calls them."""
YUV422 = {'uyvy': 'UYVY', 'yuv422': 'UYVY', 'yuyv': 'YUY2', 'yuv422_yuy2': 'YUY2'}
YUV420 = {'nv12': 'NV12', 'nv21': 'NV21'}
BAYER_8, BAYER_16 = ([f'{name}{bits}' for name in BAYER] for bits in (8, 16))
MIXED = [*BAYER_8, *BAYER_16, *YUV422, *YUV420]
"""Encodings in which pixels share their colour with neighbours."""
PIXEL_BYTES = (
    PLAIN
    | dict.fromkeys(BAYER_8, 1)
    | dict.fromkeys([*BAYER_16, *YUV422], 2)
    | dict.fromkeys(YUV420, 1)
)
CONFIG = Path(__file__).parents[2] / 'config' / 'segmentation.yaml'
Picture = NDArray[np.uint8]


def scene(height: int = 48, width: int = 64) -> Picture:
    """Return a smooth (H, W, 3) RGB picture whose channels differ clearly."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + 2 * x, 230 - 3 * y, (x + y) // 2], axis=-1).astype(np.uint8)


def pack(rgb: Picture, encoding: str, *, big: bool = False) -> Picture:
    """Return (H, row bytes) of the picture in an encoding; mono takes the red channel."""
    height = rgb.shape[0]
    alpha = np.full((*rgb.shape[:2], 1), 77, np.uint8)
    pixels = {
        'rgb8': rgb,
        'bgr8': rgb[..., ::-1],
        'rgba8': np.concatenate([rgb, alpha], axis=-1),
        'bgra8': np.concatenate([rgb[..., ::-1], alpha], axis=-1),
        'mono8': rgb[..., 0],
        'mono16': (rgb[..., 0].astype(np.uint16) * 257).astype('>u2' if big else '<u2'),
    }[encoding]
    return np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)


def data_rows(encoding: str, height: int) -> int:
    return height * 3 // 2 if encoding in YUV420 else height


def noise(encoding: str, height: int, width: int, seed: int = 0) -> Picture:
    """Return (rows of data, bytes a row) of any encoding."""
    shape = (data_rows(encoding, height), width * PIXEL_BYTES[encoding])
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def by_opencv(rows: Picture, encoding: str, order: ColorOrder, *, big: bool = False) -> Picture:
    """Convert rows without padding the way OpenCV's users do."""
    to = order[:3].upper()
    if encoding in YUV422 | YUV420:
        code = getattr(cv2, f'COLOR_YUV2{to}_{(YUV422 | YUV420)[encoding]}')
        shape = (len(rows), -1, 2) if encoding in YUV422 else rows.shape
        return np.asarray(cv2.cvtColor(rows.reshape(shape), code), np.uint8)
    code = getattr(cv2, f'COLOR_Bayer{BAYER[encoding[:10]]}2{to}')
    if encoding in BAYER_8:
        return np.asarray(cv2.cvtColor(rows, code), np.uint8)
    samples = rows.view('>u2' if big else '<u2').astype(np.uint16)
    return np.rint(cv2.cvtColor(samples, code) / 257).astype(np.uint8)


def decode(  # noqa: PLR0913 (the fields of the message)
    data: BytesLike,
    height: int,
    width: int,
    encoding: str,
    *,
    is_bigendian: bool | int = 0,
    step: int | None = None,
    order: ColorOrder = 'rgb8',
) -> Picture:
    """Decode with plain defaults for the fields that a test is not about."""
    return decode_image(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=width * PIXEL_BYTES[encoding] if step is None else step,
        data=data,
        order=order,
    )


def test_encodings_are_the_documented_ones() -> None:
    assert set(ENCODINGS) == set(PIXEL_BYTES)
    text = CONFIG.read_text().split('# Encodings of sensor_msgs/Image:')[1].split('cv_bridge')[0]
    assert set(re.findall(r'\w+\d\w*|uyvy|yuyv', text)) == set(ENCODINGS)


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('padding', [0, 1, 13])
@pytest.mark.parametrize('encoding', PLAIN)
@given(
    rgb=arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))),
    big=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_pixel_values_survive(
    encoding: str, padding: int, order: ColorOrder, rgb: Picture, *, big: bool
) -> None:
    height, width = rgb.shape[:2]
    rows = np.pad(pack(rgb, encoding, big=big), ((0, 0), (0, padding)), constant_values=99)
    whole = rows.tobytes()
    expected = rgb[..., :1].repeat(3, axis=-1) if encoding.startswith('mono') else rgb
    for data in (whole, whole[: len(whole) - padding], whole + b'more'):
        decoded = decode(
            data, height, width, encoding, step=rows.shape[1], order=order, is_bigendian=big
        )
        assert decoded.dtype == np.uint8
        assert np.array_equal(decoded, expected if order == 'rgb8' else expected[..., ::-1])


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('encoding', MIXED)
@given(
    half=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    odd=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    padding=st.integers(0, 13),
    seed=st.integers(0, 999),
    big=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_mosaics_and_yuv_are_opencvs_own_result(  # noqa: PLR0913, PLR0917 (what is drawn)
    encoding: str,
    order: ColorOrder,
    half: tuple[int, int],
    odd: tuple[int, int],
    padding: int,
    seed: int,
    *,
    big: bool,
) -> None:
    height = 2 * half[0] + (odd[0] if encoding not in YUV420 else 0)
    width = 2 * half[1] + (odd[1] if encoding in BAYER_8 + BAYER_16 else 0)
    rows = noise(encoding, height, width, seed)
    expected = by_opencv(rows, encoding, order, big=big)
    wide = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    whole = wide.tobytes()
    for data in (whole, whole[: len(whole) - padding], whole + b'more'):
        decoded = decode(
            data, height, width, encoding, step=wide.shape[1], order=order, is_bigendian=big
        )
        assert decoded.dtype == np.uint8
        assert decoded.shape == (height, width, 3)
        assert np.array_equal(decoded, expected)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_the_name_of_a_mosaic_is_its_upper_left_corner(pattern: str, bits: int) -> None:
    light = {'r': 200, 'g': 100, 'b': 50}
    tile = np.array([light[filter_] for filter_ in pattern], np.uint8).reshape(2, 2)
    samples = np.tile(tile, (3, 4)).astype('<u2' if bits == 16 else 'u1')
    data = (samples * (257 if bits == 16 else 1)).tobytes()
    decoded = decode(data, 6, 8, f'bayer_{pattern}{bits}')
    assert np.array_equal(decoded, np.broadcast_to([200, 100, 50], (6, 8, 3)))


def test_a_mosaic_is_interpolated_between_its_neighbours() -> None:
    samples = np.zeros((9, 9), np.uint8)
    samples[4, 4] = 200  # under a red filter: even row, even column
    decoded = decode(samples.tobytes(), 9, 9, 'bayer_rggb8')
    red = np.zeros((9, 9), np.uint8)
    red[3:6, 3:6] = [[50, 100, 50], [100, 200, 100], [50, 100, 50]]
    assert np.array_equal(decoded[..., 0], red)
    assert not decoded[..., 1:].any()


def test_bayer_16_reads_both_byte_orders() -> None:
    high = np.full((4, 4), 0x0102, '>u2').tobytes()
    assert decode(high, 4, 4, 'bayer_rggb16', is_bigendian=1).max() == 1  # 258 / 257
    assert decode(high, 4, 4, 'bayer_rggb16', is_bigendian=0).max() == 2  # 513 / 257


# Y, U, V and by BT.601 of limited range R, G, B: with y = 1.164 (Y - 16), u = U - 128, v = V - 128
# they are y + 1.596 v, y - 0.392 u - 0.813 v, y + 2.017 u.
COLORS = {
    (16, 128, 128): (0, 0, 0),
    (235, 128, 128): (255, 255, 255),
    (126, 128, 128): (128, 128, 128),
    (81, 90, 240): (254, 0, 0),
    (145, 54, 34): (0, 255, 1),
    (41, 240, 110): (0, 1, 255),
    (100, 100, 160): (149, 83, 41),
    (0, 128, 128): (0, 0, 0),  # below the range
    (255, 128, 128): (255, 255, 255),  # above it
}


@pytest.mark.parametrize(('yuv', 'rgb'), COLORS.items())
@pytest.mark.parametrize('encoding', [*YUV422, *YUV420])
def test_yuv_colours_by_the_formula(
    encoding: str, yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    y, u, v = yuv
    data = {
        'uyvy': [u, y, v, y] * 2,
        'yuyv': [y, u, y, v] * 2,
        'nv12': [y, y, y, y, u, v],
        'nv21': [y, y, y, y, v, u],
    }[{'yuv422': 'uyvy', 'yuv422_yuy2': 'yuyv'}.get(encoding, encoding)]
    decoded = decode(bytes(data), 2, 2, encoding).astype(int)
    assert np.abs(decoded - rgb).max() <= 1


@pytest.mark.parametrize('encoding', [*YUV422, *YUV420])
def test_every_pixel_gets_its_own_y_and_its_blocks_u_and_v(encoding: str) -> None:
    grey, red = (128, 128), (90, 240)  # U, V
    y = np.array([[30, 60, 90, 120], [150, 180, 210, 230]])
    if encoding in YUV420:
        pairs = [*grey, *red] if encoding == 'nv12' else [*grey[::-1], *red[::-1]]
        data = [*y.ravel(), *pairs]
    elif YUV422[encoding] == 'UYVY':
        data = [n for a, b, c, d in y for n in (128, a, 128, b, 90, c, 240, d)]
    else:
        data = [n for a, b, c, d in y for n in (a, 128, b, 128, c, 90, d, 240)]
    decoded = decode(bytes(data), 2, 4, encoding).astype(int)
    grey_values = np.rint(1.164 * (y[:, :2] - 16))
    assert np.abs(decoded[:, :2] - grey_values[..., None]).max() <= 1
    red_values = np.clip(np.rint(1.164 * (y[:, 2:] - 16) + 1.596 * 112), 0, 255)
    assert np.abs(decoded[:, 2:, 0] - red_values).max() <= 1
    assert (decoded[:, 2:, 0] - decoded[:, 2:, 2] > 80).all()


@pytest.mark.parametrize('encoding', [e for e in ENCODINGS if not e.endswith('16')])
def test_byte_order_does_not_touch_8_bit_encodings(encoding: str) -> None:
    data = noise(encoding, 48, 64).tobytes()
    little, big = (decode(data, 48, 64, encoding, is_bigendian=b) for b in (0, 1))
    assert np.array_equal(little, big)


@pytest.mark.parametrize('big', [False, True])
def test_mono16_scales_to_the_nearest(*, big: bool) -> None:
    values = np.arange(65536, dtype='>u2' if big else '<u2')
    decoded = decode(values.tobytes(), 256, 256, 'mono16', is_bigendian=big)
    exact = np.rint(np.arange(65536) / 257).reshape(256, 256, 1)
    assert np.array_equal(decoded, exact.repeat(3, axis=-1))


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize(
    'kind',
    [bytes, bytearray, memoryview, lambda b: array('B', b), lambda b: np.array(list(b), np.uint8)],
)
def test_takes_every_kind_of_memory(kind: Callable[[bytes], Any], encoding: str) -> None:
    raw = noise(encoding, 6, 8).tobytes()
    data = kind(raw)
    assert np.array_equal(decode(data, 6, 8, encoding), decode(raw, 6, 8, encoding))


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_the_result_of_a_conversion_is_new_memory(encoding: str) -> None:
    data = bytearray(noise(encoding, 6, 8).tobytes())
    decoded = decode(data, 6, 8, encoding, order='rgb8')
    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8)) == (encoding == 'rgb8')
    assert decoded.flags.c_contiguous


@pytest.mark.parametrize('order', ORDERS)
def test_no_copy_where_the_order_fits(order: ColorOrder) -> None:
    data = bytearray(3 * 10)
    view = decode(data, 3, 3, order, step=10, order=order)
    assert view.flags.writeable
    assert view.strides == (10, 3, 1)
    data[10 + 3] = 200
    assert view[1, 1, 0] == 200
    assert not decode(bytes(data), 3, 3, order, step=10, order=order).flags.writeable
    other = ORDERS[1 - ORDERS.index(order)]
    copied = decode(data, 3, 3, order, step=10, order=other)
    data[10 + 3] = 100
    assert copied[1, 1, 2] == 200
    assert copied.flags.c_contiguous


@pytest.mark.parametrize(
    ('reason', 'match', 'fields'),
    [
        ('encoding', "'nv24' is not supported; use one of rgb8, bgr8", {'encoding': 'nv24'}),
        ('encoding', "''", {'encoding': ''}),
        ('size', 'size 0x2 is not', {'width': 0}),
        ('size', 'size 2x0 is not', {'height': 0}),
        ('size', 'size 4294967295x2 is not', {'width': 2**32 - 1}),
        ('size', 'size 32769x32768 is not', {'width': 32769, 'height': 32768}),
        ('step', 'step 5 is less than the 6 bytes that 2 pixels of rgb8 take', {'step': 5}),
        ('step', 'step 0', {'step': 0}),
        ('truncated', '11 bytes, but 2x2 rgb8 with step 6 needs 12', {'data': bytes(11)}),
        ('truncated', '0 bytes', {'data': b''}),
        ('truncated', 'step 4294967295 needs 4294967301', {'step': 2**32 - 1}),
    ],
)
def test_a_bad_header_says_what_is_wrong(reason: str, match: str, fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        'height': 2,
        'width': 2,
        'encoding': 'rgb8',
        'is_bigendian': 0,
        'step': 6,
        'data': bytes(12),
        'order': 'bgr8',
    }
    assert decode_image(**good).shape == (2, 2, 3)
    with pytest.raises(ImageError, match=match) as caught:
        decode_image(**good | fields)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ('encoding', 'size', 'match'),
    [
        *((encoding, (1, 3), 'width is a multiple of 2, height of 1') for encoding in YUV422),
        *((encoding, (3, 2), 'width is a multiple of 2, height of 2') for encoding in YUV420),
        *((encoding, (2, 3), 'width is a multiple of 2, height of 2') for encoding in YUV420),
        *((encoding, (2, 9), 'both at least 3') for encoding in BAYER_8 + BAYER_16),
        *((encoding, (9, 2), 'both at least 3') for encoding in BAYER_8 + BAYER_16),
    ],
)
def test_a_size_that_does_not_fit_its_encoding(
    encoding: str, size: tuple[int, int], match: str
) -> None:
    expected = f'image size {size[1]}x{size[0]} does not fit {encoding}: .*{match}'
    with pytest.raises(ImageError, match=expected) as caught:
        decode(bytes(999), *size, encoding)
    assert caught.value.reason == 'size'


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('padding', [0, 5])
def test_one_byte_less_is_truncated_or_a_short_step(encoding: str, padding: int) -> None:
    row = 8 * PIXEL_BYTES[encoding]
    needed = (data_rows(encoding, 6) - 1) * (row + padding) + row
    assert decode(bytes(needed), 6, 8, encoding, step=row + padding).shape == (6, 8, 3)
    with pytest.raises(ImageError, match=f'step {row + padding} needs {needed}') as caught:
        decode(bytes(needed - 1), 6, 8, encoding, step=row + padding)
    assert caught.value.reason == 'truncated'
    with pytest.raises(ImageError, match=f'step {row - 1} is less than the {row} bytes') as caught:
        decode(bytes(999), 6, 8, encoding, step=row - 1)
    assert caught.value.reason == 'step'


@pytest.mark.parametrize(
    ('encoding', 'pixels'), [('rgb8', [1, 2, 3] * 2), *((name, [128] * 4) for name in YUV422)]
)
def test_an_absurd_step_of_a_single_row_is_harmless(encoding: str, pixels: list[int]) -> None:
    decoded = decode(bytes(pixels), 1, 2, encoding, step=2**32 - 1, order='bgr8')
    assert decoded.tolist() == [[[3, 2, 1] if encoding == 'rgb8' else [130] * 3] * 2]


sizes = st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1))
messages = st.fixed_dictionaries(
    {
        'height': sizes,
        'width': sizes,
        'encoding': st.one_of(st.sampled_from(ENCODINGS), st.text(max_size=8)),
        'is_bigendian': st.integers(0, 255),
        'step': st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
        'data': st.binary(max_size=400),
        'order': st.sampled_from(ORDERS),
    }
)


@given(fields=messages)
@settings(max_examples=400, deadline=None)
def test_any_message_gives_an_image_or_an_image_error(fields: dict[str, Any]) -> None:
    try:
        decoded = decode_image(**fields)
    except ImageError:
        return
    assert decoded.shape == (fields['height'], fields['width'], 3)
    assert decoded.dtype == np.uint8
