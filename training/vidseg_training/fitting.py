# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From a configuration to a trained network: data, starting weights, loop."""

from pathlib import Path
from typing import Final

import torch
from torch import nn

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES, LabelSet
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.lessons import open_lessons
from vidseg_training.data import open_dataset
from vidseg_training.data.footage import WithFootage
from vidseg_training.data.sampling import TrainingSet
from vidseg_training.distillation import soft_labels
from vidseg_training.loop import fit
from vidseg_training.networks import NETWORKS, STRIDES
from vidseg_training.networks.fddwnet import load_fddwnet

CAMVID_FROM_CITYSCAPES: Final = {
    'sky': 'sky',
    'building': 'building',
    'pole': 'pole',
    'road': 'road',
    'pavement': 'sidewalk',
    'tree': 'vegetation',
    'sign': 'traffic sign',
    'fence': 'fence',
    'car': 'car',
    'pedestrian': 'person',
    'bicyclist': 'rider',
}
"""For class names that Cityscapes does not have: its class whose classifier weights start it."""


def initial_network(config: TrainConfig, labels: LabelSet) -> nn.Module:
    """Build the network with its starting weights.

    With published weights, the classifier of a class starts from the Cityscapes class that
    `CAMVID_FROM_CITYSCAPES` names, or that has its name; otherwise from random weights.

    Args:
        config: Gives network, seed and the file of starting weights.
        labels: The classes.

    Raises:
        ParameterError: If there are no published weights for this network.
        SourceError: If the weights cannot be read or do not fit the network.
    """
    torch.manual_seed(config.seed)
    if config.init is None:
        return NETWORKS[config.network](len(labels))
    if config.network != 'fddwnet':
        msg = f'init: there are published weights for fddwnet only, not for {config.network}'
        raise ParameterError(msg)
    rows = [
        CITYSCAPES.names.index(known) if known in CITYSCAPES.names else None
        for known in (CAMVID_FROM_CITYSCAPES.get(name, name) for name in labels.names)
    ]
    try:
        published = torch.load(config.init, map_location='cpu', weights_only=True)
        return load_fddwnet(published['state_dict'], len(labels), rows)
    except Exception as error:
        msg = f'cannot start from {config.init}: {error}'
        raise SourceError(msg) from error


def run(config: TrainConfig, folder: Path) -> Path:
    """Train a configuration in a folder, or continue there; return the weights' path.

    Raises:
        ParameterError: If a size does not fit the network, or the folder holds another run.
        SourceError: If data or starting weights cannot be read.
    """
    stride = STRIDES[config.network]
    for field in ('input_size', 'crop_size'):
        if any(side <= 0 or side % stride for side in getattr(config, field)):
            msg = (
                f'{field} must be multiples of {stride} for {config.network}, '
                f'not {getattr(config, field)}'
            )
            raise ParameterError(msg)
    if config.batch_size == 1 and config.network.startswith('dual_resolution'):
        msg = f'batch_size must be 2 or more for {config.network}: it normalises pooled images'
        raise ParameterError(msg)
    labelled = open_dataset(config, 'train')
    validation = open_dataset(config, 'val')
    network = initial_network(config, labelled.label_set)
    if config.teacher is not None and labelled.label_set != CAMVID:
        msg = 'teacher: it knows the classes of CamVid only'
        raise ParameterError(msg)
    if config.teacher is None:
        lessons = open_lessons(config, labelled, folder)
        train = TrainingSet(labelled, lessons.soft_images)
        return fit(config, network, train, validation, folder, lessons=lessons)
    images = WithFootage(labelled, config.unlabelled, config.unlabelled_step)
    folder.mkdir(parents=True, exist_ok=True)
    soft = soft_labels(config.teacher, config.teacher_height, images, folder)
    return fit(config, network, TrainingSet(images, soft), validation, folder)
