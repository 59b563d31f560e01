# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Networks that can be trained and exported: normalised images in, logits out."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from vidseg_ros.core.errors import ParameterError
from vidseg_training.networks.base import SegmentationNetwork
from vidseg_training.networks.compact import CompactNet
from vidseg_training.networks.dual_resolution import DualResolutionNet
from vidseg_training.networks.fddwnet import FDDWNet
from vidseg_training.networks.hrnet import HRNet
from vidseg_training.networks.pspnet import PSPNet

NETWORKS: Final[dict[str, Callable[[int], SegmentationNetwork]]] = {
    'compact': CompactNet,
    'dual_resolution': DualResolutionNet,
    'dual_resolution_small': DualResolutionNet.small,
    'fddwnet': FDDWNet,
    'hrnet_w18_small': HRNet,
    'pspnet_mobilenet_v2': PSPNet.mobilenet_v2,
    'pspnet_resnet101': PSPNet.resnet101,
    'pspnet_resnet18': PSPNet.resnet18,
}
"""Constructor of each network, called with the number of classes."""

STRIDES: Final = {
    'compact': 16,
    'dual_resolution': 8,
    'dual_resolution_small': 8,
    'fddwnet': 8,
    'hrnet_w18_small': 4,
    'pspnet_mobilenet_v2': 8,
    'pspnet_resnet101': 8,
    'pspnet_resnet18': 8,
}
"""Height and width of each network's input must be multiples of this, pixels."""


POOLING: Final = frozenset(name for name in NETWORKS if name.startswith(('dual', 'pspnet')))
"""Networks that normalise pooled images, one value a channel: no batches of one image."""

MEAN: Final = (0.485 * 255, 0.456 * 255, 0.406 * 255)
"""Mean of the input, RGB, 0 to 255: ImageNet's, as the published weights expect."""

STD: Final = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""Standard deviation of the input, RGB, on the scale of 0 to 255."""


def check_size(network: str, what: str, size: tuple[int, int]) -> None:
    """Check that a network can take pictures of a size.

    Args:
        network: Key of `NETWORKS`.
        what: What the size is, for the message.
        size: Height and width in pixels.

    Raises:
        ParameterError: If it cannot.
    """
    stride = STRIDES[network]
    if any(side <= 0 or side % stride for side in size):
        msg = f'{what} must be multiples of {stride} for {network}, not {size}'
        raise ParameterError(msg)


def normalise(images: Tensor) -> Tensor:
    """Scale (B, 3, H, W) uint8 RGB to the float range that the networks expect."""
    mean = torch.tensor(MEAN, device=images.device).view(3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(3, 1, 1)
    scaled: Tensor = (images - mean) / std
    return scaled.contiguous(memory_format=torch.channels_last)
