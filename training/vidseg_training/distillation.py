# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Learning from a teacher: pixel-wise distillation (Liu et al., CVPR 2019, eq. 2).

The teacher here is the published Cityscapes network on enlarged images: small things are large
enough for it there, so it knows more than the same network at the student's own size. It runs
once over the training images; its class probabilities are kept in a file of the run.
"""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track
import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_training.data.footage import WithFootage
from vidseg_training.networks import normalise
from vidseg_training.networks.fddwnet import load_fddwnet
from vidseg_training.processes import joint_mean

_logger = logging.getLogger(__name__)

SOFT_LABELS: Final = 'teacher.npy'

CITYSCAPES_AS_CAMVID: Final = {
    'road': 'road',
    'sidewalk': 'pavement',
    'building': 'building',
    'wall': 'building',
    'fence': 'fence',
    'pole': 'pole',
    'traffic light': 'sign',
    'traffic sign': 'sign',
    'vegetation': 'tree',
    'terrain': 'tree',
    'sky': 'sky',
    'person': 'pedestrian',
    'rider': 'bicyclist',
    'car': 'car',
    'truck': 'car',
    'bus': 'car',
    'train': 'car',
    'motorcycle': 'bicyclist',
    'bicycle': 'bicyclist',
}
"""The CamVid class of every Cityscapes class, in Cityscapes order."""


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
        self._rows = torch.tensor(
            [CAMVID.names.index(CITYSCAPES_AS_CAMVID[name]) for name in CITYSCAPES.names]
        )
        try:
            published = torch.load(weights, map_location='cpu', weights_only=True)
            self._network: nn.Module = load_fddwnet(published['state_dict'], len(CITYSCAPES))
        except Exception as error:
            msg = f'cannot load the teacher {weights}: {error}'
            raise SourceError(msg) from error
        self._device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self._network.eval().to(self._device)

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
            merged = fine.new_zeros(1, len(CAMVID), height, width)
            merged.index_add_(1, self._rows.to(self._device), fine / 2)
            coarse = F.interpolate(merged, size=size, mode='area')
        soft: NDArray[np.uint8] = (
            (coarse[0] * 255).round().permute(1, 2, 0).to(torch.uint8).cpu().numpy()
        )
        return soft


def soft_labels(
    weights: Path, height: int, images: WithFootage, folder: Path
) -> NDArray[np.uint8]:
    """Ask the teacher about every image, or open what it said before.

    Args:
        weights: The teacher's published weights.
        height: Height in pixels to which images are resized for it.
        images: All of one size.
        folder: Keeps the probabilities, `SOFT_LABELS`, and beside them whose they are.

    Returns:
        (N, H, W, 11) uint8, 255 = 1; read from the file as needed.

    Raises:
        SourceError: If the weights or a video cannot be read, or the folder has what another
            teacher said, or what was said of other images.
    """
    path, described = folder / SOFT_LABELS, folder / f'{SOFT_LABELS}.json'
    shape = (len(images), *images[0][1].shape, len(CAMVID))
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        msg = f'cannot load the teacher {weights}: {error}'
        raise SourceError(msg) from error
    origin = {
        'weights': digest,
        'height': height,
        'shape': list(shape),
        'videos': images.videos,
        'step': images.step,
    }
    if not path.is_file():
        teacher = Teacher(weights, height)
        partial = path.with_suffix('.partial')
        table = np.lib.format.open_memmap(partial, 'w+', np.uint8, shape)
        originals = track(images.originals(), description='teacher', total=len(images))
        for index, image in enumerate(originals):
            table[index] = teacher.probabilities(image, shape[1:3])
        table.flush()
        described.write_text(json.dumps(origin), encoding='utf-8')
        os.replace(partial, path)  # noqa: PTH105  # atomic on POSIX
        _logger.info('the teacher looked at %d images: %s', len(images), path)
    if not described.is_file() or json.loads(described.read_text('utf-8')) != origin:
        msg = f'{path} has what another teacher said, or of other images; choose another --out'
        raise SourceError(msg)
    kept: NDArray[np.uint8] = np.load(path, mmap_mode='r')
    return kept


def distillation_loss(logits: Tensor, soft: Tensor) -> Tensor:
    """Cross-entropy against the teacher's probabilities, mean over the pixels that have some.

    Its gradient is that of the Kullback-Leibler divergence (Liu et al., CVPR 2019, eq. 2).

    Args:
        logits: (B, C, h, w) float at the network's own resolution.
        soft: (B, C, H, W) uint8 probabilities, 255 = 1; all 0 where there are none.

    Returns:
        Scalar; 0 with a gradient of 0 if no pixel has any.
    """
    if logits.shape[-2:] != soft.shape[-2:]:
        logits = F.interpolate(logits, size=soft.shape[-2:], mode='bilinear', align_corners=False)
    target = soft.to(logits.dtype) / 255
    return joint_mean(-(target * logits.log_softmax(1)).sum(), target.sum())
