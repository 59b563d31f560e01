# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from types import ModuleType

import numpy as np
import pytest

from vidseg_ros.core.street import StreetClip
from vidseg_training.propagation.scene_cuts import find_break, thumbnail


def test_motion_is_no_break_another_scene_is(tiny_clip: ModuleType) -> None:
    image = tiny_clip.scene()[0]
    first, second = (thumbnail(tiny_clip.cut_out(image, frame)) for frame in (0, 1))
    assert first.shape == (213, 320, 3)
    assert find_break(first, second) is None
    assert find_break(first, second[::-1].copy()) == 'scene cut'
    assert find_break(first, second[::-1].copy(), cut_error=250) is None


def test_frames_with_nothing_new_are_breaks(tiny_clip: ModuleType) -> None:
    frame = thumbnail(tiny_clip.cut_out(tiny_clip.scene()[0], 0))
    assert find_break(frame, frame.copy()) == 'identical'
    for nothing in (0, 128):
        blank = np.full_like(frame, nothing)
        assert find_break(frame, blank) == 'black'
        assert find_break(blank, frame) == 'black'


@pytest.mark.parametrize(('height', 'width', 'small'), [(720, 1280, 180), (4, 640, 16)])
def test_thumbnails_are_320_wide(height: int, width: int, small: int) -> None:
    assert thumbnail(np.zeros((height, width, 3), np.uint8)).shape == (small, 320, 3)


def test_cuts_are_found_in_the_dark() -> None:
    """A sixth of the light: two drives differ by about 11 grey levels."""
    one, other = StreetClip(seed=7), StreetClip(seed=8)
    for frame in (0, 30, 60):
        pictures = [
            thumbnail((clip.frame(number).image // 6).astype(np.uint8))
            for clip, number in ((one, frame), (one, frame + 1), (other, frame))
        ]
        assert find_break(pictures[0], pictures[1]) is None
        assert find_break(pictures[0], pictures[2]) == 'scene cut'
