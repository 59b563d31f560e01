# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np

from vidseg_ros.core.label_map import resize_labels


def test_label_maps_are_resized_by_pixel_centres() -> None:
    labels = np.array([[0, 1, 2]], np.uint8)
    np.testing.assert_array_equal(resize_labels(labels, (1, 9))[0], [0, 0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(
        resize_labels(np.arange(10, dtype=np.uint8)[None], (1, 5))[0], [1, 3, 5, 7, 9]
    )
    assert resize_labels(labels, (1, 3)) is labels
