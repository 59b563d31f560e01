# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The pictures that the cameras of a benchmark show, and the masks they must get."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.street import StreetClip
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine


def make_pictures(path: Path, size: tuple[int, int], count: int) -> None:
    """Save pictures of the made-up street as (N, H, W, 3) uint8 **BGR**.

    Args:
        path: The .npy file.
        size: Height and width, pixels.
        count: Pictures; one per second of the drive, so that they differ.
    """
    clip = StreetClip(size=size, fps=1.0)
    np.save(path, np.stack([frame.image[..., ::-1] for frame in clip.frames(count)]))


def offline_masks(model: Path, pictures: Path) -> list[NDArray[np.uint8]]:
    """Return the masks of pictures, each (H, W) uint8, made without ROS.

    Args:
        model: A model file.
        pictures: What `make_pictures` saved.
    """
    with closing(OnnxRuntimeEngine(model)) as engine:
        step = -1 if engine.card.input_order == 'rgb8' else 1
        images = [np.ascontiguousarray(image[..., ::step]) for image in np.load(pictures)]
        return [
            resize_labels(engine.infer([image]).labels[0], image.shape[:2]) for image in images
        ]
