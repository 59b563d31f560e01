# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frames that motion cannot explain: cuts of the scene, black pictures, pictures shown twice."""

from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.motion import dis_flow_fast, warp_image

CUT_ERROR: Final = 16.0
"""Least reconstruction error of two consecutive frames that means a cut, grey levels: more than
fast driving has at 25 Hz, and less than frames of two drives have."""

_WIDTH: Final = 320
_BLANK: Final = 2.0
"""Standard deviation of the grey levels up to which there is nothing on a picture."""
_CONTRAST: Final = 48.0
"""Standard deviation of the grey levels of a frame by day. At night there is less to differ, and
less difference means a cut; consecutive frames differ by a fifth of it at most, day and night."""
_SAME: Final = 0.1
"""Mean difference of two pictures up to which one repeats the other, grey levels."""

Break: TypeAlias = Literal['scene cut', 'black', 'identical']
"""Why two frames are no pair to learn motion or labels from."""


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame as small as `find_break` compares it, (h, 320, 3) uint8."""
    height = max(16, round(image.shape[0] * _WIDTH / image.shape[1]))
    small = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def find_break(
    earlier: NDArray[np.uint8], later: NDArray[np.uint8], cut_error: float = CUT_ERROR
) -> Break | None:
    """Judge two consecutive frames.

    Args:
        earlier: `thumbnail` of a frame.
        later: Of the next one.
        cut_error: Least mean difference of the later frame and the earlier one carried along
            its motion that means a cut, grey levels; less where there is less contrast than by
            day.

    Returns:
        What is between them; None for ordinary motion or none.
    """
    contrast = min(float(earlier.std()), float(later.std()))
    if contrast <= _BLANK:
        return 'black'
    limit = cut_error * min(1.0, contrast / _CONTRAST)
    difference = float(cv2.absdiff(earlier, later).mean())
    if difference <= _SAME:
        return 'identical'
    if difference < limit:  # alike as they are: motion need not explain them
        return None
    explained = warp_image(earlier, dis_flow_fast(later, earlier))
    return 'scene cut' if float(cv2.absdiff(later, explained).mean()) >= limit else None
