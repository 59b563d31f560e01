# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import cv2
from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from vidseg_ros.core.label_map import resize_labels

SIZES = st.tuples(st.integers(1, 90), st.integers(1, 90))
Size = tuple[int, int]


def test_label_maps_are_resized_by_pixel_centres() -> None:
    labels = np.array([[0, 1, 2]], np.uint8)
    np.testing.assert_array_equal(resize_labels(labels, (1, 9))[0], [0, 0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(resize_labels(labels, (1, 5))[0], [0, 0, 1, 2, 2])
    np.testing.assert_array_equal(
        resize_labels(np.arange(10, dtype=np.uint8)[None], (1, 5))[0], [1, 3, 5, 7, 9]
    )
    np.testing.assert_array_equal(
        resize_labels(labels.T, (6, 2)), [[k, k] for k in (0, 0, 1, 1, 2, 2)]
    )
    assert resize_labels(labels, (1, 3)) is labels


@given(size=SIZES, wanted=SIZES)
@example(size=(224, 400), wanted=(720, 1280))
@example(size=(224, 400), wanted=(1080, 1920))
@example(size=(480, 640), wanted=(720, 1280))
@example(size=(480, 640), wanted=(376, 1241))  # lower and wider
@example(size=(480, 640), wanted=(964, 516))  # higher and narrower
@example(size=(1080, 1920), wanted=(480, 640))
@example(size=(2, 3), wanted=(1, 70_000))  # more columns than 16 bits count
@settings(max_examples=400, deadline=None)
def test_every_size_is_opencvs_nearest_exact(size: Size, wanted: Size) -> None:
    labels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    before = labels.copy()
    expected = cv2.resize(labels, wanted[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    np.testing.assert_array_equal(resize_labels(labels, wanted), expected)
    # As in a serialised message: not aligned, in memory of somebody else.
    memory = bytearray(wanted[0] * wanted[1] + 10)
    out = np.frombuffer(memory, np.uint8, wanted[0] * wanted[1], offset=5).reshape(wanted)
    assert resize_labels(labels, wanted, out) is out
    np.testing.assert_array_equal(out, expected)
    assert not any(memory[:5] + memory[-5:]), 'written beside its memory'
    np.testing.assert_array_equal(labels, before)


def test_new_memory_is_contiguous_and_the_callers() -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    first = resize_labels(labels, (4, 6))
    assert first.flags.c_contiguous
    first[:] = 9
    np.testing.assert_array_equal(resize_labels(labels, (4, 6))[::2, ::2], labels)


@pytest.mark.parametrize('wanted', [(1, 2), (2, 3), (4, 6)])
def test_memory_that_does_not_fit_is_a_bug(wanted: Size) -> None:
    labels = np.zeros((2, 3), np.uint8)
    for unfit in (
        np.zeros((5, 6), np.uint8),
        np.zeros((wanted[0], 2 * wanted[1]), np.uint8)[:, ::2],
    ):
        with pytest.raises(AssertionError):
            resize_labels(labels, wanted, unfit)
