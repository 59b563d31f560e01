# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np

from vidseg_training.motion_pictures import draw_flow, draw_motion, MotionView


def test_colours_tell_the_direction() -> None:
    vectors = np.array([[[4, 0], [-4, 0], [0, 4], [0, 0]]], np.float32)
    # Hues of 0, 180 and 90 degrees; no motion is white.
    expected = [[[255, 0, 0], [0, 255, 255], [128, 255, 0], [255, 255, 255]]]
    np.testing.assert_allclose(draw_flow(vectors), expected, atol=2)


def test_half_the_length_is_half_the_colour() -> None:
    vectors = np.zeros((10, 20, 2), np.float32)
    vectors[..., 0] = 6
    vectors[0, 0] = 3, 0
    np.testing.assert_allclose(draw_flow(vectors)[0, :2], [[255, 127, 127], [255, 0, 0]], atol=1)


def test_a_frame_is_a_row_of_four_pictures() -> None:
    target = np.full((40, 60, 3), 100, np.uint8)
    view = MotionView(target, target + np.uint8(5), np.zeros((40, 60, 2), np.float32))
    one, two = draw_motion([view]), draw_motion([view, view])
    assert one.shape[1] == two.shape[1] > 4 * 60
    assert two.shape[0] == 2 * one.shape[0]
    assert (one == (20, 20, 20)).all(-1).sum() >= 40 * 60  # 4 x the difference of 5
