# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of what a network predicts in the course of its training."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.overlay import blend, contact_sheet
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.scoring import predict


def draw_samples(
    network: nn.Module, images: LabelledImages, size: tuple[int, int], count: int
) -> NDArray[np.uint8]:
    """Draw labels and predictions of some images side by side.

    Args:
        network: Normalised (B, 3, H, W) in, logits out; left in evaluation mode.
        images: Labelled set; ``count`` of it are taken at equal distances.
        size: Height and width in pixels of the network's input.
        count: Number of images, at most the whole set.

    Returns:
        (H, W, 3) uint8 RGB; a row has the labels of an image, then its prediction.
    """
    count = min(count, len(images))
    tiles, captions = [], []
    for number in range(count):
        index = number * len(images) // count
        image, truth = images[index]
        predicted = resize_labels(predict(network, image, size), truth.shape)
        name = images.names[index]
        for what, labels in (('labels', truth), ('prediction', predicted)):
            tiles.append(blend(image, labels, images.label_set))
            captions.append(f'{name}, {what}')
    return contact_sheet(tiles, 2, captions)
