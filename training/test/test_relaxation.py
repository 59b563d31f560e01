# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vidseg_training.relaxation import (
    boundary_cross_entropy,
    neighbour_classes,
    relaxed_cross_entropy,
)


def _logits(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_neighbour_classes_of_a_corner_and_of_void() -> None:
    labels = torch.tensor([[[0, 0, 1], [0, 255, 1], [255, 255, 255]]])
    around = neighbour_classes(labels, 3)
    assert around[0, :, 0, 0].tolist() == [True, False, False]
    assert around[0, :, 0, 1].tolist() == [True, True, False]
    assert around[0, :, 2, 2].tolist() == [False, True, False]


def test_hand_computed_value_on_a_boundary() -> None:
    """p = (.5, .3, .2) everywhere, one row 0 0 1 void: .5, .8, .8; void does not count."""
    probabilities = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    logits = probabilities.log().view(1, 3, 1, 1).expand(1, 3, 1, 4) + 7
    labels = torch.tensor([[[0, 0, 1, 255]]])
    expected = -np.log([0.5, 0.8, 0.8]).mean()
    assert relaxed_cross_entropy(logits, labels).item() == pytest.approx(expected)
    strict = -np.log([0.5, 0.8, 0.3]).mean()
    assert relaxed_cross_entropy(logits, labels, strict=[1]).item() == pytest.approx(strict)
    weights = torch.tensor([1.0, 3.0, 9.0], dtype=torch.float64)
    weighted = -(np.log(0.5) + 2 * np.log(0.8) + 2 * np.log(0.8)) / 5
    assert relaxed_cross_entropy(logits, labels, weights).item() == pytest.approx(weighted)


def test_the_hard_phase_counts_boundaries_twice() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    logits = probabilities.log().view(1, 3, 1, 1).expand(1, 3, 1, 4)
    labels = torch.tensor([[[0, 0, 1, 255]]])
    expected = -(np.log(0.5) + 2 * np.log(0.5) + 2 * np.log(0.3)) / 5
    assert boundary_cross_entropy(logits, labels).item() == pytest.approx(expected)
    weights = torch.tensor([1.0, 3.0, 9.0], dtype=torch.float64)
    expected = -(np.log(0.5) + 2 * np.log(0.5) + 6 * np.log(0.3)) / 9
    assert boundary_cross_entropy(logits, labels, weights).item() == pytest.approx(expected)


def test_inside_one_class_both_are_the_cross_entropy() -> None:
    logits, labels = _logits((2, 4, 5, 6)), torch.full((2, 5, 6), 2)
    expected = F.cross_entropy(logits, labels)
    torch.testing.assert_close(relaxed_cross_entropy(logits, labels), expected)
    torch.testing.assert_close(boundary_cross_entropy(logits, labels), expected)


@pytest.mark.parametrize('weights', [None, (1.0, 3.0, 0.5)])
@pytest.mark.parametrize(
    ('loss', 'options'),
    [
        (relaxed_cross_entropy, {}),
        (relaxed_cross_entropy, {'strict': [1]}),
        (boundary_cross_entropy, {}),
    ],
)
def test_the_gradient_is_right(
    loss: Callable[..., torch.Tensor],
    options: dict[str, list[int]],
    weights: tuple[float, ...] | None,
) -> None:
    labels = torch.tensor([[[0, 1, 255], [2, 2, 2]]])
    of_class = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: loss(x, labels, of_class, **options), _logits((1, 3, 2, 3)).requires_grad_()
    )


@pytest.mark.parametrize('loss', [relaxed_cross_entropy, boundary_cross_entropy])
def test_an_image_does_not_depend_on_its_batch(loss: object) -> None:
    """In the official code the borders of the whole batch weigh every image (its issue 50)."""
    assert callable(loss)
    logits = _logits((3, 4, 6, 7))
    labels = torch.randint(0, 4, (3, 6, 7), generator=torch.Generator().manual_seed(1))
    labels[1] = 3
    alone = [loss(logits[i : i + 1], labels[i : i + 1]) for i in range(3)]
    if loss is relaxed_cross_entropy:
        torch.testing.assert_close(loss(logits, labels), torch.stack(alone).mean())
    gradients = []
    for batch in (slice(0, 1), slice(0, 3)):
        x = logits[batch].clone().requires_grad_()
        loss(x, labels[batch]).backward()
        assert x.grad is not None
        gradients.append(x.grad[0] / x.grad[0].norm())
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('loss', [relaxed_cross_entropy, boundary_cross_entropy])
def test_extreme_logits_and_void_images_stay_finite(loss: object) -> None:
    assert callable(loss)
    logits = torch.tensor([1e4, -1e4, 0.0]).view(1, 3, 1, 1).repeat(1, 1, 4, 4).requires_grad_()
    labels = torch.full((1, 4, 4), 1)
    value = loss(logits, labels)
    value.backward()
    assert value.item() == pytest.approx(2e4)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    logits.grad = None
    value = loss(logits, torch.full((1, 4, 4), 255))
    value.backward()
    assert value.item() == 0
    assert logits.grad.abs().max() == 0
