# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Random resize, crop, flip and colour change of an image and its label map."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.config import TrainConfig


def resize_and_crop(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    config: TrainConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize by a random factor, then cut a random crop.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 ids.
        config: Gives ``scale_range`` and ``crop_size``.
        rng: Source of randomness.

    Returns:
        Image (h, w, 3) and labels (h, w) of ``crop_size``; where the resized image is smaller
        than the crop, the rest is black and ignored.
    """
    low, high = np.log(config.scale_range)
    scale = float(np.exp(rng.uniform(low, high)))
    height, width = (round(side * scale) for side in labels.shape)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    labels = resize_labels(labels, (height, width))
    crop_height, crop_width = config.crop_size
    top = int(rng.integers(0, max(height - crop_height, 0) + 1))
    left = int(rng.integers(0, max(width - crop_width, 0) + 1))
    image = image[top : top + crop_height, left : left + crop_width]
    labels = labels[top : top + crop_height, left : left + crop_width]
    below, right = crop_height - image.shape[0], crop_width - image.shape[1]
    if below or right:
        image = np.pad(image, ((0, below), (0, right), (0, 0)))
        labels = np.pad(labels, ((0, below), (0, right)), constant_values=IGNORE_ID)
    return image, labels


def jitter_colors(
    image: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Change brightness, contrast and saturation by random factors.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: Largest relative change, 0 to 1.
        rng: Source of randomness.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    pixels = image.astype(np.float32) * brightness
    mean = pixels.mean()
    pixels = (pixels - mean) * contrast + mean
    grey = (pixels @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]  # H W 1
    pixels = (pixels - grey) * saturation + grey
    result: NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return result


def augment(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    config: TrainConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Apply the whole chain to one sample; arguments and result as in `resize_and_crop`."""
    image, labels = resize_and_crop(image, labels, config, rng)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    image = jitter_colors(image, config.color_jitter, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)
