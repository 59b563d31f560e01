# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from operator import eq

import pytest
import torch
import torch.nn.functional as F

from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.distillation import distillation_loss
from vidseg_training.losses import (
    EVERY_LABEL,
    LabelLoss,
    Lattice,
    segmentation_loss,
    ships_unweighted,
)
from vidseg_training.relaxation import boundary_cross_entropy, relaxed_cross_entropy


def test_the_loss_ignores_void_and_resizes_logits() -> None:
    logits = torch.tensor([[[[2.0]], [[0.0]]]])  # 1 2 1 1
    labels = torch.tensor([[[0, 255], [255, 1]]])
    expected = (F.softplus(torch.tensor(-2.0)) + F.softplus(torch.tensor(2.0))) / 2
    torch.testing.assert_close(segmentation_loss(logits, labels, None), expected)


def test_an_all_void_batch_gives_zero_with_a_gradient() -> None:
    logits = torch.zeros(1, 2, 3, 3, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 3, 3), 255), torch.ones(2))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_plain_and_weighted_loss_are_those_of_torch() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    labels[0, :2] = 255
    weights = torch.tensor([1.0, 2.0, 0.5])
    for of_class in (None, weights):
        expected = F.cross_entropy(logits, labels, of_class, ignore_index=255)
        torch.testing.assert_close(segmentation_loss(logits, labels, of_class), expected)


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('relaxed', [True, False, None])
@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16])
def test_half_logits_give_the_loss_and_gradient_of_whole_ones(
    kind: torch.dtype, *, relaxed: bool | None, weighted: bool
) -> None:
    """Sums over the pixels of these crops are beyond the largest half."""
    generator = torch.Generator().manual_seed(0)
    half = (8 * torch.randn(2, 11, 360, 360, generator=generator)).to(kind).requires_grad_()
    labels = torch.randint(0, 11, (2, 360, 360), generator=generator)
    labels[:, :20] = 255
    weights = torch.rand(11, generator=generator) + 0.5 if weighted else None
    whole = half.detach().float().requires_grad_()
    values = [segmentation_loss(x, labels, weights, relaxed=relaxed) for x in (half, whole)]
    assert values[0].dtype == torch.float32
    torch.testing.assert_close(*values, rtol=0, atol=0)
    for value in values:
        (1000 * value).backward()  # as the scaler of mixed precision does
    assert half.grad is not None
    assert whole.grad is not None
    torch.testing.assert_close(half.grad, whole.grad.to(kind), rtol=0, atol=0)
    for loss in (relaxed_cross_entropy, boundary_cross_entropy):
        torch.testing.assert_close(
            loss(half, labels, weights), loss(whole, labels, weights), rtol=0, atol=0
        )


def test_the_teacher_s_loss_of_half_logits_is_that_of_whole_ones() -> None:
    half = (8 * torch.randn(2, 11, 360, 360, generator=torch.Generator().manual_seed(0))).half()
    soft = torch.full(half.shape, 23, dtype=torch.uint8)
    value = distillation_loss(half, soft)
    torch.testing.assert_close(value, distillation_loss(half.float(), soft), rtol=0, atol=0)
    assert value.isfinite()


@pytest.mark.parametrize(('relaxed', 'share'), [(True, 0.0), (False, 2 / 6), (None, 1 / 4)])
def test_the_phases_differ_at_a_boundary(*, relaxed: bool | None, share: float) -> None:
    """One of four pixels is wrong, and it is one of two at the boundary of 0 0 1 1."""
    logits = torch.tensor([[50.0, -50.0], [-0.5, 0.5], [-50.0, 50.0], [-50.0, 50.0]])
    logits = logits.T[None, :, None]  # 1 2 1 4
    labels = torch.tensor([[[0, 0, 1, 1]]])
    wrong = F.softplus(torch.tensor(1.0))
    value = segmentation_loss(logits, labels, None, relaxed=relaxed)
    torch.testing.assert_close(value, wrong * share)


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('logits_size', [(6, 9), (5, 7), (24, 36)])
def test_the_mean_over_all_lattices_is_the_loss_of_every_label(
    logits_size: tuple[int, int], *, weighted: bool
) -> None:
    """Lattices with more void than others weigh less."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, *logits_size, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    labels = torch.randint(0, 3, (2, 24, 36), generator=generator)
    labels[0, :7, 5:] = 255
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64) if weighted else None
    total, weight = torch.zeros(()), torch.zeros(())
    for row in range(4):
        for column in range(4):
            lattice = Lattice(4, row, column)
            kept = lattice.of_labels(labels)
            counted = torch.ones(3) if weights is None else weights
            share = counted[kept[kept != 255]].sum()
            loss = segmentation_loss(logits, labels, weights, lattice=lattice)
            total, weight = total + share * loss, weight + share
    expected = segmentation_loss(logits, labels, weights)
    torch.testing.assert_close(total / weight, expected)
    gradients = [torch.autograd.grad(x, logits)[0] for x in (total / weight, expected)]
    torch.testing.assert_close(*gradients)


def test_a_lattice_takes_sides_that_are_no_multiple_of_its_stride() -> None:
    logits = torch.arange(35.0).view(1, 1, 5, 7).expand(1, 2, 5, 7)
    lattice = Lattice(4, 1, 3)
    labels = torch.arange(35).view(1, 5, 7)
    torch.testing.assert_close(lattice.of_labels(labels), torch.tensor([[[10]]]))
    every = F.interpolate(logits, size=(11, 14), mode='bilinear', align_corners=False)
    torch.testing.assert_close(lattice.of_logits(logits, (11, 14)), every[..., 1::4, 3::4])


def test_half_logits_at_a_lattice_give_the_loss_of_whole_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    half = (8 * torch.randn(2, 11, 30, 30, generator=generator)).bfloat16()
    labels = torch.randint(0, 11, (2, 120, 120), generator=generator)
    lattice = Lattice(4, 2, 1)
    values = [segmentation_loss(x, labels, None, lattice=lattice) for x in (half, half.float())]
    assert values[0].dtype == torch.float32
    torch.testing.assert_close(*values, rtol=0, atol=0)


def test_boundaries_at_a_lattice_are_refused() -> None:
    logits, labels = torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match='every label'):
        segmentation_loss(logits, labels, None, relaxed=True, lattice=Lattice(2, 0, 0))


def test_a_lattice_of_void_alone_gives_zero_with_a_gradient() -> None:
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[:, ::2, ::2] = 255
    loss = segmentation_loss(logits, labels, None, lattice=Lattice(2, 0, 0))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_every_lattice_of_a_stride_is_drawn_and_a_step_draws_the_same_again() -> None:
    drawn = [Lattice.draw(3, (0, step)) for step in range(300)]
    assert set(drawn) == {Lattice(3, row, column) for row in range(3) for column in range(3)}
    assert max(drawn.count(lattice) for lattice in set(drawn)) < 60
    assert [Lattice.draw(3, (0, step)) for step in range(300)] == drawn
    others = [Lattice.draw(3, (1, step)) for step in range(300)]
    assert sum(map(eq, drawn, others)) < 60  # a ninth, by chance
    assert Lattice.draw(1, (5, 7)) == EVERY_LABEL


def test_a_stride_of_the_loss_is_that_of_all_heads(small_config: TrainConfig) -> None:
    """Labels off the lattice change nothing, those on it do; so in the main and auxiliary head."""
    config = replace(small_config, loss_stride=4, class_weight_offset=None)
    images = open_dataset(config, 'train')
    loss = LabelLoss(config, images, torch.device('cpu'), steps=1)
    generator = torch.Generator().manual_seed(0)
    outputs = [torch.randn(2, 11, 32 // s, 48 // s, generator=generator) for s in (4, 8)]
    labels = torch.randint(0, 11, (2, 32, 48), generator=generator)

    def value(labels: torch.Tensor) -> float:
        return loss(outputs, labels, 0, 7).item()

    lattice = Lattice.draw(4, (config.seed, 7))
    others = (labels + 1) % 11
    others[:, lattice.row :: 4, lattice.column :: 4] = lattice.of_labels(labels)
    assert value(others) == value(labels)
    assert value((labels + 1) % 11) != value(labels)
    main, auxiliary = (segmentation_loss(x, labels, None, lattice=lattice) for x in outputs)
    expected = main + config.auxiliary_weight * auxiliary
    assert value(labels) == pytest.approx(expected.item(), rel=1e-6)


def test_class_weights_are_taken_out_only_where_they_are_all_that_was_learned() -> None:
    """What the Lovász loss says of a class has no weight."""
    config = TrainConfig(name='x', network='compact', dataset='camvid')
    assert ships_unweighted(config)
    assert not ships_unweighted(replace(config, lovasz_weight=1.0))
    assert not ships_unweighted(replace(config, class_weight_offset=None))
