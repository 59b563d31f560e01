# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From a configuration to a trained network: data, starting weights, loop."""

from pathlib import Path

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.lessons import Lessons, open_lessons
from vidseg_training.data import open_dataset
from vidseg_training.data.footage import WithFootage
from vidseg_training.data.propagated import is_dis, motions_of, WithPropagated
from vidseg_training.data.sampling import LabelledImages, TrainingSet
from vidseg_training.distillation import soft_labels
from vidseg_training.loop import fit
from vidseg_training.networks import check_size, POOLING
from vidseg_training.processes import open_fabric
from vidseg_training.run_lock import alone_in
from vidseg_training.starting_weights import initial_network


def run(config: TrainConfig, folder: Path) -> Path:
    """Train a configuration in a folder, or continue there; return the weights' path.

    Raises:
        ParameterError: If a size does not fit the network, the folder holds another run, or
            another process trains there.
        SourceError: If data or starting weights cannot be read.
    """
    for field in ('input_size', 'crop_size'):
        check_size(config.network, field, getattr(config, field))
    if config.batch_size == 1 and config.network in POOLING:
        msg = f'batch_size must be 2 or more for {config.network}: it normalises pooled images'
        raise ParameterError(msg)
    labelled = open_dataset(config, 'train')
    validation = open_dataset(config, 'val')
    network = initial_network(config, labelled.label_set)
    if config.teacher is not None and labelled.label_set != CAMVID:
        msg = 'teacher: it knows the classes of CamVid only'
        raise ParameterError(msg)
    fabric = open_fabric(config)
    with alone_in(folder):
        with fabric.rank_zero_first():  # one process asks the teacher, for all
            train, lessons = _open_sources(config, labelled, folder)
        return fit(config, network, train, validation, folder, lessons=lessons)


def _open_sources(
    config: TrainConfig, labelled: LabelledImages, folder: Path
) -> tuple[TrainingSet, Lessons]:
    """Open what goes with the labelled images: samples, video, clips, what a teacher says."""
    kept = config.distillation.teacher and config.distillation.cache
    if config.propagation != 'off' and (config.teacher is not None or kept):
        msg = 'propagation and teacher: a run has one of them, unless with distillation.no-cache'
        raise ParameterError(msg)
    if config.propagation != 'off' and config.consistency.temporal:
        _check_motion(config)
    lessons = open_lessons(config, labelled, folder)
    if config.propagation != 'off':
        assert config.propagated is not None
        mixed = WithPropagated(
            labelled,
            config.propagated,
            config.propagation,
            config.offset,
            accumulate=config.accumulate,
        )
        return TrainingSet(mixed, real=mixed.real), lessons
    if config.teacher is None:
        return TrainingSet(labelled, lessons.soft_images), lessons
    images = WithFootage(labelled, config.unlabelled, config.unlabelled_step)
    make_folder(folder)
    soft = soft_labels(config.teacher, config.teacher_height, images, folder)
    return TrainingSet(images, soft), lessons


def _check_motion(config: TrainConfig) -> None:
    """Refuse samples carried along DIS in a run whose steadiness DIS will judge.

    Raises:
        ParameterError: If there are some.
    """
    assert config.propagated is not None
    if carried := [motion for motion in motions_of(config.propagated) if is_dis(motion)]:
        msg = (
            f'the samples in {config.propagated} were carried along {", ".join(carried)}: '
            'temporal consistency is measured with DIS, and may not judge a run with '
            'consistency.temporal that learned from it; propagate with --motion farneback or a '
            'motion network that does not start from DIS'
        )
        raise ParameterError(msg)
