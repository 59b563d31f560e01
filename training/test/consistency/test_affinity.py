# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import log, sqrt

import pytest
import torch

from vidseg_training.consistency.affinity import (
    affinity,
    affinity_loss,
    describe_places,
    spoken_of,
)

FLOOR = 1 / 255


def _frame(*rows: list[float]) -> torch.Tensor:
    """Return probabilities, a row of pixels for each class: (1, C, 1, W)."""
    return torch.tensor(rows, dtype=torch.float64)[None, :, None]


def test_places_of_two_classes_by_hand() -> None:
    """Centred logs of two classes are (d, -d): of length 1 they are +-(1, -1) / sqrt 2."""
    places = describe_places(_frame([0.9, 0.2], [0.1, 0.8]), (1, 2))
    expected = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]], dtype=torch.float64) / sqrt(2)
    torch.testing.assert_close(places, expected)
    torch.testing.assert_close(
        affinity(places, places), torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]], dtype=torch.float64)
    )


def test_a_place_of_three_classes_by_hand() -> None:
    """A cell of two pixels has their mean, (0.6, 0.3, 0.1)."""
    places = describe_places(_frame([0.8, 0.4], [0.2, 0.4], [0.0, 0.2]), (1, 1))
    logs = [log(p + FLOOR) for p in (0.6, 0.3, 0.1)]
    centred = [value - sum(logs) / 3 for value in logs]
    length = sqrt(sum(value**2 for value in centred))
    assert places.flatten().tolist() == pytest.approx([value / length for value in centred])


@pytest.mark.parametrize('classes', [2, 11, 19, 124])
def test_a_place_of_which_nothing_is_said_has_no_direction(classes: int) -> None:
    """Rounding of the mean is not a description: all 0, or all the same, is of length 0."""
    nothing = torch.zeros(1, classes, 4, 4, requires_grad=True)
    assert describe_places(nothing, (2, 2)).abs().max() == 0
    assert describe_places(torch.full((1, classes, 4, 4), 1 / classes), (2, 2)).abs().max() == 0
    describe_places(nothing, (2, 2)).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()
    hint = torch.zeros(1, classes, 4, 4)
    hint[:, 0] = 1 / 255
    assert describe_places(hint, (2, 2)).norm(dim=-1).min().item() == pytest.approx(1, rel=1e-5)


def test_the_loss_by_hand_and_at_both_ends() -> None:
    """Affinities of the student 1 and of the teacher -1, across the frames: (1 - -1)^2."""
    a, b = _frame([0.9], [0.1]), _frame([0.1], [0.9])
    assert affinity_loss((a, a), (a, b), (1, 1)).item() == pytest.approx(4)
    assert affinity_loss((a, b), (b, a), (1, 1)).item() == pytest.approx(0)


def test_strides_widths_and_class_sets_may_differ() -> None:
    torch.manual_seed(0)
    student = tuple(torch.rand(2, 11, 9, 12).softmax(1) for _ in range(2))
    teacher = tuple(torch.rand(2, 19, 5, 6).softmax(1) for _ in range(2))
    assert 0 < affinity_loss(student, teacher, (3, 4)).item() < 4


def test_a_batch_is_the_mean_of_its_images() -> None:
    torch.manual_seed(0)
    student, teacher = torch.rand(2, 4, 6, 6).softmax(1), torch.rand(2, 4, 6, 6).softmax(1)
    alone = [
        affinity_loss((student[i : i + 1],) * 2, (teacher[i : i + 1],) * 2, (3, 3))
        for i in range(2)
    ]
    both = affinity_loss((student, student), (teacher, teacher), (3, 3))
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)


def test_where_the_teacher_says_nothing_nothing_is_compared() -> None:
    """A border without an opinion, and a class that the teacher does not know."""
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 12, 16)
    known = [0, 1, 3]
    said = torch.zeros(2, 4, 12, 16)
    said[:, known] = logits[:, known].softmax(1)
    said[..., 10:] = 0
    said[..., :2] *= 0.4  # the teacher sees something else there as well
    ours, theirs = spoken_of(logits, said, known)
    assert affinity_loss((ours, ours), (theirs, theirs), (6, 8)).item() == pytest.approx(0)
    ours, theirs = spoken_of(logits.flip(-1), said, known)
    assert affinity_loss((ours, ours), (theirs, theirs), (6, 8)).item() > 0.1
    changed = logits.clone()
    changed[..., 10:] = 9 * torch.randn(2, 4, 12, 6)
    changed[:, 2] += 5  # the class that the teacher does not know
    ours, theirs = spoken_of(changed, said, known)
    assert affinity_loss((ours, ours), (theirs, theirs), (6, 8)).item() == pytest.approx(0)


def test_nothing_known_of_a_place_is_finite() -> None:
    """A teacher without any of the classes there: all its probabilities are 0."""
    student = torch.full((1, 3, 2, 2), 1 / 3, requires_grad=True)
    loss = affinity_loss((student, student), (torch.zeros(1, 3, 2, 2),) * 2, (2, 2))
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_gradient_is_right() -> None:
    torch.manual_seed(0)
    teacher = torch.rand(1, 3, 2, 2, dtype=torch.float64).softmax(1)
    logits = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda z: affinity_loss((z.softmax(1), z.flip(-1).softmax(1)), (teacher,) * 2, (2, 2)),
        (logits,),
    )
