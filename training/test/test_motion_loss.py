# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import exp

import pytest
import torch
from torch import Tensor

from vidseg_ros.core.errors import ParameterError
from vidseg_training.motion_loss import (
    gradient_loss,
    motion_loss,
    MotionLossWeights,
    similarity_loss,
    smoothness_loss,
)


def _row(*values: float) -> Tensor:
    """Return a picture (1, 1, 2, W) of two equal rows."""
    return torch.tensor(values).expand(1, 1, 2, len(values))


def test_gradients_are_compared_with_their_sign() -> None:
    # Along x: slopes 0.2, 0.2 and 0, 0 -> 0.2; along y there is nothing.
    assert gradient_loss(_row(0.1, 0.3, 0.5), _row(0.4, 0.4, 0.4)).item() == pytest.approx(0.2)
    # A rising and a falling edge of one height: 0.2 - -0.2.
    assert gradient_loss(_row(0.1, 0.3), _row(0.3, 0.1)).item() == pytest.approx(0.4)


def test_smoothness_is_in_pixels_and_spares_edges() -> None:
    vectors = torch.stack((_row(0.0, 1.0, 4.0)[:, 0], _row(0.0, 0.0, 0.0)[:, 0]), 1)  # u: 1, 3
    flat, edge = _row(0.5, 0.5, 0.5), _row(0.5, 0.5, 0.7)
    # Mean over u and v: (1 + 3 + 0 + 0) / 4.
    assert smoothness_loss(vectors, flat, 10).item() == pytest.approx(1)
    assert smoothness_loss(vectors, edge, 0).item() == pytest.approx(1)
    assert smoothness_loss(vectors, edge, 10).item() == pytest.approx((1 + 3 * exp(-2)) / 4)


def test_similarity_of_pictures_without_texture() -> None:
    # Without variance SSIM is (2ab + c) / (a^2 + b^2 + c), c = 0.0001.
    dark, light = torch.full((1, 3, 4, 5), 0.2), torch.full((1, 3, 4, 5), 0.6)
    ssim = (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert similarity_loss(dark, light).item() == pytest.approx((1 - ssim) / 2, rel=1e-3)
    texture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert similarity_loss(texture, texture).item() == pytest.approx(0, abs=1e-6)


def test_terms_are_weighed() -> None:
    warped, target = _row(0.1, 0.3, 0.5), _row(0.4, 0.4, 0.4)
    vectors = torch.stack((_row(0.0, 1.0, 4.0)[:, 0], _row(0.0, 0.0, 0.0)[:, 0]), 1)
    weights = MotionLossWeights(
        photometric=0.7, gradient=0.2, similarity=0, smoothness=0.1, edge=0
    )
    # |0.1 - 0.4|, |0.3 - 0.4|, |0.5 - 0.4| -> 0.5 / 3.
    expected = 0.7 * 0.5 / 3 + 0.2 * 0.2 + 0.1 * 1
    assert motion_loss(warped, target, vectors, weights).item() == pytest.approx(expected)


def test_similarity_is_a_term() -> None:
    generator = torch.Generator().manual_seed(0)
    warped, target = torch.rand(2, 1, 3, 8, 8, generator=generator)
    vectors = torch.zeros(1, 2, 8, 8)
    weights = MotionLossWeights(photometric=0, similarity=2, smoothness=0)
    loss = motion_loss(warped, target, vectors, weights)
    torch.testing.assert_close(loss, 2 * similarity_loss(warped, target) + 0 * loss)


def test_weights_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ParameterError, match='smoothness must be zero or above, not -1'):
        MotionLossWeights(smoothness=-1)
    with pytest.raises(ParameterError, match='one of photometric, gradient and similarity'):
        MotionLossWeights(photometric=0, similarity=0)
