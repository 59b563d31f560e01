# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A tiny clip whose every pixel is known: a textured picture that moves 2 px to the left a frame.

What is at column x of frame t is at column x + 2 of frame t - 1.
"""

from pathlib import Path
import time

import cv2
import numpy as np
from numpy.typing import NDArray

FRAMES = 9
STEP_PX = 2
SIZE = (40, 60)


def scene() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a wide picture, smooth enough for flow, and its labels in stripes of 10 px."""
    rng = np.random.default_rng(1)
    coarse = rng.uniform(20, 235, (5, 12, 3)).astype(np.float32)
    wide = (SIZE[1] + FRAMES * STEP_PX, SIZE[0])
    image = cv2.resize(coarse, wide, interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    labels = np.broadcast_to(np.arange(wide[0]) // 10, wide[::-1]).astype(np.uint8)
    return image, labels


def cut_out(picture: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
    """Return what a frame shows of the scene."""
    return np.ascontiguousarray(picture[:, frame * STEP_PX : frame * STEP_PX + SIZE[1]])


def true_flow(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the true flow of two frames, which are found by their pictures."""
    image, _ = scene()
    shown = np.stack([cut_out(image, frame) for frame in range(FRAMES)]).astype(int)
    numbers = [np.abs(shown - frame).sum((1, 2, 3)).argmin() for frame in (target, source)]
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[..., 0] = STEP_PX * (numbers[0] - numbers[1])
    return flow


def write_frame(folder: Path, frame: int) -> None:
    """Write a frame of the clip as `drive_0010.png` and so on."""
    picture = cv2.cvtColor(cut_out(scene()[0], frame), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / f'drive_{10 + frame:04d}.png'), picture)


def slow_flow(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the true flow after a while, so that there is time for a kill."""
    time.sleep(0.05)
    return true_flow(target, source)
