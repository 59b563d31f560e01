# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np

from vidseg_training.config import TrainConfig
from vidseg_training.data.augment import augment, darken, jitter_colors, Sample


def test_jitter_of_zero_changes_nothing_and_of_one_quarter_stays_in_range() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    unchanged = jitter_colors(image, 0.0, np.random.default_rng(1))
    assert np.abs(unchanged.astype(int) - image).max() <= 1
    changed = jitter_colors(image, 0.25, np.random.default_rng(1))
    assert changed.dtype == np.uint8
    assert (changed != image).mean() > 0.5


def test_jitter_is_brightness_then_contrast_then_saturation() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    image[..., 0] //= 4
    image[..., 2] = image[..., 2] // 2 + 127  # not grey, so that the order shows
    for seed, strength in enumerate([0.4] * 6 + [1.0] * 6):
        low, high = 1 - strength, 1 + strength
        brightness, contrast, saturation = np.random.default_rng(seed).uniform(low, high, 3)
        pixels = image * brightness
        pixels = (pixels - pixels.mean()) * contrast + pixels.mean()
        grey = (pixels * (0.299, 0.587, 0.114)).sum(axis=-1, keepdims=True)
        expected = np.clip((pixels - grey) * saturation + grey, 0, 255)
        jittered = jitter_colors(image, strength, np.random.default_rng(seed))
        assert np.abs(jittered - expected).max() < 1
        mirrored = jitter_colors(image[:, ::-1], strength, np.random.default_rng(seed))
        np.testing.assert_array_equal(mirrored, jittered[:, ::-1])


def test_hue_turns_colours_about_grey() -> None:
    """Brightness and grey stay; half a circle gives the opposite colours."""
    image = np.random.default_rng(0).integers(80, 176, (50, 70, 3)).astype(np.uint8)
    image[:, :10] = image[:, :10, :1]  # grey
    for seed in range(6):
        rng = np.random.default_rng(seed)
        turned = jitter_colors(image, 0.0, rng, hue=0.5).astype(int)
        grey = (0.299, 0.587, 0.114)
        assert np.abs(turned @ grey - image @ grey).max() < 1
        assert np.abs(turned[:, :10] - image[:, :10]).max() <= 1
        assert np.abs(turned[:, 10:] - image[:, 10:]).mean() > 1
    half = jitter_colors(image, 0.0, _Turn(0.5), hue=0.5).astype(int)  # type: ignore[arg-type]  # all that is asked of it
    grey_level = (image @ (0.299, 0.587, 0.114))[..., None]
    assert np.abs(half - np.clip(2 * grey_level - image, 0, 255)).max() <= 1


class _Turn:
    """A source of randomness that always draws the same turn, and factors of 1."""

    def __init__(self, share: float) -> None:
        self._share = share

    def uniform(self, _low: float, _high: float, size: int | None = None) -> object:
        return self._share if size is None else np.ones(size)


def test_without_hue_nothing_more_is_drawn() -> None:
    """What is drawn after the colours, as in runs from before there was a hue."""
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    plain, turned, twin = (np.random.default_rng(3) for _ in range(3))
    jitter_colors(image, 0.25, plain)
    jitter_colors(image, 0.25, turned, hue=0.05)
    twin.uniform(0.75, 1.25, 3)
    following = twin.random()
    assert plain.random() == following
    assert turned.random() != following


def test_the_configuration_s_hue_is_applied(small_config: TrainConfig) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    sample = Sample(image, np.zeros((50, 70), np.uint8))
    plain, turned = (
        augment(sample, replace(small_config, hue_jitter=hue), np.random.default_rng(3))
        for hue in (0.0, 0.05)
    )
    assert (plain.image != turned.image).any()
    np.testing.assert_array_equal(plain.labels, turned.labels)


def test_darkness_leaves_light_on_the_road_only() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    for seed in range(10):
        dark = darken(image, np.random.default_rng(seed)).astype(int)
        assert dark.shape == image.shape
        assert dark.mean() < 0.6 * image.mean()
        assert dark[36:54, 32:48].mean() > dark[:12].mean() + 5
