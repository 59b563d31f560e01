# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does a training step cost whose cross-entropy looks at a lattice of the labels?

Usage::

    python bench/loss_stride.py

The same batch goes through the same network with ``--loss-stride`` 1, 2 and 4, all else equal.
Images and labels are noise, which changes no time. Proved first: over all lattices of a stride the
loss and its gradient are those of every label.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

from report import finish, surroundings, Target
from taking_turns import measure
import torch
from torch import Tensor

from vidseg_ros.core.labels import CAMVID
from vidseg_training.losses import Lattice, segmentation_loss
from vidseg_training.networks import NETWORKS, normalise

STRIDES: Final = (1, 2, 4)
LIMIT: Final = 0.75
"""Largest time of a step at stride 4, over one at every label."""


def prove(logits: Tensor, labels: Tensor, stride: int) -> None:
    """Check that the mean over all lattices of a stride is the loss of every label.

    Args:
        logits: (B, C, h, w) float.
        labels: (B, H, W) int64 ids without void, H and W multiples of the stride.
        stride: Of the lattices.
    """
    logits = logits.detach().requires_grad_()
    expected = segmentation_loss(logits, labels, None)
    lattices = [Lattice(stride, *first) for first in product(range(stride), repeat=2)]
    losses = [segmentation_loss(logits, labels, None, lattice=lattice) for lattice in lattices]
    mean = torch.stack(losses).mean()
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, logits)[0] for loss in (mean, expected))
    )


class Student:
    """A network that learns."""

    def __init__(self, name: str, stride: int, *, half: bool) -> None:
        """Build the network; ``half``: bfloat16 where it is safe."""
        torch.manual_seed(0)
        network = NETWORKS[name](len(CAMVID)).train()
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch types only the 4-d tensor call
        self._optimizer = torch.optim.AdamW(network.parameters())
        self._stride, self._half, self._steps = stride, half, 0

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return logits, then those of an auxiliary head, of (B, 3, H, W) uint8 images."""
        with torch.autocast('cpu', torch.bfloat16, enabled=self._half):
            outputs = self._network(normalise(images))
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Learn from a batch."""
        self._steps += 1
        lattice = Lattice.draw(self._stride, (0, self._steps))
        losses = [
            segmentation_loss(logits, labels, None, lattice=lattice)
            for logits in self.outputs(images)
        ]
        self._optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        self._optimizer.step()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--network', choices=NETWORKS, default='dual_resolution_small')
    parser.add_argument('--size', type=int, nargs=2, default=[360, 360], metavar='PIXELS')
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--precision', choices=('32-true', 'bf16-mixed'), default='bf16-mixed')
    parser.add_argument('--out', type=Path)
    args = parser.parse_args(argv)
    result: dict[str, Any] = {**surroundings('torch'), 'settings': {**vars(args), 'out': None}}
    images = torch.randint(0, 256, (args.images, 3, *args.size)).to(torch.uint8)
    labels = torch.randint(0, len(CAMVID), (args.images, *args.size))
    half = args.precision == 'bf16-mixed'
    students = {stride: Student(args.network, stride, half=half) for stride in STRIDES}
    for stride, student in students.items():
        for logits in student.outputs(images):
            prove(logits.float(), labels, stride)
    seconds = measure(
        {
            str(stride): lambda student=student: student.step(images, labels)  # type: ignore[misc]  # the student of this turn
            for stride, student in students.items()
        },
        args.rounds,
    )
    what = '(step at stride 4) / (step at every label)'
    ratio = seconds['4'] / seconds['1']
    target = Target(what=what, value=ratio, limit=LIMIT, higher_is_better=False)
    result['seconds_by_stride'] = seconds
    return finish(result, [target], name='loss_stride', out=args.out)


if __name__ == '__main__':
    raise SystemExit(main())
