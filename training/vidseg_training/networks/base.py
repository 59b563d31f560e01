# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every network can do beyond its forward pass."""

from abc import ABC, abstractmethod

from torch import nn, Tensor


class SegmentationNetwork(nn.Module, ABC):
    """Normalised images (B, 3, H, W) in, logits (B, C, h, w) out.

    In training mode a network with an auxiliary head (deep supervision: Zhao et al., CVPR 2017)
    returns the pair (logits, auxiliary logits), each at a resolution of its own.
    """

    @abstractmethod
    def shift_logits(self, offset: Tensor) -> None:
        """Add a constant to each class's logit, by the classifier's own bias: at no cost.

        Args:
            offset: (C,) float.
        """
