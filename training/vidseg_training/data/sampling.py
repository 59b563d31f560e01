# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training samples whose order and augmentation depend only on (seed, epoch, index).

Nothing random has to be saved, so a killed run resumes exactly where its checkpoint stands.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from vidseg_ros.core.labels import IGNORE_ID, LabelSet
from vidseg_training.config import TrainConfig
from vidseg_training.data.augment import augment, Sample


class LabelledImages(Protocol):
    """A data set: images with label maps."""

    label_set: LabelSet

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (H, W, 3) uint8 RGB and labels (H, W) uint8, void as 255."""
        ...


class TrainingSet(NamedTuple):
    """What a run learns from."""

    images: LabelledImages
    """Images with label maps."""
    soft: NDArray[np.uint8] | None = None
    """(N, H, W, C) uint8 probabilities of a teacher for each image, 255 = 1; None: no teacher."""


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffled (epoch, index) pairs of one epoch, from a given batch on.

    Attributes:
        epoch: The epoch that the next iteration draws.
        first_batch: Batches to leave out at the start of that iteration (resume).
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        """Sample ``size`` indices; an incomplete last batch is dropped."""
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        """Return the number of samples of a whole epoch."""
        return self._size // self._batch_size * self._batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (epoch, index) pairs."""
        order = np.random.default_rng((self._seed, self.epoch)).permutation(self._size)
        for index in order[self.first_batch * self._batch_size : len(self)]:
            yield self.epoch, int(index)


class AugmentedImages(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """A data set under the augmentation of a training configuration."""

    def __init__(self, train: TrainingSet, config: TrainConfig) -> None:
        """Wrap ``train``."""
        self._images, self._soft = train
        self._config = config

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the augmented sample of an (epoch, index) pair.

        Returns:
            Image (3, h, w) uint8 RGB, labels (h, w) int64, and the teacher's probabilities
            (C, h, w) uint8; without a teacher (0, h, w).
        """
        epoch, index = key
        rng = np.random.default_rng((self._config.seed, epoch, index))
        soft = None if self._soft is None else self._soft[index]
        image, labels, soft = augment(Sample(*self._images[index], soft), self._config, rng)
        if soft is None:
            soft = np.zeros((*labels.shape, 0), np.uint8)
        return (
            torch.from_numpy(image).permute(2, 0, 1),  # 3 h w
            torch.from_numpy(labels).long(),
            torch.from_numpy(soft).permute(2, 0, 1),  # C h w
        )


def class_weights(images: LabelledImages, offset: float) -> NDArray[np.float32]:
    """Weigh classes by 1 / ln(offset + share of pixels) (Paszke et al. 2016), mean 1.

    Args:
        images: The training set; every label map is read once.
        offset: c of the formula, above 1; the smaller, the more rare classes count.

    Returns:
        (C,) float32.
    """
    classes = len(images.label_set)
    counts = np.zeros(256, np.int64)
    for index in range(len(images)):
        counts += np.bincount(images[index][1].ravel(), minlength=256)
    assert counts[classes:IGNORE_ID].sum() == 0
    weights = 1 / np.log(offset + counts[:classes] / counts[:classes].sum())
    scaled: NDArray[np.float32] = (weights / weights.mean()).astype(np.float32)
    return scaled
