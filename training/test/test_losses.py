# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vidseg_training.config import TrainConfig
from vidseg_training.distillation import distillation_loss
from vidseg_training.losses import segmentation_loss, ships_unweighted
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


def test_class_weights_are_taken_out_only_where_they_are_all_that_was_learned() -> None:
    """What the Lovász loss says of a class has no weight."""
    config = TrainConfig(name='x', network='compact', dataset='camvid')
    assert ships_unweighted(config)
    assert not ships_unweighted(replace(config, lovasz_weight=1.0))
    assert not ships_unweighted(replace(config, class_weight_offset=None))
