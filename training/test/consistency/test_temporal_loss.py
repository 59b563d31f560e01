# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import exp

import pytest
import torch

from vidseg_training.consistency.settings import ConsistencyConfig
from vidseg_training.consistency.temporal_loss import (
    FramePair,
    photometric_weight,
    temporal_loss,
    USUAL_ERROR,
)
from vidseg_training.networks import STD

ONE_STD = sum(STD) / 3  # grey levels


def _still(current: torch.Tensor, neighbour: torch.Tensor) -> FramePair:
    batch, _, height, width = current.shape
    return FramePair(
        current,
        neighbour,
        torch.zeros(batch, 2, height, width),
        torch.ones(batch, height, width, dtype=torch.bool),
    )


def _logits(*rows: list[float]) -> torch.Tensor:
    """Return logits whose softmax has, for each class, the given row of pixels: 1 C 1 W."""
    return torch.tensor(rows, dtype=torch.float64).log()[None, :, None]


def test_opposite_colour_errors_do_not_cancel() -> None:
    """+30 in red and -30 in green: the official code's signed sum of them would be nothing."""
    current = torch.full((1, 3, 1, 2), 100, dtype=torch.uint8)
    neighbour = current.clone()
    neighbour[0, 0, 0, 1], neighbour[0, 1, 0, 1] = 130, 70
    weights = photometric_weight(_still(current, neighbour))
    assert weights.flatten().tolist() == pytest.approx([1, exp(-20 / ONE_STD)])


def test_hand_computed_value() -> None:
    """Three pixels; the third is hidden, the second's colours are off by 30 grey levels."""
    current = torch.full((1, 3, 1, 3), 100, dtype=torch.uint8)
    neighbour = current.clone()
    neighbour[..., 1] = 130
    pair = _still(current, neighbour)
    pair.visible[..., 2] = False
    here = _logits([0.9, 0.5, 0.1], [0.1, 0.5, 0.9])
    there = _logits([0.6, 0.2, 0.9], [0.4, 0.8, 0.1])
    expected = (2 * 0.3**2 + 2 * 0.3**2 * exp(-30 / ONE_STD)) / 2
    assert temporal_loss(here, there, pair).item() == pytest.approx(expected)
    assert pytest.approx(ONE_STD) == USUAL_ERROR
    assert ConsistencyConfig().picture_error == pytest.approx(ONE_STD / 3 / 2, abs=0.01)
    strict = (2 * 0.3**2 + 2 * 0.3**2 * exp(-30 / 8)) / 2
    assert temporal_loss(here, there, pair, picture_error=8).item() == pytest.approx(strict)


def test_the_neighbour_is_carried_along_the_motion() -> None:
    """Everything moves one pixel to the left: what is at x is at x - 1 in the neighbour."""
    current = torch.tensor([[[[10, 60, 120, 200]]] * 3]).view(1, 3, 1, 4).to(torch.uint8)
    neighbour = torch.roll(current, -1, -1)
    pair = _still(current, neighbour)
    pair.motion[:, 0] = -1
    pair.visible[..., 0] = False
    here = _logits([0.9, 0.1, 0.2, 0.7], [0.1, 0.9, 0.8, 0.3])
    assert temporal_loss(here, torch.roll(here, -1, -1), pair).item() == pytest.approx(0, abs=1e-9)
    assert temporal_loss(here, here, pair).item() > 0.1


def test_a_steady_prediction_costs_nothing_and_a_flickering_one_two() -> None:
    frames = torch.full((2, 3, 4, 4), 90, dtype=torch.uint8)
    sure = torch.zeros(2, 3, 2, 2)
    sure[:, 0] = 50
    other = sure.roll(1, dims=1)
    pair = _still(frames, frames)
    assert temporal_loss(sure, sure, pair).item() == 0
    assert temporal_loss(sure, other, pair).item() == pytest.approx(2)


@pytest.mark.parametrize(('gradient', 'both'), [('both', True), ('current', False)])
def test_the_option_says_who_learns(gradient: str, both: bool) -> None:  # noqa: FBT001  # a table
    frames = torch.full((1, 3, 4, 4), 90, dtype=torch.uint8)
    here, there = (torch.randn(1, 3, 2, 2, requires_grad=True) for _ in range(2))
    temporal_loss(here, there, _still(frames, frames), gradient).backward()
    assert here.grad is not None
    assert here.grad.abs().max() > 0
    assert (there.grad is not None) is both


def test_nothing_visible_is_nothing_to_learn() -> None:
    """A scene cut: every pixel is hidden."""
    frames = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    pair = _still(frames, frames)
    pair.visible[:] = False
    here = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = temporal_loss(here, torch.randn(1, 3, 2, 2), pair)
    loss.backward()
    assert loss.item() == 0
    assert here.grad is not None
    assert here.grad.abs().max() == 0


def test_a_pair_counts_by_its_visible_pixels_only() -> None:
    """Loss of a batch = mean of the losses of its pairs, where all of them are visible."""
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    pair = _still(frames, frames.flip(0))
    here, there = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2)
    alone = [
        temporal_loss(here[i : i + 1], there[i : i + 1], FramePair(*(x[i : i + 1] for x in pair)))
        for i in range(2)
    ]
    torch.testing.assert_close(temporal_loss(here, there, pair), (alone[0] + alone[1]) / 2)


def test_the_gradient_is_right() -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (1, 3, 3, 4), dtype=torch.uint8)
    pair = _still(frames, frames)
    pair.motion[:] = torch.rand(1, 2, 3, 4) * 0.8 + 0.1
    here, there = (
        torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    assert torch.autograd.gradcheck(lambda a, b: temporal_loss(a, b, pair), (here, there))
