# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Teachers: whatever gives class probabilities for images.

A run of this project, published weights or a Hugging Face model; several of one class set are one
teacher, the mean of their probabilities.

Shapes: B batch, C the student's classes, D the teacher's, H and W of images, h and w of logits.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.fleet.record import job_digest
from vidseg_ros.core.labels import CITYSCAPES
from vidseg_training.checkpoints import CHECKPOINT, load_weights, read_weights
from vidseg_training.consistency.class_mapping import ClassMapping
from vidseg_training.data import open_dataset
from vidseg_training.losses import without_class_weights
from vidseg_training.networks import NETWORKS, normalise
from vidseg_training.networks.hugging_face import load_hugging_face
from vidseg_training.starting_weights import published_fddwnet

HUGGING_FACE: Final = 'hf:'
"""What stands before the name or folder of a Hugging Face model."""

_STRIDE: Final = 32
"""Images are brought to multiples of it for the teacher, pixels: enough for every network."""


class Teacher(Protocol):
    """Whatever gives class probabilities."""

    @property
    def names(self) -> Sequence[str]:
        """Names of its classes."""
        ...

    @property
    def checksum(self) -> str:
        """What differs between any two teachers."""
        ...

    def probabilities(self, images: Tensor) -> Tensor:
        """Look at images.

        Args:
            images: (B, 3, H, W) uint8 RGB, on any device.

        Returns:
            (B, D, h, w) float probabilities, on the same device, without a gradient.
        """
        ...


class NetworkTeacher:
    """Networks that give logits for normalised images; the mean of their probabilities.

    Attributes:
        names: Names of the classes.
        checksum: SHA-256 of the weights and of how they are used.
    """

    def __init__(
        self, networks: Sequence[nn.Module], names: Sequence[str], checksum: str, scale: float = 1
    ) -> None:
        """Take networks, which stay in evaluation mode.

        Args:
            networks: (B, 3, H, W) normalised in, (B, D, h, w) logits out, H and W multiples of 32.
            names: Names of their classes.
            checksum: What differs when the weights do.
            scale: Factor by which images are enlarged for them.
        """
        self._networks = [
            network.eval().requires_grad_(requires_grad=False) for network in networks
        ]
        self._scale = scale
        self.names = tuple(names)
        self.checksum = f'{checksum} x{scale:g}'

    def probabilities(self, images: Tensor) -> Tensor:
        """See `Teacher`."""
        wanted = [side * self._scale for side in images.shape[-2:]]
        size = [max(1, round(side / _STRIDE)) * _STRIDE for side in wanted]
        with torch.no_grad():
            enlarged = F.interpolate(images.float(), size, mode='bilinear', align_corners=False)
            x = normalise(enlarged)
            total = sum(network.to(x.device)(x).float().softmax(1) for network in self._networks)
            assert isinstance(total, Tensor)
            return total / len(self._networks)


class MappedTeacher(NamedTuple):
    """A teacher in the classes of its student."""

    teacher: Teacher
    """Speaks of its own classes."""
    mapping: ClassMapping
    """To the student's."""

    def probabilities(self, images: Tensor) -> Tensor:
        """Return (B, C, h, w) float for (B, 3, H, W) uint8 RGB; sums may be below 1."""
        return self.mapping.apply(self.teacher.probabilities(images))


class _Opened(NamedTuple):
    network: nn.Module
    names: tuple[str, ...]
    checksum: str


def open_teacher(places: Sequence[str], scale: float = 1) -> NetworkTeacher:
    """Open a teacher.

    Args:
        places: See `vidseg_training.consistency.settings.DistillationConfig.teacher`.
        scale: Factor by which images are enlarged for it.

    Raises:
        SourceError: If weights cannot be read.
        ParameterError: If several have different classes.
    """
    opened = [_open(place) for place in places]
    for place, other in zip(places, opened, strict=True):
        if other.names != opened[0].names:
            msg = (
                f'the teachers {places[0]} and {place} have different classes, so they have no '
                'mean; name teachers of one data set'
            )
            raise ParameterError(msg)
    checksum = ' '.join(one.checksum for one in opened)
    return NetworkTeacher([one.network for one in opened], opened[0].names, checksum, scale)


def _open(place: str) -> _Opened:
    path = Path(place)
    if place.startswith(HUGGING_FACE):
        model = load_hugging_face(place.removeprefix(HUGGING_FACE))
        return _Opened(model, model.names, model.checksum)
    if path.suffix == '.pth':
        network: nn.Module = published_fddwnet(path)
        return _Opened(network, CITYSCAPES.names, job_digest([path], {}))
    trained = read_weights(path)
    names = trained.classes or open_dataset(trained.config, 'train').label_set.names
    network = NETWORKS[trained.config.network](len(names))
    load_weights(network, trained.state, path)
    shipped = without_class_weights(network, trained.config, trained.class_weights)
    how = {} if shipped is network else {'class weights': 'undone'}
    file = path / CHECKPOINT if path.is_dir() else path
    return _Opened(shipped, names, job_digest([file], how))
