# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Things of one crop in front of another (ClassMix: Olsson et al., WACV 2021), here with labels.

A few drives show each thing in few places; a network that looks at the whole picture learns the
places by heart.
"""

import numpy as np

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.data.augment import Sample


def paste_classes(sample: Sample, other: Sample, rng: np.random.Generator) -> Sample:
    """Paste the pixels of half of a crop's classes, rounded up, into another crop.

    Args:
        sample: Crop that is pasted into.
        other: Crop of the same size that gives the classes; its void is never pasted.
        rng: Source of randomness.

    Returns:
        A new sample; image, labels and probabilities of each pixel come from the same crop.
    """
    shown = np.unique(other.labels)
    shown = rng.permutation(shown[shown != IGNORE_ID])
    chosen = np.zeros(256, bool)
    chosen[shown[: (len(shown) + 1) // 2]] = True
    pasted = chosen[other.labels]  # H W
    soft = None
    if sample.soft is not None:
        assert other.soft is not None
        soft = np.where(pasted[..., None], other.soft, sample.soft)
    return Sample(
        np.where(pasted[..., None], other.image, sample.image),
        np.where(pasted, other.labels, sample.labels),
        soft,
    )
