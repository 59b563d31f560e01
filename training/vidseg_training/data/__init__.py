# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Data sets and augmentation."""

from typing import Literal, TypeAlias

from vidseg_training.config import TrainConfig
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.image_folder import ImageFolder
from vidseg_training.data.street import Street

Split = Literal['train', 'val', 'test']

TrainingData: TypeAlias = 'CamVid | Street | ImageFolder'
"""A data set that a recipe can name: `sampling.LabelledImages` with what the card tells of it."""


def open_dataset(config: TrainConfig, split: Split) -> TrainingData:
    """Open one split of a configuration's data set.

    Raises:
        SourceError: If the data are not where the configuration says.
    """
    if config.dataset == 'camvid':
        return CamVid(config.data, split)
    if config.dataset == 'folder':
        size = None if split == 'test' else config.input_size
        return ImageFolder(config.data, split, size)
    return Street(split, config.input_size)
