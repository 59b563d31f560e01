# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frames t-k, t, t+k of clips, augmented alike, with the motion between them.

As in `vidseg_training.data.sampling`, everything random depends on seed, epoch and position only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise, starmap
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.motion import dis_flow, occlusion
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.temporal_loss import FramePair
from vidseg_training.data.augment import augment, Sample, SoftLabels
from vidseg_training.data.clip_frames import ClipFrames
from vidseg_training.propagation.learned import LearnedMotion
from vidseg_training.propagation.motion import (
    ClipFrame,
    EXACT,
    FLOW_METHODS,
    MotionSource,
    open_motion,
)
from vidseg_training.propagation.scene_cuts import find_break, thumbnail

_logger = logging.getLogger(__name__)

_CHOICE, _AUGMENTATION = 1, 2
"""Keep the random numbers of clips apart from those of labelled images, and from each other: in
one stream, the gap would go with the scale."""


class Triplets(NamedTuple):
    """Frames t-k, t, t+k of B clips; of one clip when it has no first dimension."""

    frames: Tensor
    """(B, 3, 3, H, W) uint8 RGB; the second dimension is time."""
    labels: Tensor
    """(B, 3, H, W) uint8 ids, 255 void: all of it where a frame has no label map."""
    soft: Tensor
    """(B, 3, C, H, W) uint8 probabilities of a teacher, 255 = 1; C = 0 without them."""
    motion: Tensor
    """(B, 2, 2, H, W) float32 px: from frame t to t-k, and from t to t+k; 0 where no loss follows
    it."""
    visible: Tensor
    """(B, 2, H, W) bool: pixels of frame t that are to be seen there; none across a cut, and all
    of them within a scene where no loss follows the motion."""

    def pair(self, which: int) -> FramePair:
        """Return frame t with its neighbour t-k (0) or t+k (1)."""
        neighbour = self.frames[:, 2 * which]
        return FramePair(
            self.frames[:, 1], neighbour, self.motion[:, which], self.visible[:, which]
        )

    def hidden_pairs(self) -> int:
        """Return how many of the 2 B pairs have nothing in common, as across a cut."""
        return int((~self.visible.flatten(2).any(-1)).sum())


class TripletDraw(NamedTuple):
    """One triplet of an epoch."""

    epoch: int
    """Epoch from 0."""
    position: int
    """Position in the epoch."""
    frame: int
    """Index of frame t among all frames of the clips."""
    gap: int
    """k, in frames."""


class TripletSampler:
    """The triplets of each epoch."""

    def __init__(
        self,
        gaps: Sequence[tuple[int, Sequence[int]]],
        batches: int,
        config: TrainConfig,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Draw from what there is.

        Args:
            gaps: Every frame that may be t, with the gaps that there are around it.
            batches: Batches of an epoch.
            config: Gives seed and number of clips.
            part: Number of this process, and of all processes.

        Raises:
            ParameterError: If the clips of a step cannot be shared among the processes.
        """
        self._process, processes = part
        if config.consistency.batch % processes:
            msg = (
                f'consistency.batch {config.consistency.batch} is the joint one: it must be a '
                f'multiple of the {processes} processes'
            )
            raise ParameterError(msg)
        self._gaps, self._batches, self._config = gaps, batches, config
        self.share = config.consistency.batch // processes

    def __len__(self) -> int:
        """Return the number of triplets of a whole epoch in this process."""
        return self._batches * self.share

    def samples(self, epoch: int, first_batch: int = 0) -> Iterator[TripletDraw]:
        """Yield the triplets of this process of an epoch, from a batch on."""
        for batch in range(first_batch, self._batches):
            draws = self.joint_batch(epoch, batch)
            yield from draws[self._process * self.share : (self._process + 1) * self.share]

    def joint_batch(self, epoch: int, number: int) -> list[TripletDraw]:
        """Return the triplets of one batch of an epoch, those of all processes."""
        config = self._config
        rng = np.random.default_rng((config.seed, epoch, number, _CHOICE))
        draws = []
        for clip in range(config.consistency.batch):
            frame, gaps = self._gaps[int(rng.integers(len(self._gaps)))]
            position = number * config.consistency.batch + clip
            draws.append(TripletDraw(epoch, position, frame, int(rng.choice(gaps))))
        return draws


class AugmentedTriplets(Dataset[Triplets]):
    """Triplets under the augmentation of a training configuration.

    All three frames are resized, cropped, mirrored, coloured and blurred alike. A crop lies within
    the picture, so nothing is turned, and nothing is darkened, whose noise would not move with the
    scene.

    Attributes:
        motion: Name of the source of motion; None where no loss follows it.
    """

    def __init__(
        self, frames: ClipFrames, config: TrainConfig, soft: SoftLabels | None = None
    ) -> None:
        """Wrap frames.

        Args:
            frames: Of all clips.
            config: Gives seed, augmentation and source of motion.
            soft: Probabilities of a teacher for each of them.

        Raises:
            ParameterError: If there is no such source of motion, or it may not train.
        """
        source = open_training_motion(config.consistency.motion)  # complains now, not in a worker
        self.motion = source.name if config.consistency.temporal else None
        self._frames, self._soft = frames, soft
        height, width = frames.size
        low, high = config.scale_range
        filled = max(config.crop_size[0] / height, config.crop_size[1] / width)
        scales = (max(low, filled), max(high, filled))
        self._config = replace(config, scale_range=scales, night=0.0, rotation=0.0)

    @cached_property
    def _motion(self) -> MotionSource:
        return open_training_motion(self._config.consistency.motion)

    def __getitem__(self, draw: TripletDraw) -> Triplets:
        """Return one triplet.

        Raises:
            SourceError: If a frame cannot be read.
        """
        drawn = (draw.frame - draw.gap, draw.frame, draw.frame + draw.gap)
        read = [self._frames[frame] for frame in drawn]
        samples = []
        for frame, (image, labels) in zip(drawn, read, strict=True):
            soft = None if self._soft is None else self._soft[frame]
            seed = (self._config.seed, draw.epoch, draw.position, _AUGMENTATION)
            alike = np.random.default_rng(seed)
            samples.append(augment(Sample(image, labels, soft), self._config, alike))
        images = [sample.image for sample in samples]
        flows, visible = zip(*(self._pair(images[1], other) for other in images[::2]), strict=True)
        small = [thumbnail(image) for image, _ in read]
        cut = [self._cut(drawn[i : i + 2], small[i : i + 2]) for i in (0, 1)]
        seen = np.stack(visible) & ~np.reshape(cut, (2, 1, 1))
        empty = np.zeros((*images[0].shape[:2], 0), np.uint8)
        soft_maps = [empty if sample.soft is None else sample.soft for sample in samples]
        return Triplets(
            torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),  # 3 3 H W
            torch.from_numpy(np.stack([sample.labels for sample in samples])),
            torch.from_numpy(np.stack(soft_maps)).permute(0, 3, 1, 2),  # 3 C H W
            torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2),  # 2 2 H W
            torch.from_numpy(seen),
        )

    def _pair(
        self, current: NDArray[np.uint8], neighbour: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the flow to a neighbour and what is to be seen there, within one scene."""
        if not self._config.consistency.temporal:  # flow is the most expensive part of a triplet
            size = current.shape[:2]
            return np.zeros((*size, 2), np.float32), np.ones(size, np.bool_)
        here, there = ClipFrame(0, current), ClipFrame(1, neighbour)
        flow = self._motion.backward_flow(here, there, ())
        back = self._motion.backward_flow(there, here, ())
        return flow, ~occlusion(flow, back)

    def _cut(self, frames: Sequence[int], ends: Sequence[NDArray[np.uint8]]) -> bool:
        """Whether the scene changes between two frames, by their `thumbnail` as they were read.

        An augmented one has a contrast of its own. And at a gap fast driving may differ as much as
        a cut does: so two of those between must differ as well, where there are some.
        """
        if not _unlike(*ends):
            return False
        between = [
            thumbnail(self._frames[frame][0])
            for frame in range(frames[0] + 1, frames[1])
            if self._frames.has(frame)
        ]
        return not between or any(starmap(_unlike, pairwise([ends[0], *between, ends[1]])))


def _unlike(earlier: NDArray[np.uint8], later: NDArray[np.uint8]) -> bool:
    """Whether two thumbnails are of different scenes; those of two black frames are not."""
    blank = [find_break(picture, picture) == 'black' for picture in (earlier, later)]
    return blank[0] != blank[1] or find_break(earlier, later) == 'scene cut'


def open_training_motion(choice: str) -> MotionSource:
    """Open a source of motion that steady masks may be learned from.

    Raises:
        ParameterError: If there is none, or it starts from DIS, with which steadiness is measured,
            or needs more than two frames.
        SourceError: If a motion network cannot be read.
    """
    named = [name for name, flow in FLOW_METHODS.items() if flow is not dis_flow]
    if choice not in named and (choice in (*FLOW_METHODS, EXACT) or not Path(choice).exists()):
        msg = (
            f'consistency.motion {choice!r} is no motion to train with: give '
            f'{" or ".join(named)}, or the checkpoint of a motion network'
        )
        raise ParameterError(msg)
    source = open_motion(choice)
    if isinstance(source, LearnedMotion) and source.flow is dis_flow:
        msg = (
            f'{choice} starts from DIS, with which temporal consistency is measured: train a '
            'motion network with --flow none or farneback for this'
        )
        raise ParameterError(msg)
    if isinstance(source, LearnedMotion) and source.network.mode == 'prediction':
        msg = (
            f'{choice} predicts a frame from those before it, which a pair of frames lacks: train '
            'a motion network with --mode reconstruction for this'
        )
        raise ParameterError(msg)
    return source


def allowed_gaps(
    frames: ClipFrames, max_gap: int, *, labelled_middle: bool
) -> list[tuple[int, list[int]]]:
    """Return every frame that may be t, with the gaps at which both neighbours are there.

    Args:
        frames: Of all clips.
        max_gap: Largest gap, frames.
        labelled_middle: Whether t must have a label map.

    Raises:
        ParameterError: If there is none.
    """
    found = []
    for frame, (first, last) in enumerate(frames.bounds):
        if not frames.has(frame) or (labelled_middle and not frames.labelled(frame)):
            continue
        gaps = [
            gap
            for gap in range(1, min(max_gap, frame - first, last - frame) + 1)
            if frames.has(frame - gap) and frames.has(frame + gap)
        ]
        if gaps:
            found.append((frame, gaps))
    if not found:
        which = 'a labelled frame with both neighbours' if labelled_middle else 'three frames'
        msg = f'consistency.clips: no clip has {which} in a row'
        raise ParameterError(msg)
    _logger.info('clips: %d of %d frames have neighbours', len(found), len(frames.bounds))
    return found
