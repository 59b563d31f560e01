# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where a network starts: random weights, an earlier run on other data, or published weights.

The trunk of a network that was trained on a bigger data set is kept; its classifier is replaced
where the classes differ, and a class of the same name keeps its part of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import nn

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CITYSCAPES, LabelSet
from vidseg_training.checkpoints import load_weights, read_weights
from vidseg_training.config import TrainConfig
from vidseg_training.networks import NETWORKS
from vidseg_training.networks.fddwnet import load_fddwnet
from vidseg_training.networks.head import replace_head
from vidseg_training.networks.pretrained import load_backbone

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
"""For class names that the starting weights do not know: the Cityscapes class to start from."""

OWN: Final = ('.ckpt', '.safetensors')
"""Endings of what `vidseg-train fit` writes."""


def class_rows(labels: LabelSet, known: Sequence[str]) -> list[int | None]:
    """Find for each class the class that starts it.

    Args:
        labels: The classes of the new network.
        known: Names of the classes of the weights.

    Returns:
        Index into ``known``, or None, for each class: by its own name, else by that of
        `CAMVID_FROM_CITYSCAPES`.
    """
    index = {name: number for number, name in enumerate(known)}
    return [
        index.get(name, index.get(CAMVID_FROM_CITYSCAPES.get(name, ''))) for name in labels.names
    ]


def initial_network(config: TrainConfig, labels: LabelSet) -> nn.Module:
    """Build the network with its starting weights.

    ``init`` is the folder, the checkpoint or the weights of an earlier run of the same network;
    or the published FDDWNet of Cityscapes; or a state dict of a backbone, see `load_backbone`.

    Args:
        config: Gives network, seed and the file of starting weights.
        labels: The classes.

    Raises:
        SourceError: If the weights cannot be read or do not fit the network.
    """
    torch.manual_seed(config.seed)
    if config.init is None:
        return NETWORKS[config.network](len(labels))
    if config.init.is_dir() or config.init.suffix in OWN:
        return _from_run(config, config.init, labels)
    try:
        published = torch.load(config.init, map_location='cpu', weights_only=True)
        if config.network == 'fddwnet':
            rows = class_rows(labels, CITYSCAPES.names)
            return load_fddwnet(published['state_dict'], len(labels), rows)
        network = NETWORKS[config.network](len(labels))
        load_backbone(network, published)
    except Exception as error:
        msg = f'cannot start from {config.init}: {error}'
        raise SourceError(msg) from error
    return network


def _from_run(config: TrainConfig, path: Path, labels: LabelSet) -> nn.Module:
    trained = read_weights(path)
    if not trained.classes:
        msg = f'{path} does not name its classes: it is of an earlier version; train it again'
        raise SourceError(msg)
    build = NETWORKS[config.network]
    network = build(len(labels))
    state = trained.state
    if trained.config.network == config.network:  # if not, the next line names what differs
        state = replace_head(build, state, class_rows(labels, trained.classes))
    load_weights(network, state, path)
    return network
