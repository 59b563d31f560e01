# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Learning from a teacher: pixel-wise distillation (Liu et al., CVPR 2019, eq. 2).

The teacher here is the published Cityscapes network on enlarged images: small things are large
enough for it there, so it knows more than the same network at the student's own size. It runs
once over the training images; its class probabilities are kept in a file of the run.
"""

from collections.abc import Iterator
import hashlib
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
import torch.nn.functional as F

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_training.consistency.class_mapping import ClassMapping
from vidseg_training.consistency.teacher_cache import (
    keep_probabilities,
    KeptProbabilities,
    to_bytes,
)
from vidseg_training.data.footage import WithFootage
from vidseg_training.networks import normalise
from vidseg_training.processes import joint_mean
from vidseg_training.relaxation import in_whole_precision
from vidseg_training.starting_weights import published_fddwnet

SOFT_LABELS: Final = 'teacher.npy'


class Teacher:
    """The published Cityscapes FDDWNet, asked for CamVid's classes."""

    def __init__(self, weights: Path, height: int) -> None:
        """Load the teacher.

        Args:
            weights: Published weights.
            height: Height in pixels to which images are resized for it.

        Raises:
            SourceError: If the weights cannot be read or do not fit.
        """
        self._height = height
        self._mapping = ClassMapping.between(CITYSCAPES.names, CAMVID.names)
        self._device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self._network = published_fddwnet(weights).eval().to(self._device)

    def probabilities(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return what the teacher thinks of an image and of its mirror image, averaged.

        Args:
            image: (H, W, 3) uint8 RGB.
            size: Height and width of the result, pixels.

        Returns:
            (height, width, 11) uint8, 255 = 1.
        """
        height = round(self._height / 8) * 8
        width = round(image.shape[1] * height / image.shape[0] / 8) * 8
        enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        batch = torch.from_numpy(enlarged).permute(2, 0, 1)[None].to(self._device)  # 1 3 H W
        with torch.inference_mode():
            fine = self._network(normalise(batch)).softmax(1)
            fine += self._network(normalise(batch.flip(-1))).softmax(1).flip(-1)
            coarse = F.interpolate(self._mapping.apply(fine / 2), size=size, mode='area')
        soft: NDArray[np.uint8] = to_bytes(coarse)[0].permute(1, 2, 0).cpu().numpy()
        return soft


def soft_labels(
    weights: Path, height: int, images: WithFootage, folder: Path
) -> KeptProbabilities:
    """Ask the teacher about every image, or open what it said before.

    Args:
        weights: The teacher's published weights.
        height: Height in pixels to which images are resized for it.
        images: All of one size.
        folder: Keeps the probabilities, `SOFT_LABELS`, and beside them whose they are.

    Returns:
        Of each image (H, W, 11) uint8.

    Raises:
        SourceError: If the weights or a video cannot be read, or the folder has what another
            teacher said, or what was said of other images.
    """
    shape = (len(images), *images[0][1].shape, len(CAMVID))
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        msg = f'cannot load the teacher {weights}: {error}'
        raise SourceError(msg) from error
    origin = {
        'weights': digest,
        'height': height,
        'videos': images.videos,
        'step': images.step,
    }

    def ask(first: int) -> Iterator[NDArray[np.uint8]]:
        teacher = Teacher(weights, height)
        for image in islice(images.originals(), first, None):
            yield teacher.probabilities(image, shape[1:3])

    return keep_probabilities(folder / SOFT_LABELS, origin, shape, ask)


def distillation_loss(logits: Tensor, soft: Tensor) -> Tensor:
    """Cross-entropy against the teacher's probabilities, mean over the pixels that have some.

    Its gradient is that of the Kullback-Leibler divergence (Liu et al., CVPR 2019, eq. 2).

    Args:
        logits: (B, C, h, w) float at the network's own resolution.
        soft: (B, C, H, W) uint8 probabilities, 255 = 1; all 0 where there are none.

    Returns:
        Scalar; 0 with a gradient of 0 if no pixel has any.
    """
    logits = in_whole_precision(logits)
    if logits.shape[-2:] != soft.shape[-2:]:
        logits = F.interpolate(logits, size=soft.shape[-2:], mode='bilinear', align_corners=False)
    return soft_cross_entropy(logits, soft.to(logits.dtype) / 255)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against probabilities, mean over their sum.

    Args:
        logits: (B, C, H, W) float.
        target: (B, C, H, W) float probabilities; all 0 where there are none.

    Returns:
        Scalar, see `vidseg_training.processes.joint_mean`.
    """
    logits, target = in_whole_precision(logits), in_whole_precision(target)
    return joint_mean(-(target * logits.log_softmax(1)).sum(), target.sum())
