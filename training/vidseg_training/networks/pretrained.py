# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Weights of a network trained for something else: another classifier, or a backbone alone."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn, Tensor

from vidseg_ros.core.errors import ParameterError
from vidseg_training.checkpoints import load_weights


def class_axes(build: Callable[[int], nn.Module]) -> dict[str, int]:
    """Return the parameters of a network that have something for each class, and on which axis.

    Args:
        build: Makes the network, called with the number of classes.
    """
    with torch.device('meta'):  # shapes without memory
        two, three = build(2).state_dict(), build(3).state_dict()
    return {
        name: axis
        for name, value in two.items()
        for axis, side in enumerate(value.shape)
        if side != three[name].shape[axis]
    }


def replace_classes(
    build: Callable[[int], nn.Module], weights: Mapping[str, Tensor], rows: Sequence[int | None]
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Give trained weights other classes.

    Args:
        build: Makes the network, called with the number of classes.
        weights: State dict of it with the old classes.
        rows: For each new class the old one that starts it, or None for random weights.

    Returns:
        The network with the new classes and random weights, and the state dict to load into it.
    """
    network = build(len(rows))
    fresh, replaced = network.state_dict(), dict(weights)
    known = [index for index, row in enumerate(rows) if row is not None]
    taken = [row for row in rows if row is not None]
    for name, axis in class_axes(build).items():
        if name in weights:
            start = fresh[name].clone()
            start.movedim(axis, 0)[known] = weights[name].movedim(axis, 0)[taken]
            replaced[name] = start
    return network, replaced


def load_backbone(network: nn.Module, weights: Mapping[str, Tensor], origin: object) -> None:
    """Load weights into ``network.backbone``, in place; those of the classifier are left out.

    Args:
        network: A network whose backbone keeps published parameter names.
        weights: State dict of torchvision's ResNet or MobileNetV2, or of the published HRNet.
        origin: Where they come from, for the message.

    Raises:
        ParameterError: If the network has no such backbone.
        SourceError: If the weights are another one's; the message names parameters.
    """
    backbone = getattr(network, 'backbone', None)
    if not isinstance(backbone, nn.Module):
        msg = f'{type(network).__name__} has no backbone that published weights could start'
        raise ParameterError(msg)
    left_out = tuple(getattr(backbone, 'classifier_names', ()))
    counters = {
        name: value
        for name, value in backbone.state_dict().items()
        if name.endswith('num_batches_tracked')  # files of old versions of torch have none
    }
    given = {name: value for name, value in weights.items() if not name.startswith(left_out)}
    load_weights(backbone, counters | given, origin)
