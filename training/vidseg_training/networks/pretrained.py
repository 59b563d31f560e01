# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Weights of a published classifier for the backbone of a segmentation network."""

from collections.abc import Mapping

from torch import nn, Tensor

from vidseg_ros.core.errors import ModelError

_SHOWN = 3


def load_backbone(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights into ``network.backbone``, in place; those of the classifier are left out.

    Args:
        network: A network whose backbone keeps published parameter names.
        weights: State dict of torchvision's ResNet or MobileNetV2, or of the published HRNet.

    Raises:
        ModelError: If the network has no such backbone, or the weights are another one's; the
            message names parameters.
    """
    backbone = getattr(network, 'backbone', None)
    if not isinstance(backbone, nn.Module):
        msg = f'{type(network).__name__} has no backbone with published weights'
        raise ModelError(msg)
    expected = backbone.state_dict()
    left_out = tuple(getattr(backbone, 'classifier_names', ()))
    given = {name: value for name, value in weights.items() if not name.startswith(left_out)}
    counters = {name for name in expected if name.endswith('num_batches_tracked')}
    problems = [f'{name} is missing' for name in sorted(expected.keys() - given.keys() - counters)]
    problems += [f'{name} is not known' for name in sorted(given.keys() - expected.keys())]
    problems += [
        f'{name} is {tuple(given[name].shape)}, not {tuple(expected[name].shape)}'
        for name in sorted(expected.keys() & given.keys())
        if given[name].shape != expected[name].shape
    ]
    if problems:
        more = f' and {len(problems) - _SHOWN} more' if len(problems) > _SHOWN else ''
        msg = (
            f'these are not the weights of {type(backbone).__name__} as it is here: '
            f'{", ".join(problems[:_SHOWN])}{more}'
        )
        raise ModelError(msg)
    backbone.load_state_dict(expected | given)
