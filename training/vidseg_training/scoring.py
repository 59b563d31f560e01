# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Scores of a network on a labelled set: one scale, no flip, labels at their own size."""

import cv2
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

from vidseg_ros.core.metrics import Confusion
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.networks import normalise


def score(network: nn.Module, images: LabelledImages, size: tuple[int, int]) -> Confusion:
    """Run the network over every image and count pixels.

    Args:
        network: Normalised (B, 3, H, W) in, logits out; left in evaluation mode.
        images: Labelled set.
        size: Height and width in pixels to which images are brought for the network, as the model
            file does it.

    Returns:
        The confusion matrix of the set.
    """
    network.eval()
    device = next(network.parameters()).device
    confusion = Confusion(len(images.label_set))
    with torch.inference_mode():
        for index in range(len(images)):
            image, labels = images[index]
            if image.shape[:2] != size:
                resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
                image = resized.astype(np.uint8, copy=False)
            batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)  # 1 3 H W
            logits = network(normalise(batch))
            logits = F.interpolate(logits, size=labels.shape, mode='bilinear', align_corners=False)
            confusion.add(labels, logits.argmax(1)[0].cpu().numpy().astype(np.uint8))
    return confusion
