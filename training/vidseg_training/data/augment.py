# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Random turn, resize, crop, flip and colours of an image and what is known of its pixels."""

from typing import Final, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.config import TrainConfig

_BLUR_SIGMAS: Final = (0.15, 1.3)
"""Least and largest blur, px (official code of Zhu et al., CVPR 2019)."""

_GREY: Final = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the brightness of a colour (ITU-R BT.601)."""


class SoftLabels(Protocol):
    """What a teacher says of each image of a set."""

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        """Return (h, w, C) uint8 probabilities, 255 = 1, at any size."""
        ...


class Sample(NamedTuple):
    """An image and what is known of its pixels."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""
    labels: NDArray[np.uint8]
    """(H, W) uint8 ids, 255 void."""
    soft: NDArray[np.uint8] | None = None
    """(h, w, C) uint8 class probabilities of a teacher, 255 = 1, at any size; all 0 where there
    are none. C = 1: no probabilities, 255 where the picture is (`picture_extent`)."""


def picture_extent(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what stands in the place of probabilities until a teacher has seen the crop.

    Augmentation moves it as it moves probabilities, so that it says which pixels of a crop lie in
    the picture: void labels cannot, pictures have void of their own.

    Args:
        labels: (H, W) uint8 ids of a picture.

    Returns:
        (H, W, 1) uint8, 255.
    """
    return np.full((*labels.shape, 1), 255, np.uint8)


def _first_pixel(side: int, crop: int, contain: int | None, rng: np.random.Generator) -> int:
    """Draw where a crop of ``crop`` pixels starts on a side, such that it has ``contain``."""
    last = max(side - crop, 0)
    low, high = 0, last
    if contain is not None:
        low, high = max(0, contain - crop + 1), min(last, contain)
    return int(rng.integers(low, high + 1))


def rotate(
    sample: Sample, degrees: float, contain: tuple[int, int] | None = None
) -> tuple[Sample, tuple[int, int] | None]:
    """Turn a sample about its middle.

    Args:
        sample: Image and labels.
        degrees: Angle, counter-clockwise.
        contain: Row and column of a pixel that is wanted later.

    Returns:
        The sample at its size, black, void and without probabilities in the corners; and where
        that pixel is now, at the border if it is no longer in the picture.
    """
    height, width = sample.labels.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    if contain is not None:
        column, row = turn @ (contain[1], contain[0], 1)
        contain = min(max(round(row), 0), height - 1), min(max(round(column), 0), width - 1)
    image = cv2.warpAffine(sample.image, turn, (width, height)).astype(np.uint8, copy=False)
    labels = cv2.warpAffine(
        sample.labels, turn, (width, height), flags=cv2.INTER_NEAREST, borderValue=IGNORE_ID
    )
    soft = None
    if sample.soft is not None:  # at a size of its own
        rows, columns = sample.soft.shape[:2]
        small = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, 1.0)
        turned = cv2.warpAffine(sample.soft, small, (columns, rows)).astype(np.uint8, copy=False)
        soft = turned.reshape(sample.soft.shape)  # OpenCV drops a single channel
    return Sample(image, labels.astype(np.uint8, copy=False), soft), contain


def resize_and_crop(
    sample: Sample,
    config: TrainConfig,
    rng: np.random.Generator,
    contain: tuple[int, int] | None = None,
) -> Sample:
    """Resize by a random factor, then cut a random crop.

    Args:
        sample: Image and labels.
        config: Gives ``scale_range`` and ``crop_size``.
        rng: Source of randomness.
        contain: Row and column of a pixel of ``sample`` that the crop must have; None: any crop.

    Returns:
        The sample at ``crop_size``; where the resized image is smaller than the crop, the rest
        is black, ignored and without probabilities.
    """
    low, high = np.log(config.scale_range)
    scale = float(np.exp(rng.uniform(low, high)))
    height, width = (round(side * scale) for side in sample.labels.shape)
    crop_height, crop_width = config.crop_size
    row = column = None
    if contain is not None:
        row = int((contain[0] + 0.5) * height / sample.labels.shape[0])
        column = int((contain[1] + 0.5) * width / sample.labels.shape[1])
    top = _first_pixel(height, crop_height, row, rng)
    left = _first_pixel(width, crop_width, column, rng)
    labels = resize_labels(sample.labels, (height, width))
    planes: list[NDArray[np.uint8]] = []
    for plane, fill in ((sample.image, 0), (labels, IGNORE_ID), (sample.soft, 0)):
        if plane is None:
            continue
        if plane is not labels:
            resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
            resized = resized.reshape(height, width, *plane.shape[2:])  # it drops a single channel
            plane = resized.astype(np.uint8, copy=False)  # noqa: PLW2901  # the plane, resized
        cut = plane[top : top + crop_height, left : left + crop_width]
        missing = ((0, crop_height - cut.shape[0]), (0, crop_width - cut.shape[1]))
        padding = missing + ((0, 0),) * (cut.ndim - 2)
        planes.append(np.pad(cut, padding, constant_values=fill))
    return Sample(*planes)


def jitter_colors(
    image: NDArray[np.uint8], strength: float, rng: np.random.Generator, hue: float = 0.0
) -> NDArray[np.uint8]:
    """Change brightness, contrast and saturation by random factors, and turn the hue.

    Args:
        image: (H, W, 3) uint8 RGB.
        strength: Largest relative change, 0 to 1.
        rng: Source of randomness.
        hue: Largest turn of the colours about grey, 0 to 1, as a share of the whole circle; 0.5
            is every colour already.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    # All of them are linear, and so is one after the other: one matrix and offset for all pixels.
    image = np.ascontiguousarray(image)
    mix = saturation * np.eye(3) + (1 - saturation) * np.array(_GREY)
    if hue:
        mix = mix @ _hue_turn(2 * np.pi * rng.uniform(-hue, hue))
    offset = np.full((3, 1), (1 - contrast) * brightness * np.mean(cv2.mean(image)[:3]))
    matrix = np.hstack([contrast * brightness * mix, offset])  # 3 4
    return cv2.transform(image, matrix).astype(np.uint8, copy=False)


def _hue_turn(angle: float) -> NDArray[np.float64]:
    """Return (3, 3): RGB whose chroma (YIQ of NTSC) is turned by an angle, radians."""
    to_chroma = np.array([_GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])  # YIQ
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned: NDArray[np.float64] = np.linalg.inv(to_chroma) @ turn @ to_chroma
    return turned


def darken(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Show a picture taken by day as a camera behind headlights would see it.

    Little light everywhere, more in a lobe on the road ahead, and sensor noise. No physics: it
    only keeps a network from taking darkness for an object.

    Args:
        image: (H, W, 3) uint8 RGB.
        rng: Source of randomness.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)  # H W each
    centre_y, centre_x = rng.uniform(0.65, 0.9), rng.uniform(0.4, 0.6)
    spread_y, spread_x = rng.uniform(0.1, 0.25), rng.uniform(0.2, 0.4)
    lobe = np.exp(-(((y - centre_y) / spread_y) ** 2) - ((x - centre_x) / spread_x) ** 2)
    light = rng.uniform(0, 0.25) + rng.uniform(0.3, 1.0) * lobe
    noise = rng.normal(0, rng.uniform(0, 4), image.shape)
    result: NDArray[np.uint8] = np.clip(image * light[..., None] + noise, 0, 255).astype(np.uint8)
    return result


def augment(
    sample: Sample,
    config: TrainConfig,
    rng: np.random.Generator,
    contain: tuple[int, int] | None = None,
) -> Sample:
    """Apply the whole chain to one sample; arguments and result as in `resize_and_crop`."""
    if config.rotation and rng.random() < 0.5:
        degrees = rng.uniform(-config.rotation, config.rotation)
        sample, contain = rotate(sample, degrees, contain)
    image, labels, soft = resize_and_crop(sample, config, rng, contain)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
        soft = None if soft is None else soft[:, ::-1]
    image = jitter_colors(image, config.color_jitter, rng, config.hue_jitter)
    if config.blur and rng.random() < config.blur:
        sigma = rng.uniform(*_BLUR_SIGMAS)
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    if config.night and rng.random() < config.night:
        image = darken(image, rng)
    return Sample(
        np.ascontiguousarray(image),
        np.ascontiguousarray(labels),
        None if soft is None else np.ascontiguousarray(soft),
    )
