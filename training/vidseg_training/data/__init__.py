# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Data sets and augmentation."""

from collections.abc import Callable
from typing import Final, TypeAlias

from vidseg_training.config import TrainConfig
from vidseg_training.data.camvid import CamVid, CamVidFull
from vidseg_training.data.cityscapes import Cityscapes, CityscapesCoarse
from vidseg_training.data.image_folder import ImageFolder
from vidseg_training.data.image_pairs import ImagePairs, Split
from vidseg_training.data.kitti import KittiSemantics
from vidseg_training.data.mapillary import MapillaryVistas
from vidseg_training.data.street import Street
from vidseg_training.data.vspw import Vspw

__all__ = ['DATASETS', 'Split', 'TrainingData', 'open_dataset']

TrainingData: TypeAlias = ImagePairs | Street
"""A data set that a recipe can name: `sampling.LabelledImages` with what the card tells of it."""


def _open_folder(config: TrainConfig, split: Split) -> ImageFolder:
    # Only training images are shrunk: scores are taken at the size of the camera.
    trains = split in {'train', 'trainval'}
    return ImageFolder(config.data, split, config.input_size if trains else None)


DATASETS: Final[dict[str, Callable[[TrainConfig, Split], TrainingData]]] = {
    'camvid': lambda config, split: CamVid(config.data, split),
    'camvid_full': lambda config, split: CamVidFull(config.data, split),
    'cityscapes': lambda config, split: Cityscapes(
        config.data, split, boosted=bool(config.boost_classes)
    ),
    'cityscapes_coarse': lambda config, split: CityscapesCoarse(config.data, split),
    'folder': _open_folder,
    'kitti': lambda config, split: KittiSemantics(config.data, split, config.fold),
    'mapillary_1.2': lambda config, split: MapillaryVistas(config.data, split, '1.2'),
    'mapillary_2.0': lambda config, split: MapillaryVistas(config.data, split, '2.0'),
    'street': lambda config, split: Street(split, config.input_size),
    'vspw': lambda config, split: Vspw(config.data, split),
}
"""What opens a split of each data set."""


def open_dataset(config: TrainConfig, split: Split) -> TrainingData:
    """Open one split of a configuration's data set; ``train`` as its ``train_split`` says.

    Raises:
        ParameterError: If the data set has no such fold.
        SourceError: If the data are not where the configuration says.
    """
    return DATASETS[config.dataset](config, config.train_split if split == 'train' else split)
