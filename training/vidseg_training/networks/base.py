# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every network can do beyond its forward pass."""

import torch
from torch import nn, Tensor


class SegmentationNetwork(nn.Module):
    """Normalised images (B, 3, H, W) in, logits (B, C, h, w) out.

    In training mode a network with an auxiliary head (deep supervision: Zhao et al., CVPR 2017)
    returns the pair (logits, auxiliary logits), each at a resolution of its own.
    """

    classifier: nn.Conv2d
    """What the logits come out of; a network without it has `shift_logits` of its own."""

    def shift_logits(self, offset: Tensor) -> None:
        """Add a constant to each class's logit, by the classifier's own bias: at no cost.

        Args:
            offset: (C,) float.
        """
        assert self.classifier.bias is not None
        with torch.no_grad():
            self.classifier.bias.add_(offset)
