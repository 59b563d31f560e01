# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Data sets and augmentation."""

from typing import Literal

from vidseg_training.config import TrainConfig
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.street import Street

Split = Literal['train', 'val', 'test']


def open_dataset(config: TrainConfig, split: Split) -> CamVid | Street:
    """Open one split of a configuration's data set.

    Raises:
        SourceError: If the data are not where the configuration says.
    """
    if config.dataset == 'camvid':
        return CamVid(config.data, split)
    return Street(split, config.input_size)
