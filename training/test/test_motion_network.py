# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import Tensor

from vidseg_training.networks.motion import lucas_kanade_step, MotionMode, MotionNet


def _ramp(slope: float, offset: float = 0.0) -> Tensor:
    """Return a picture (1, 1, 12, 16) that grows along x."""
    return (slope * torch.arange(16.0) + offset).expand(1, 1, 12, 16)


def test_a_step_solves_the_linear_model() -> None:
    # The target is the ramp 0.5 px further: 0.1 * 0.5 brighter. With the damping of 0.0001,
    # u = 0.1 * 0.05 / (0.1 ** 2 + 0.0001) and nothing is known of v.
    step = lucas_kanade_step(_ramp(0.1, 0.05), _ramp(0.1))
    inner = step[..., 3:-3, 3:-3]
    torch.testing.assert_close(inner[:, 0], torch.full_like(inner[:, 0], 0.005 / 0.0101))
    torch.testing.assert_close(inner[:, 1], torch.zeros_like(inner[:, 1]))


def test_a_step_along_y_is_the_second_channel() -> None:
    target, warped = (_ramp(0.1, offset).transpose(2, 3) for offset in (0.05, 0.0))
    step = lucas_kanade_step(target, warped)[..., 3:-3, 3:-3]
    torch.testing.assert_close(step[:, 1], torch.full_like(step[:, 1], 0.005 / 0.0101))


def test_a_step_is_short_and_zero_without_texture() -> None:
    far = lucas_kanade_step(_ramp(0.1, 5.0), _ramp(0.1))
    assert far.abs().max() == 2
    assert lucas_kanade_step(_ramp(0, 0.7), _ramp(0, 0.2)).abs().max() == 0


def _frames(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(2, 3, 45, 70, generator=generator) for _ in range(3)]


@pytest.mark.parametrize('mode', ['reconstruction', 'prediction'])
def test_an_untrained_network_keeps_to_the_guess(mode: MotionMode) -> None:
    torch.manual_seed(0)
    network = MotionNet(mode)
    previous, source, target = _frames(0)
    guess = torch.full((2, 2, 45, 70), 3.0)
    vectors = network(previous, source, guess, target)
    assert vectors.shape == guess.shape
    torch.testing.assert_close(vectors, guess, rtol=0, atol=0.5)


def test_only_reconstruction_looks_at_the_target() -> None:
    previous, source, target = _frames(0)
    other = _frames(1)[2]
    guess = torch.zeros(2, 2, 45, 70)
    reconstruction, prediction = MotionNet('reconstruction'), MotionNet('prediction')
    seen = [reconstruction(previous, source, guess, frame) for frame in (target, other)]
    blind = [prediction(previous, source, guess, frame) for frame in (target, other, None)]
    assert not torch.equal(*seen)
    assert torch.equal(blind[0], blind[1])
    assert torch.equal(blind[0], blind[2])


def test_an_image_does_not_depend_on_the_rest_of_its_batch() -> None:
    network = MotionNet()
    batch = [*_frames(0)[:2], torch.zeros(2, 2, 45, 70), _frames(0)[2]]
    alone = network(*(tensor[1:] for tensor in batch))
    torch.testing.assert_close(network(*batch)[1:], alone)


def test_it_is_small_and_every_weight_learns() -> None:
    network = MotionNet()
    previous, source, target = _frames(0)
    network(previous, source, torch.zeros(2, 2, 45, 70), target).square().mean().backward()
    weights = list(network.parameters())
    assert sum(weight.numel() for weight in weights) == 238_392
    assert all(w.grad is not None and w.grad.isfinite().all() for w in weights)
    assert all(w.grad is not None and w.grad.abs().max() > 0 for w in weights)
