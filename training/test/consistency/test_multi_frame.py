# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import exp, sqrt, tanh

import pytest
import torch
import torch.nn.functional as F

from vidseg_training.consistency import multi_frame
from vidseg_training.consistency.multi_frame import (
    ConvLSTMCell,
    lacking_spread,
    MultiFrameDependency,
    SPREAD,
)


def _sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def _clip(seed: int, classes: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [(4 * torch.randn(4, classes, 12, 12, generator=generator)).softmax(1) for _ in '123']


def test_two_steps_of_the_cell_by_hand() -> None:
    """One pixel: only the centres of the 3x3 kernels see anything."""
    cell = ConvLSTMCell(1, 1)
    with torch.no_grad():
        cell.gates.weight.zero_()
        cell.gates.weight[:, 0, 1, 1] = torch.tensor([0.5, -1.0, 2.0, 1.0])  # of the input
        cell.gates.weight[:, 1, 1, 1] = torch.tensor([0.1, 0.2, 0.3, 0.4])  # of the hidden state
        assert cell.gates.bias is not None
        cell.gates.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    state = cell.start(torch.zeros(1, 1, 1, 1))
    h = c = 0.0
    for x in (0.7, -0.4):
        state = cell(torch.full((1, 1, 1, 1), x), state)
        gates = [0.5 * x + 0.1 * h, -x + 0.2 * h + 1, 2 * x + 0.3 * h, x + 0.4 * h]
        c = _sigmoid(gates[1]) * c + _sigmoid(gates[0]) * tanh(gates[3])
        h = _sigmoid(gates[2]) * tanh(c)
    assert [part.item() for part in state] == pytest.approx([h, c], rel=1e-5)


def test_the_spread_by_hand() -> None:
    """Of two clips channel 0 is constant, channel 1 is +-0.1, channel 2 has more than enough.

    That the places of a clip differ does not count.
    """
    places = torch.tensor([0.0, 7.0])
    channels = torch.tensor([[0.5, 0.1, 3.0], [0.5, -0.1, -3.0]])
    embedding = (channels[..., None] + places).view(2, 3, 1, 2)
    expected = ((SPREAD - 1e-4) + (SPREAD - sqrt(0.01 + 1e-8)) + 0) / 3
    assert lacking_spread(embedding).item() == pytest.approx(expected)


def test_equal_clips_have_equal_embeddings_and_the_order_of_frames_counts() -> None:
    torch.manual_seed(0)
    dependency, clip = MultiFrameDependency(), _clip(0)
    embedding = dependency.embed(clip)
    assert embedding.shape == (4, 8, 36, 36)
    lacks = lacking_spread(embedding)
    torch.testing.assert_close(dependency(clip, clip), lacks)
    assert not torch.allclose(dependency.embed(clip[::-1]), embedding, atol=1e-3)


def test_the_student_learns_and_the_teacher_does_not() -> None:
    dependency = MultiFrameDependency()
    student = [frame.requires_grad_() for frame in _clip(0)]
    teacher = [frame.requires_grad_() for frame in _clip(1, classes=5)]
    dependency(student, teacher).backward()
    for ours, theirs in zip(student, teacher, strict=True):
        assert ours.grad is not None
        assert ours.grad.abs().max() > 0
        assert theirs.grad is None
    assert all(parameter.grad is not None for parameter in dependency.parameters())


def _trained_spread(*, guarded: bool) -> float:
    """Train the LSTM alone, which can only cheat; return by how much clips differ then.

    That is the least standard deviation over clips, at the places of which each has its own mean.
    """
    torch.manual_seed(0)
    dependency = MultiFrameDependency()
    optimizer = torch.optim.Adam(dependency.parameters(), lr=0.02)
    student, teacher = _clip(0), _clip(1)
    for _ in range(60):
        loss = dependency(student, teacher)
        if not guarded:
            loss = F.mse_loss(dependency.embed(student), dependency.embed(teacher))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    embedding = dependency.embed(teacher)
    clips = embedding - embedding.mean(0)
    return clips.transpose(0, 1).flatten(1).std(1, unbiased=False).min().item()


def test_without_its_guard_the_embedding_collapses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_frame, 'GRID', (3, 3))
    assert _trained_spread(guarded=False) < 0.05
    assert _trained_spread(guarded=True) > 0.8 * SPREAD
