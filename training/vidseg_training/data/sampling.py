# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training samples whose order and augmentation depend only on seed, epoch and position.

Nothing random has to be saved, so a killed run resumes exactly where its checkpoint stands.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vidseg_ros.core.labels import LabelSet
from vidseg_training.config import TrainConfig
from vidseg_training.data.augment import augment, picture_extent, Sample, SoftLabels
from vidseg_training.data.class_mix import paste_classes
from vidseg_training.data.class_uniform import Centroid, draw_epoch, leave_boosted
from vidseg_training.data.image_pairs import ImagePairs
from vidseg_training.interruption import leave_to_parent

_Batch = TypeVar('_Batch')
_Drawn = TypeVar('_Drawn')
_Drawn_co = TypeVar('_Drawn_co', covariant=True)


class LabelledImages(Protocol):
    """A data set: images with label maps."""

    label_set: LabelSet

    @property
    def names(self) -> Sequence[str]:
        """Name of each sample, for people."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (H, W, 3) uint8 RGB and labels (H, W) uint8, void as 255."""
        ...


def trained_images(images: LabelledImages) -> int:
    """Return how many images, from the first, are drawn anywhere; see `ImagePairs.boost_from`."""
    return images.boost_from if isinstance(images, ImagePairs) else len(images)


class TrainingSet(NamedTuple):
    """What a run learns from."""

    images: LabelledImages
    """Images with label maps."""
    soft: SoftLabels | None = None
    """Probabilities of a teacher for each image; None: no teacher."""
    real: int | None = None
    """So many images, from the first, are labelled ones and not propagated; None: all."""


class Draw(NamedTuple):
    """One sample of an epoch, still to be cropped."""

    epoch: int
    """Epoch from 0."""
    position: int
    """Position in the epoch."""
    image: int
    """Index of the image."""
    contain: tuple[int, int] | None = None
    """Row and column that the crop must contain, pixels of the image; None: anywhere."""


class EpochSampler:
    """The shuffled samples of each epoch."""

    def __init__(
        self,
        size: int,
        config: TrainConfig,
        centroids: list[list[Centroid]] | None = None,
        part: tuple[int, int] = (0, 1),
        real: int | None = None,
    ) -> None:
        """Sample ``size`` images; an incomplete last batch is dropped.

        Args:
            size: Number of images.
            config: Gives batch size, seed and the share of class-uniform samples.
            centroids: Of every class, for class-uniform samples.
            part: Number of this process, and of all processes, a divisor of the batch size:
                which part of every batch is drawn here.
            real: Number of labelled images, which come first; None: there are no others.
        """
        self._size, self._config, self._centroids = size, config, centroids or []
        self._process, self._processes = part
        self._real = real

    def __len__(self) -> int:
        """Return the number of samples of a whole epoch, of all processes."""
        return self._size // self._config.batch_size * self._config.batch_size

    def samples(self, epoch: int, first_batch: int = 0) -> Iterator[Draw]:
        """Yield the samples of this process of an epoch, from a batch on."""
        batch = self._config.batch_size
        share = batch // self._processes
        drawn = self._draw(epoch)
        for start in range(first_batch * batch, len(self), batch):
            first = start + self._process * share
            yield from drawn[first : first + share]

    def joint_batch(self, epoch: int, number: int) -> list[Draw]:
        """Return the samples of one batch of an epoch, those of all processes."""
        batch = self._config.batch_size
        return self._draw(epoch)[number * batch : (number + 1) * batch]

    def _draw(self, epoch: int) -> list[Draw]:
        config = self._config
        rng = np.random.default_rng((config.seed, epoch))
        uniform = epoch < config.epochs * config.class_uniform_share
        share = config.class_uniform if uniform else 0.0
        centroids = self._centroids
        if self._real is not None and without_propagated(epoch, config):
            centroids = leave_boosted(centroids, self._real, ())
        drawn = draw_epoch(centroids, self._size, share, rng)[: len(self)]
        return [
            Draw(epoch, position, sample)
            if isinstance(sample, int)
            else Draw(epoch, position, sample.image, (sample.y, sample.x))
            for position, sample in enumerate(drawn)
        ]


class DrawsEpochs(Protocol[_Drawn_co]):
    """A sampler whose epochs depend on nothing but their number."""

    def samples(self, epoch: int, first_batch: int) -> Iterator[_Drawn_co]:
        """Yield the samples of this process of an epoch, from a batch on."""
        ...


class RestOfRun(Sampler[_Drawn]):
    """One epoch after the other, so that whoever loads the samples need not wait between.

    Attributes:
        epoch: The epoch with which the next iteration begins.
        first_batch: Batches of it to leave out (resume).
    """

    def __init__(self, sampler: DrawsEpochs[_Drawn], epochs: int) -> None:
        """Sample up to, and without, an epoch."""
        self._sampler, self._epochs = sampler, epochs
        self.epoch = self.first_batch = 0

    def __iter__(self) -> Iterator[_Drawn]:
        """Yield the samples of this process."""
        first_batch = self.first_batch
        for epoch in range(self.epoch, self._epochs):
            yield from self._sampler.samples(epoch, first_batch)
            first_batch = 0


class AugmentedImages(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """A data set under the augmentation of a training configuration."""

    def __init__(self, train: TrainingSet, config: TrainConfig) -> None:
        """Wrap ``train``."""
        self._images, self._soft, self._real = train
        self._labelled = self._real or trained_images(self._images)
        self._config = config
        self._kept: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
        self._asks_anew = bool(config.distillation.teacher) and not config.distillation.cache

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        """Return the augmented sample.

        Returns:
            Image (3, h, w) uint8 RGB, labels (h, w) uint8, and the teacher's probabilities
            (C, h, w) uint8; of a teacher that is still to see the crop (1, h, w), which pixels are
            in the picture; without a teacher (0, h, w).
        """
        # Of the crops anywhere an epoch has one an image, of the class-uniform ones several.
        number = draw.image if draw.contain is None else len(self._images) + draw.position
        rng = np.random.default_rng((self._config.seed, draw.epoch, number))
        sample = self._crop(image_of(draw, self._config, self._real), rng, draw.contain)
        if self._config.class_mix and rng.random() < self._config.class_mix:
            other = self._crop(int(rng.integers(self._labelled)), rng)
            sample = paste_classes(sample, other, rng)
        image, labels, soft = sample
        if soft is None:
            soft = np.zeros((*labels.shape, 0), np.uint8)
        return (
            torch.from_numpy(image).permute(2, 0, 1),  # 3 h w
            torch.from_numpy(labels),
            torch.from_numpy(soft).permute(2, 0, 1),  # C h w
        )

    def _crop(
        self, index: int, rng: np.random.Generator, contain: tuple[int, int] | None = None
    ) -> Sample:
        """Return an augmented crop of an image; ``contain`` as in `Draw`."""
        image, labels = self._read(index)
        soft = None if self._soft is None else self._soft[index]
        if soft is None and self._asks_anew:
            soft = picture_extent(labels)
        return augment(Sample(image, labels, soft), self._config, rng, contain)

    def _read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image and labels, which nothing of the augmentation writes into."""
        if index in self._kept:
            return self._kept[index]
        read = self._images[index]
        if self._config.keep_images:
            self._kept[index] = read
        return read


def image_of(draw: Draw, config: TrainConfig, real: int | None) -> int:
    """Return the image of a draw: a labelled one in the epochs without propagated samples.

    Args:
        draw: What the sampler says.
        config: Says which epochs those are.
        real: Number of labelled images, which come first; None: there are no others.
    """
    if real is None or draw.contain is not None or not without_propagated(draw.epoch, config):
        return draw.image
    return draw.image % real


def without_propagated(epoch: int, config: TrainConfig) -> bool:
    """Return whether an epoch is one of the last, which have labelled images only."""
    return epoch >= config.epochs * config.propagated_share


def build_loader(
    train: TrainingSet, config: TrainConfig, sampler: Sampler[Draw], processes: int = 1
) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
    """Return what loads augmented batches, in processes beside the training if it says so.

    Args:
        train: Training set.
        config: Gives batch size, augmentation and workers.
        sampler: Says which samples.
        processes: Number of processes that share a batch.
    """
    images = AugmentedImages(train, config)
    return load_beside(images, config.batch_size // processes, sampler, config.workers)


def load_beside(
    dataset: Dataset[_Batch], batch_size: int, sampler: Sampler[Any], workers: int
) -> DataLoader[_Batch]:
    """Return what loads batches of a data set, in processes beside the training if there are some.

    Args:
        dataset: Gives the samples.
        batch_size: Samples of a batch in this process.
        sampler: Says which samples.
        workers: Processes beside the training; 0: none.
    """
    beside = workers > 0
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=beside,
        multiprocessing_context='spawn' if beside else None,  # a fork would copy held locks
        worker_init_fn=_start_worker if beside else None,
        pin_memory=torch.cuda.is_available(),
    )


def _start_worker(_worker: int) -> None:
    leave_to_parent()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
