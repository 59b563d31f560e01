# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does a step with a teacher cost beside what has to be computed in any case?

Usage::

    python bench/distillation_step.py

The same images, labelled ones and triplets of clips, go through a student that learns from labels
alone, through the teacher, and through a step with every term: temporal loss, pixel-wise,
pair-wise, PF and MF, the teacher asked anew, and the motion between the frames of the triplets
estimated, which a run without ``--workers`` does within the step. Pictures are noise, which
changes no time. Proved first: without weights the step has the loss of the plain one.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from report import finish, surroundings, Target
from taking_turns import measure
import torch
from torch import Tensor

from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_ros.core.motion import occlusion
from vidseg_training.consistency.class_mapping import ClassMapping
from vidseg_training.consistency.objective import ConsistencyObjective
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.consistency.teachers import MappedTeacher, NetworkTeacher
from vidseg_training.data.clip_triplets import Triplets
from vidseg_training.losses import segmentation_loss
from vidseg_training.networks import NETWORKS, normalise
from vidseg_training.propagation.motion import farneback_flow

LIMIT: Final = 1.6
"""Largest time of a step with a teacher, over student step + teacher forward."""

CONSISTENCY: Final = ConsistencyConfig(temporal=1.0, clips=(Path('clip'),), licence='none')
DISTILLATION: Final = DistillationConfig(
    teacher=('random weights',), pixel=1.0, pair=1.0, pair_frames=1.0, multi_frame=1.0
)


def draw_batch(images: int, clips: int, size: tuple[int, int]) -> tuple[list[Tensor], Triplets]:
    """Return labelled images with labels, and triplets, of noise."""
    height, width = size
    labelled = [
        torch.randint(0, 256, (images, 3, height, width)).to(torch.uint8),
        torch.randint(0, len(CAMVID), (images, height, width)),
        torch.full((images, 1, height, width), 255, dtype=torch.uint8),  # all is picture
    ]
    triplets = Triplets(
        torch.randint(0, 256, (clips, 3, 3, height, width)).to(torch.uint8),
        torch.full((clips, 3, height, width), 255),
        torch.full((clips, 3, 1, height, width), 255, dtype=torch.uint8),
        4 * torch.randn(clips, 2, 2, height, width),
        torch.rand(clips, 2, height, width) < 0.9,
    )
    return labelled, triplets


class Student:
    """A network that learns."""

    def __init__(self, name: str, objective: ConsistencyObjective) -> None:
        """Build the network."""
        torch.manual_seed(0)
        self._network = NETWORKS[name](len(CAMVID)).train()
        self._objective = objective
        parameters = [*self._network.parameters(), *objective.parameters()]
        self._optimizer = torch.optim.AdamW(parameters)

    def step(self, labelled: list[Tensor], clips: Triplets) -> float:
        """Learn from a batch; return the loss."""
        step = self._objective.arrange(labelled, clips)
        outputs = self._network(normalise(step.images))
        logits = outputs[0] if isinstance(outputs, tuple) else outputs
        loss = segmentation_loss(logits[: len(step.labels)], step.labels, None)
        loss = loss + sum(self._objective.weighted_terms(step, logits).values())
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.item()


def plain_loss(name: str, labelled: list[Tensor], clips: Triplets) -> float:
    """Return the loss of the labels alone, computed without any of the objective."""
    torch.manual_seed(0)
    network = NETWORKS[name](len(CAMVID)).train()
    images, labels, _ = labelled
    outputs = network(normalise(torch.cat((images, clips.frames.flatten(0, 1)))))
    logits = outputs[0] if isinstance(outputs, tuple) else outputs
    return segmentation_loss(logits[: len(labels)], labels, None).item()


def estimate_motion(clips: Triplets) -> None:
    """Do what loading does for the pairs of triplets: Farneback's flow there and back."""
    for frames in clips.frames.permute(0, 1, 3, 4, 2).numpy():  # 3 H W 3
        for neighbour in frames[::2]:
            occlusion(farneback_flow(frames[1], neighbour), farneback_flow(neighbour, frames[1]))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--network', choices=NETWORKS, default='compact')
    parser.add_argument('--teacher', choices=NETWORKS, default='fddwnet')
    parser.add_argument('--size', type=int, nargs=2, default=[160, 224], metavar='PIXELS')
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--clips', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args(argv)
    result: dict[str, Any] = {**surroundings('torch'), 'settings': {**vars(args), 'out': None}}
    labelled, clips = draw_batch(args.images, args.clips, tuple(args.size))
    network = NETWORKS[args.teacher](len(CITYSCAPES))
    mapping = ClassMapping.between(CITYSCAPES.names, CAMVID.names)
    teacher = MappedTeacher(NetworkTeacher([network], CITYSCAPES.names, 'random'), mapping)
    nothing = ConsistencyObjective(ConsistencyConfig(), DistillationConfig())
    first = Student(args.network, nothing).step(labelled, clips)
    expected = plain_loss(args.network, labelled, clips)
    assert abs(first - expected) < 1e-5 * expected, (first, expected)
    plain = Student(args.network, nothing)
    taught = Student(args.network, ConsistencyObjective(CONSISTENCY, DISTILLATION, teacher))
    every = torch.cat((labelled[0], clips.frames.flatten(0, 1)))
    times = measure(
        {
            'student step': lambda: plain.step(labelled, clips),
            'teacher forward': lambda: teacher.probabilities(every),
            'step with every term': lambda: taught.step(labelled, clips),
            'motion': lambda: estimate_motion(clips),
        },
        args.rounds,
    )
    whole = times['step with every term'] + times['motion']
    ratio = whole / (times['student step'] + times['teacher forward'])
    what = '(step with every term + motion) / (student step + teacher forward)'
    target = Target(what=what, value=ratio, limit=LIMIT, higher_is_better=False)
    return finish({**result, 'seconds': times}, [target], name='distillation_step', out=args.out)


if __name__ == '__main__':
    raise SystemExit(main())
