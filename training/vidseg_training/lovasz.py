# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The Lovász-softmax loss (Berman et al., CVPR 2018): the mean IoU, made differentiable.

The cross-entropy counts pixels, so a pole's few weigh little; the IoU counts classes. Its Lovász
extension is what 1 - IoU becomes when pixels are wrong by a share instead of wholly.

Shapes: B images of this process, N those of all processes, C classes, P pixels of all of them.
"""

import torch
from torch import Tensor
import torch.nn.functional as F

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.processes import join_batches
from vidseg_training.relaxation import in_whole_precision


def lovasz_softmax_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the classes that the joint batch shows of the extension of 1 - IoU.

    It is computed at the resolution of the logits, each of which is compared with the label
    nearest to it: pixels have to be sorted for each class.

    Args:
        logits: (B, C, h, w) float; half ones are computed with in float32.
        labels: (B, H, W) int64 ids, 255 ignored.

    Returns:
        Scalar, 0 to 1, the same in all processes; 0 with a gradient of 0 where all is void.
    """
    logits = in_whole_precision(logits)
    if labels.shape[-2:] != logits.shape[-2:]:
        planes = labels[:, None].to(torch.uint8)  # B 1 H W; ids are up to 255
        nearest = F.interpolate(planes, size=logits.shape[-2:], mode='nearest-exact')
        labels = nearest[:, 0].long()
    ids = torch.arange(logits.shape[1], device=labels.device).view(-1, 1, 1)
    own = labels[:, None] == ids  # B C h w
    errors = (logits.softmax(1) - own.to(logits.dtype)).abs()
    errors = errors * (labels != IGNORE_ID)[:, None]  # the smallest: sorted behind what counts
    errors, own = join_batches(errors), join_batches(own.to(errors.dtype))  # N C h w
    errors, order = errors.transpose(0, 1).flatten(1).sort(dim=1, descending=True)  # C P
    own = own.transpose(0, 1).flatten(1).gather(1, order).long()
    right = own.sum(1, keepdim=True)  # C 1, pixels of the class
    intersection = right - own.cumsum(1)
    union = right + (1 - own).cumsum(1)
    losses = 1 - intersection.to(errors.dtype) / union  # C P, if all up to this pixel were wrong
    steps = torch.cat((losses[:, :1], losses.diff(dim=1)), 1)
    shown = (right[:, 0] > 0).to(errors.dtype)
    return ((errors * steps).sum(1) * shown).sum() / shown.sum().clamp(min=1)
