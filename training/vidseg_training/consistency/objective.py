# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""All terms of consistency and distillation, from one forward pass over all images of a step.

Shapes: N labelled images, B clips of three frames, V altered views, C classes, H and W of images,
h and w of logits.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn, Tensor

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.consistency.affinity import affinity_loss, spoken_of
from vidseg_training.consistency.equivariance import move_camera, View
from vidseg_training.consistency.multi_frame import MultiFrameDependency
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.consistency.teacher_cache import resize_probabilities
from vidseg_training.consistency.teachers import MappedTeacher
from vidseg_training.consistency.temporal_loss import temporal_loss, USUAL_ERROR
from vidseg_training.data.clip_triplets import Triplets
from vidseg_training.distillation import soft_cross_entropy


class StepImages(NamedTuple):
    """Everything that the network looks at in one step."""

    images: Tensor
    """(N + 3 B + V, 3, H, W) uint8 RGB: labelled images, frames of clips, altered views."""
    labels: Tensor
    """(N + 3 B, H, W) int64 ids, 255 void; of the clips only if one of them has a label."""
    soft: Tensor
    """(N + 3 B, C, H, W) uint8 probabilities of the teacher, 255 = 1; C = 1: it is to be asked,
    255 where the picture is. Without a teacher C = 0, and only of the N labelled images."""
    clips: Triplets | None
    """The clips."""
    view: View | None
    """The labelled images from a little further on."""


class ConsistencyObjective(nn.Module):
    """The terms that a configuration asks for.

    Its parameters, those of the multi-frame term, learn with the network and never ship.
    """

    def __init__(
        self,
        consistency: ConsistencyConfig,
        distillation: DistillationConfig,
        teacher: MappedTeacher | None = None,
    ) -> None:
        """Choose terms.

        Args:
            consistency: Weights and options.
            distillation: Weights and options.
            teacher: Asked in every step that does not bring what it said before.
        """
        super().__init__()
        self._consistency, self._distillation, self._teacher = consistency, distillation, teacher
        self.dependency = MultiFrameDependency() if distillation.multi_frame else None
        weights = {
            'temporal': consistency.temporal,
            'equivariance': consistency.equivariance,
            'pixel': distillation.pixel,
            'pair': distillation.pair,
            'pair_frames': distillation.pair_frames,
            'multi_frame': distillation.multi_frame,
        }
        self.weights = {name: weight for name, weight in weights.items() if weight}

    def arrange(self, labelled: Sequence[Tensor], clips: Triplets | None) -> StepImages:
        """Put together what the network looks at.

        Args:
            labelled: Images (N, 3, H, W) uint8 RGB, labels (N, H, W) uint8, 255 void, and
                probabilities (N, C, H, W) uint8; C as in `StepImages`.
            clips: Frames of clips, or None.
        """
        images, labels, soft = labelled
        parts = [images]
        if clips is not None:
            parts.append(clips.frames.flatten(0, 1))
            if self._teacher is not None:
                of_clips = clips.soft.flatten(0, 1)
                if not of_clips.shape[1]:  # their crops lie within the picture
                    of_clips = soft.new_full((len(of_clips), *soft.shape[1:]), 255)
                soft = torch.cat((soft, of_clips))
            if (clips.labels != IGNORE_ID).any():
                labels = torch.cat((labels, clips.labels.flatten(0, 1)))
        view = move_camera(images) if 'equivariance' in self.weights else None
        if view is not None:
            parts.append(view.altered)
        return StepImages(torch.cat(parts), labels.long(), soft, clips, view)

    def weighted_terms(
        self, step: StepImages, logits: Tensor, progress: float = 1.0
    ) -> dict[str, Tensor]:
        """Compute the terms, times their weights.

        Args:
            step: What the network looked at.
            logits: (N + 3 B + V, C, h, w) float.
            progress: Share of the run that is done, 0 to 1.

        Returns:
            A scalar for each term that has a weight; none for what only clips can tell, without.
        """
        ramp = self._consistency.ramp
        risen = min(1.0, progress / ramp) if ramp else 1.0
        factors = {'temporal': risen, 'equivariance': risen}
        return {
            name: factors.get(name, 1.0) * self.weights[name] * value
            for name, value in self._terms(step, logits).items()
        }

    def _terms(self, step: StepImages, logits: Tensor) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        views = 0 if step.view is None else len(step.view.altered)
        real = logits[: len(logits) - views]
        if step.view is not None:
            terms['equivariance'] = temporal_loss(
                logits[:views],
                logits[len(real) :],
                step.view.pair,
                self._consistency.gradient,
                USUAL_ERROR,
            )
        if step.clips is not None and 'temporal' in self.weights:
            terms['temporal'] = self._along_clips(step.clips, real)
        if self._teacher is not None:
            terms |= self._from_teacher(step, real, self._teacher)
        return terms

    def _along_clips(self, clips: Triplets, logits: Tensor) -> Tensor:
        before, now, after = _clip_frames(clips, logits)
        settings = self._consistency
        losses = [
            temporal_loss(now, other, clips.pair(which), settings.gradient, settings.picture_error)
            for which, other in enumerate((before, after))
        ]
        return torch.stack(losses).mean()

    def _from_teacher(
        self, step: StepImages, logits: Tensor, teacher: MappedTeacher
    ) -> dict[str, Tensor]:
        """Compare (N + 3 B, C, h, w) logits with what the teacher says."""
        settings, terms = self._distillation, dict[str, Tensor]()
        known, size = teacher.mapping.known(), (logits.shape[-2], logits.shape[-1])
        kept = resize_probabilities(step.soft.to(logits.dtype) / 255, size)
        if kept.shape[1] > 1:
            said = kept
        else:
            said = resize_probabilities(teacher.probabilities(step.images[: len(logits)]), size)
            said = said * kept
        ours, said = spoken_of(logits, said, known)
        if settings.pixel:
            terms['pixel'] = soft_cross_entropy(logits[:, known], said)
        if settings.pair:
            terms['pair'] = affinity_loss((ours, ours), (said, said), settings.grid)
        if step.clips is None:
            return terms
        student, theirs = (_clip_frames(step.clips, both) for both in (ours, said))
        if settings.pair_frames:
            losses = [
                affinity_loss((student[1], student[i]), (theirs[1], theirs[i]), settings.grid)
                for i in (0, 2)
            ]
            terms['pair_frames'] = torch.stack(losses).mean()
        if self.dependency is not None:
            terms['multi_frame'] = self.dependency(student, theirs)
        return terms


def _clip_frames(clips: Triplets, maps: Tensor) -> tuple[Tensor, ...]:
    """Return what of (N + 3 B, C, h, w) maps belongs to frames t-k, t, t+k: (B, C, h, w) each."""
    count = len(clips.frames)
    return maps[-3 * count :].reshape(count, 3, *maps.shape[1:]).unbind(1)
