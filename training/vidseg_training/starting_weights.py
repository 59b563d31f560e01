# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a network knows before it is trained: nothing, published weights, or another run."""

from collections.abc import Sequence
import logging
from pathlib import Path
from typing import Final

import torch
from torch import nn, Tensor

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CITYSCAPES, LabelSet
from vidseg_training.checkpoints import check_weights, load_weights, read_weights, SETTINGS
from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.networks import NETWORKS
from vidseg_training.networks.fddwnet import load_fddwnet
from vidseg_training.networks.pretrained import load_backbone, replace_classes
from vidseg_training.tensor_files import load_tensors, read_safetensors, safetensors_metadata

_logger = logging.getLogger(__name__)

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


def is_run(path: Path) -> bool:
    """Return whether starting weights come from a run of this package.

    A safetensors file says so itself; one that cannot be read is taken for a run's.
    """
    if path.is_dir() or path.suffix != '.safetensors':
        return path.is_dir() or path.suffix == '.ckpt'
    try:
        return SETTINGS in safetensors_metadata(path)
    except SourceError:
        return True


def class_rows(labels: LabelSet, known: Sequence[str]) -> list[int | None]:
    """Return for each class the known one, of these names, that starts it.

    That is the class of the same name, or the one that `CAMVID_FROM_CITYSCAPES` names; None where
    there is neither.
    """
    ids = {name: index for index, name in enumerate(known)}
    return [ids.get(name, ids.get(CAMVID_FROM_CITYSCAPES.get(name, ''))) for name in labels.names]


def initial_network(config: TrainConfig, labels: LabelSet) -> nn.Module:
    """Build the network with its starting weights.

    ``init`` is a run of the same network (its folder, checkpoint or safetensors), the published
    FDDWNet, or a file (PyTorch's or safetensors) with ImageNet's weights of the backbone. A
    classifier starts class by class from what is known, see `class_rows`.

    Args:
        config: Gives network, seed and starting weights.
        labels: The classes.

    Raises:
        ParameterError: If there are no published weights for this network.
        SourceError: If the weights cannot be read or do not fit the network.
    """
    torch.manual_seed(config.seed)
    if config.init is None:
        return NETWORKS[config.network](len(labels))
    if is_run(config.init):
        return _from_run(config, config.init, labels)
    return _from_published(config, config.init, labels)


def _from_published(config: TrainConfig, path: Path, labels: LabelSet) -> nn.Module:
    if config.network == 'fddwnet':
        return published_fddwnet(path, len(labels), class_rows(labels, CITYSCAPES.names))
    state = _read_published(path)
    network = NETWORKS[config.network](len(labels))
    load_backbone(network, state, path)
    return network


def published_fddwnet(
    path: Path, classes: int = len(CITYSCAPES), rows: Sequence[int | None] | None = None
) -> nn.Module:
    """Build an FDDWNet from its published Cityscapes weights.

    Args:
        path: The file.
        classes: Number of classes of the network.
        rows: For each of them the Cityscapes class that starts it, see `load_fddwnet`.

    Raises:
        SourceError: If the file cannot be read, or has other weights; the message says which.
    """
    state = _read_published(path)
    load_weights(NETWORKS['fddwnet'](len(CITYSCAPES)), state, path)  # says what does not fit
    return load_fddwnet(state, classes, rows)


def _read_published(path: Path) -> dict[str, Tensor]:
    if path.suffix == '.safetensors':
        return read_safetensors(path)[0]
    published = load_tensors(path, 'weights')
    state: dict[str, Tensor] = published.get('state_dict', published)
    return state


def _from_run(config: TrainConfig, path: Path, labels: LabelSet) -> nn.Module:
    trained = read_weights(path)
    if trained.config.network != config.network:
        msg = (
            f'cannot start from {path}: it is a {trained.config.network}, '
            f'this run wants a {config.network}'
        )
        raise SourceError(msg)
    # Runs from before their classes were kept are asked by their data.
    known = trained.classes or open_dataset(trained.config, 'val').label_set.names
    rows = class_rows(labels, known)
    with torch.device('meta'):  # draws nothing of what starts new classes
        check_weights(NETWORKS[config.network](len(known)), trained.state, path)
    network, state = replace_classes(NETWORKS[config.network], trained.state, rows)
    load_weights(network, state, path)
    started = sum(row is not None for row in rows)
    _logger.info('%s starts the network and %d of %d classes', path, started, len(labels))
    return network
