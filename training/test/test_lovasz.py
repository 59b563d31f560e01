# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from vidseg_ros.core.metrics import Confusion
from vidseg_training.lovasz import lovasz_softmax_loss


def _random(shape: tuple[int, ...] = (2, 4, 5, 6)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    labels[0, :2] = 255
    return logits, labels


def test_hand_computed_value() -> None:
    """Two classes, pixels of class 0 0 1 void with p(0) = .9 .6 .3 .1.

    Errors of class 0, falling: .4 (own), .3 (other), .1 (own); 1 - IoU with so many wrong: 1/2,
    2/3, 1; so .4 / 2 + .3 / 6 + .1 / 3. Of class 1: .4 (other), .3 (own), .1 (other): 1/2, 1, 1;
    so .4 / 2 + .3 / 2.
    """
    p = torch.tensor([0.9, 0.6, 0.3, 0.1], dtype=torch.float64)
    logits = torch.stack((p, 1 - p)).log().view(1, 2, 1, 4) + 7
    labels = torch.tensor([[[0, 0, 1, 255]]])
    expected = (0.4 / 2 + 0.3 / 6 + 0.1 / 3 + 0.4 / 2 + 0.3 / 2) / 2
    assert lovasz_softmax_loss(logits, labels).item() == pytest.approx(expected)


def test_of_sure_predictions_it_is_what_the_mean_iou_lacks() -> None:
    """The extension is 1 - IoU itself where each pixel is wholly right or wrong."""
    logits, labels = _random()
    labels[labels == 3] = 0  # a class that is predicted and not there is not counted
    predicted = logits.argmax(1)
    sure = 1000 * torch.nn.functional.one_hot(predicted, 4).permute(0, 3, 1, 2).double()
    confusion = Confusion(4)
    confusion.add(labels.numpy().astype(np.uint8), predicted.numpy().astype(np.uint8))
    expected = 1 - confusion.iou()[:3].mean()
    assert lovasz_softmax_loss(sure, labels).item() == pytest.approx(expected)


def test_gradient() -> None:
    logits, labels = _random((1, 3, 3, 4))
    labels[0, 0, :2] = 255
    assert torch.autograd.gradcheck(
        lambda x: lovasz_softmax_loss(x, labels), logits.requires_grad_()
    )


def test_void_is_not_learned_from_whatever_is_said_there() -> None:
    logits, labels = _random()
    logits.requires_grad_()
    loss = lovasz_softmax_loss(logits, labels)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, :, :2].abs().max() == 0
    assert logits.grad[0, :, 2:].abs().min() > 0
    with torch.no_grad():
        logits[0, :, :2] *= -5
        torch.testing.assert_close(lovasz_softmax_loss(logits, labels), loss)


def test_a_batch_without_labels_gives_zero_with_a_gradient() -> None:
    logits = torch.zeros(1, 2, 3, 3, requires_grad=True)
    loss = lovasz_softmax_loss(logits, torch.full((1, 3, 3), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16])
def test_half_logits_at_a_quarter_of_the_labels(kind: torch.dtype) -> None:
    """Labels of 4x4 pixels of one class: which of them is compared does not matter."""
    logits, labels = _random()
    half = logits.to(kind)
    large = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    loss = lovasz_softmax_loss(half, large)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, lovasz_softmax_loss(half.float(), labels))
