# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Multi-frame dependency, MF: a whole clip as one embedding (Liu et al., ECCV 2020, section 3.2).

How alike the places of a frame are is a map; a convolutional LSTM reads the maps of a clip in
order, the same one for student and teacher, and its state is the embedding to be matched. The LSTM
learns as well, and could make everything equal by saying nothing. The official code clips its
weights and may push the teacher's embedding towards 1, which is one more way to say nothing; here
the teacher's embeddings of different clips must keep apart (the variance term of VICReg: Bardes,
Ponce and LeCun, ICLR 2022). A spread over places would not do: the diagonal of a map, which is
always 1, and its border have one whatever the clip shows.

Shapes: B clips, T frames, C classes, h and w of predictions, N places of the grid, D channels.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_training.consistency.affinity import affinity, describe_places
from vidseg_training.processes import joint_sum, process_count

GRID: Final = (6, 6)
"""Places of a frame, rows and columns, as in the official code."""

SPREAD: Final = 0.2
"""Least standard deviation over clips of each channel of the teacher's embedding."""


class ConvLSTMCell(nn.Module):
    """One step of a convolutional LSTM without peepholes (Shi et al., NeurIPS 2015)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        """Build the cell; its convolutions are 3x3."""
        super().__init__()
        self._channels = channels
        self.gates = nn.Conv2d(in_channels + channels, 4 * channels, 3, padding=1)

    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the empty state (hidden, cell), (B, D, H, W) each, for inputs like ``x``."""
        empty = x.new_zeros(len(x), self._channels, *x.shape[-2:])
        return empty, empty

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Take the next input (B, C, H, W); return the new (hidden, cell), (B, D, H, W) each."""
        hidden, cell = state
        gates = self.gates(torch.cat((x, hidden), 1)).chunk(4, 1)
        take, keep, show = (gate.sigmoid() for gate in gates[:3])
        cell = keep * cell + take * gates[3].tanh()
        return show * cell.tanh(), cell


class MultiFrameDependency(nn.Module):
    """The embedding of a clip, and how far student and teacher are apart in it."""

    def __init__(self, channels: int = 4) -> None:
        """Build the LSTM with ``channels`` D."""
        super().__init__()
        self.lstm = ConvLSTMCell(1, channels)

    def embed(self, frames: Sequence[Tensor]) -> Tensor:
        """Read a clip.

        Args:
            frames: T times (B, C, h, w) float probabilities, in order of time.

        Returns:
            (B, 2 D, N, N) float: hidden and cell state after the last frame.
        """
        state = None
        for frame in frames:
            places = describe_places(frame, GRID)
            alike = affinity(places, places)[:, None]  # B 1 N N
            state = self.lstm(alike, self.lstm.start(alike) if state is None else state)
        assert state is not None
        return torch.cat(state, 1)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Compare the embeddings of a clip.

        Args:
            student: T times (B, C, h, w) float probabilities, in order of time.
            teacher: T times (B, C', h', w') float probabilities of the same frames.

        Returns:
            Scalar: mean squared difference of the embeddings, plus what the spread of the
            teacher's over the clips of all processes lacks of `SPREAD`, mean over its channels.
        """
        theirs = self.embed([frame.detach() for frame in teacher])
        return F.mse_loss(self.embed(student), theirs) + lacking_spread(theirs)


def lacking_spread(embedding: Tensor) -> Tensor:
    """Return what the standard deviations of channels over clips lack of `SPREAD`, on average.

    Args:
        embedding: (B, D, H, W) float, of this process's clips; at least two in all processes.

    Returns:
        Scalar from 0 to `SPREAD`, the same in every process.
    """
    clips = len(embedding) * process_count()
    centred = embedding - joint_sum(embedding.sum(0)) / clips  # B D H W, each place by itself
    places = embedding[0, 0].numel()
    variance = joint_sum(centred.square().sum((0, 2, 3))) / (clips * places)  # D
    return F.relu(SPREAD - (variance + 1e-8).sqrt()).mean()
