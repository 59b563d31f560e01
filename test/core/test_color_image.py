# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from typing import Any, get_args

import cv2
from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.image_codec import ColorOrder, decode_compressed, decode_image

Size = tuple[int, int]
ORDERS: tuple[ColorOrder, ...] = get_args(ColorOrder)
SIZES = st.tuples(st.integers(1, 90), st.integers(1, 90))
RGB = np.array([[[10, 20, 30], [40, 50, 60], [70, 80, 90]]], np.uint8)


def noise(size: Size, padding: int = 0) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 with ``padding`` bytes between its rows."""
    height, width = size
    rows = np.random.default_rng(height * 100 + width).integers(
        0, 256, (height, 3 * width + padding), np.uint8
    )
    return np.ndarray((height, width, 3), np.uint8, rows, strides=(rows.shape[1], 3, 1))


def by_opencv(image: NDArray[Any], size: Size) -> NDArray[np.uint8]:
    resized = cv2.resize(np.ascontiguousarray(image), size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def test_values_by_hand() -> None:
    np.testing.assert_array_equal(resize_image(RGB[:, :2], (1, 1)), [[[25, 35, 45]]])
    bgr = np.ascontiguousarray(RGB[:, :2, ::-1])
    np.testing.assert_array_equal(resize_image(bgr[..., ::-1], (1, 1)), [[[25, 35, 45]]])


@given(size=SIZES, wanted=SIZES, padding=st.integers(0, 5))
@example(size=(1080, 1920), wanted=(224, 400), padding=0)
@example(size=(720, 1280), wanted=(480, 640), padding=64)
@example(size=(720, 1280), wanted=(360, 640), padding=0)  # OpenCV averages at exactly a half
@example(size=(480, 640), wanted=(480, 640), padding=1)
@settings(max_examples=300, deadline=None)
def test_swapped_after_is_swapped_before(size: Size, wanted: Size, padding: int) -> None:
    image = noise(size, padding)
    for view in (image, image[..., ::-1]):
        expected = by_opencv(view, wanted)
        out = np.zeros((*wanted, 3), np.uint8)
        assert resize_image(view, wanted, out) is out
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(resize_image(view, wanted), expected)
    np.testing.assert_array_equal(image, noise(size, padding), 'the image was written to')


def test_no_copy_where_nothing_is_to_do() -> None:
    assert resize_image(RGB, (1, 3)) is RGB
    view = RGB[..., ::-1]
    whole = resize_image(view, (1, 3))
    assert not np.shares_memory(whole, view)
    assert whole.flags.c_contiguous


@pytest.mark.parametrize('shape', [(2, 3, 3), (1, 3), (1, 4, 3)])
def test_memory_that_does_not_fit_is_a_bug(shape: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        resize_image(RGB, (1, 3), np.zeros(shape, np.uint8))


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('encoding', [*ORDERS, 'rgba8', 'bgra8', 'mono8', 'bayer_rggb8', 'uyvy'])
@pytest.mark.parametrize('wanted', [(8, 10), (16, 20), (32, 40), (24, 15)])
def test_a_decoded_view_shrinks_to_the_same_as_a_converted_frame(
    encoding: str, order: ColorOrder, wanted: Size
) -> None:
    pixel_bytes = {'mono8': 1, 'bayer_rggb8': 1, 'uyvy': 2, 'rgba8': 4, 'bgra8': 4}
    step = 20 * pixel_bytes.get(encoding, 3) + 7
    fields: dict[str, Any] = {
        'height': 16,
        'width': 20,
        'encoding': encoding,
        'is_bigendian': 0,
        'step': step,
        'data': np.random.default_rng(0).integers(0, 256, 16 * step, np.uint8).tobytes(),
        'order': order,
    }
    converted, view = decode_image(**fields), decode_image(**fields, allow_reversed=True)
    assert (view.strides[2] < 0) == (encoding in ORDERS and encoding != order)
    np.testing.assert_array_equal(view, converted)
    np.testing.assert_array_equal(resize_image(view, wanted), by_opencv(converted, wanted))


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_a_compressed_view_shrinks_to_the_same_as_a_converted_frame(
    order: ColorOrder, dtype: type[np.uint8 | np.uint16]
) -> None:
    data = cv2.imencode('.png', noise((16, 20)).astype(dtype) * (1 + (dtype is np.uint16)))[1]
    converted = decode_compressed(data, order=order)
    view = decode_compressed(data, order=order, allow_reversed=True)
    assert (view.strides[2] < 0) == (order == 'rgb8')
    np.testing.assert_array_equal(view, converted)
    np.testing.assert_array_equal(resize_image(view, (8, 9)), by_opencv(converted, (8, 9)))
