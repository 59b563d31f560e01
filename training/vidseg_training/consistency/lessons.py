# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a run learns from beside its labels: clips, and a teacher."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, Final, NamedTuple

from lightning.fabric import Fabric
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import ParameterError
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.class_mapping import ClassMapping
from vidseg_training.consistency.teacher_cache import (
    keep_probabilities,
    KeptProbabilities,
    whole_image,
)
from vidseg_training.consistency.teachers import MappedTeacher, open_teacher
from vidseg_training.data.augment import SoftLabels
from vidseg_training.data.clip_frames import ClipFrames
from vidseg_training.data.clip_triplets import (
    allowed_gaps,
    AugmentedTriplets,
    Triplets,
    TripletSampler,
)
from vidseg_training.data.sampling import LabelledImages, load_beside, RestOfRun

OF_IMAGES: Final = 'teacher_images.npy'
"""File of a run with what its teacher says of the labelled images."""
OF_CLIPS: Final = 'teacher_clips.npy'
"""File of a run with what its teacher says of the frames of clips."""

_OF_CLIPS_ALONE: Final = ('temporal', 'pair_frames', 'multi_frame')
_OF_IMAGES_ALONE: Final = ('teacher', 'equivariance')
"""Terms of the loss."""

_KEPT: Final = 2
"""What a teacher says is kept at this part of the images' height and width: logits are coarser."""


class Lessons(NamedTuple):
    """What a run learns from beside its labels."""

    clips: ClipFrames | None = None
    """Frames of video."""
    teacher: MappedTeacher | None = None
    """Who has something to say."""
    soft_images: SoftLabels | None = None
    """What it said of the labelled images; None: ask it."""
    soft_clips: SoftLabels | None = None
    """What it said of the frames."""


NO_LESSONS: Final = Lessons()
"""The labels alone."""


def open_lessons(config: TrainConfig, labelled: LabelledImages, folder: Path) -> Lessons:
    """Open clips and teacher; with a cache the teacher says all it has to say, if it has not yet.

    Args:
        config: The settings.
        labelled: The labelled images, all of one size.
        folder: Of the run; keeps what the teacher says.

    Raises:
        ParameterError: If a source is not named, or the teacher knows none of the classes.
        SourceError: If a clip or a teacher cannot be read, or the folder has what another teacher
            said.
        OutputError: If there is no room for frames of videos, or for what the teacher says.
    """
    settings = config.distillation
    config.consistency.check_sources()
    settings.check_sources(clips=bool(config.consistency.clips))
    if config.consistency.clips and not (config.consistency.temporal or settings.teacher):
        msg = 'consistency.clips teach nothing: give consistency.temporal, or a teacher'
        raise ParameterError(msg)
    if settings.multi_frame and config.consistency.batch < 2:
        msg = (
            'distillation.multi_frame keeps clips apart and needs two or more of them in a step, '
            'not consistency.batch 1'
        )
        raise ParameterError(msg)
    clips = ClipFrames(config.consistency.clips, labelled) if config.consistency.clips else None
    if not settings.teacher:
        return Lessons(clips)
    speaker = open_teacher(settings.teacher, settings.scale)
    names = labelled.label_set.names
    mapping = ClassMapping.between(speaker.names, names, _table(settings.classes))
    teacher = MappedTeacher(speaker, mapping)
    if not settings.cache:
        return Lessons(clips, teacher)
    make_folder(folder)
    soft_images = _ask(teacher, labelled, labelled.names, folder / OF_IMAGES)
    soft_clips = None
    if clips is not None:
        soft_clips = _ask(teacher, clips, [*clips.names, clips.fingerprint], folder / OF_CLIPS)
    return Lessons(clips, teacher, soft_images, soft_clips)


def _table(classes: Sequence[str]) -> dict[str, str] | None:
    if wrong := [pair for pair in classes if pair.count('=') != 1]:
        msg = f'distillation.classes are given as TEACHER=OURS, not {wrong[0]}'
        raise ParameterError(msg)
    return dict(pair.split('=') for pair in classes) if classes else None


def _ask(
    teacher: MappedTeacher, images: LabelledImages | ClipFrames, names: Sequence[str], path: Path
) -> KeptProbabilities:
    """Ask about all images; where a clip lacks a frame, nothing is said."""
    height, width = images.size if isinstance(images, ClipFrames) else images[0][1].shape
    size = (height // _KEPT, width // _KEPT)
    shape = (len(images), *size, teacher.mapping.classes)
    origin = {
        'teacher': teacher.teacher.checksum,
        'classes': list(teacher.mapping.rows),
        'names': list(names),
    }

    def said(first: int) -> Iterator[NDArray[np.uint8]]:
        for index in range(first, len(images)):
            if isinstance(images, ClipFrames) and not images.has(index):
                yield np.zeros(shape[1:], np.uint8)
            else:
                yield whole_image(teacher, images[index][0], size)

    what = 'frames of clips' if isinstance(images, ClipFrames) else 'images'
    return keep_probabilities(path, origin, shape, said, what)


class ClipBatches:
    """The clips that go with each batch of labelled images.

    Attributes:
        motion: See `AugmentedTriplets`.
    """

    def __init__(
        self, lessons: Lessons, config: TrainConfig, batches: int, fabric: Fabric
    ) -> None:
        """Prepare the loader.

        Args:
            lessons: Gives clips and what the teacher said of them.
            config: The settings.
            batches: Batches of an epoch.
            fabric: Knows processes and device.

        Raises:
            ParameterError: If no clip has three frames in a row, or the clips of a step cannot
                be shared among the processes.
        """
        self._sampler = self.motion = None
        self._batches, self._epochs = batches, config.epochs
        if lessons.clips is None:
            return
        self._frames = lessons.clips
        settings, part = config.consistency, (fabric.global_rank, fabric.world_size)
        gaps = allowed_gaps(
            lessons.clips, settings.max_gap, labelled_middle=settings.labelled_middle
        )
        self._sampler = TripletSampler(gaps, batches, config, part)
        triplets = AugmentedTriplets(lessons.clips, config, lessons.soft_clips)
        self.motion = triplets.motion
        self._draws = RestOfRun(self._sampler, config.epochs)
        loader = load_beside(triplets, self._sampler.share, self._draws, config.workers)
        self._loader: Any = fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    def rest(self, epoch: int, first_batch: int) -> Iterator[Triplets | None]:
        """Yield the clips of the run's batches from one on, or as often None."""
        if self._sampler is None:
            return repeat(None, (self._epochs - epoch) * self._batches - first_batch)
        self._draws.epoch, self._draws.first_batch = epoch, first_batch
        return iter(self._loader)

    def seen(
        self, terms: Sequence[str], epoch: int, batch: int, images: Sequence[str]
    ) -> dict[str, Sequence[str]]:
        """Say what terms of the loss look at, in all processes.

        Args:
            terms: Their names; none means the gradient, which comes of all of them.
            epoch: Of the step.
            batch: Of that epoch.
            images: Names of the labelled images in it.

        Returns:
            Names of ``images`` and of ``frames`` of clips, those that there are.
        """
        found = {}
        if not terms or not set(terms) <= set(_OF_CLIPS_ALONE):
            found['images'] = images
        if self._sampler is not None and (not terms or not set(terms) <= set(_OF_IMAGES_ALONE)):
            found['frames'] = [
                self._frames.describe((draw.frame - draw.gap, draw.frame, draw.frame + draw.gap))
                for draw in self._sampler.joint_batch(epoch, batch)
            ]
        return found
