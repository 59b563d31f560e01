# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The loss of a prediction against labels."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.config import TrainConfig
from vidseg_training.data.label_statistics import class_weights
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.lovasz import lovasz_softmax_loss
from vidseg_training.networks.base import SegmentationNetwork
from vidseg_training.processes import joint_mean
from vidseg_training.relaxation import (
    boundary_cross_entropy,
    in_whole_precision,
    relaxed_cross_entropy,
)
from vidseg_training.shown_classes import ShownClasses


class Lattice(NamedTuple):
    """One label of each block of stride x stride, at the same place in all blocks."""

    stride: int = 1
    """Rows and columns from one to the next."""
    row: int = 0
    """The first row, 0 to stride - 1."""
    column: int = 0
    """The first column, 0 to stride - 1."""

    @classmethod
    def draw(cls, stride: int, seed: tuple[int, int]) -> 'Lattice':
        """Return a lattice drawn evenly from all of a stride; the same one for equal seeds."""
        row, column = np.random.default_rng(seed).integers(stride, size=2).tolist()
        return cls(stride, row, column)

    def of_labels(self, labels: Tensor) -> Tensor:
        """Return those of (B, H, W) labels that lie on it, (B, H/stride, W/stride)."""
        return labels[:, self.row :: self.stride, self.column :: self.stride]

    def of_logits(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Return logits as bilinear interpolation to a size has them where the lattice lies.

        Args:
            logits: (B, C, h, w) float.
            size: Height and width of the labels, H and W.

        Returns:
            (B, C, H/stride, W/stride) float, as many as `of_labels`.
        """
        rows = _interpolation(logits.shape[-2], size[0], logits)[self.row :: self.stride]
        columns = _interpolation(logits.shape[-1], size[1], logits)[self.column :: self.stride]
        return rows @ logits.contiguous() @ columns.T


EVERY_LABEL: Final = Lattice()
"""No label is left out."""


def _interpolation(side: int, size: int, like: Tensor) -> Tensor:
    """Return (size, side): what bilinear interpolation of a side to a size multiplies with."""
    corners = torch.eye(side, dtype=like.dtype, device=like.device)[None, None]
    scaled = F.interpolate(corners, size=(size, side), mode='bilinear', align_corners=False)
    return scaled[0, 0]


def segmentation_loss(  # noqa: PLR0913  # the last by name
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    *,
    relaxed: bool | None = None,
    strict: Sequence[int] = (),
    lattice: Lattice = EVERY_LABEL,
) -> Tensor:
    """Cross-entropy at label resolution, at all labels or at a lattice of them.

    Logits at every label can cost more than a small network; a lattice of stride 4 has a 16th of
    them. Over all lattices, loss and gradient are those of every label where each has as much
    weight: without class weights, with equal void, at sides that are multiples of the stride.

    Args:
        logits: (B, C, h, w) float at the network's own resolution; half ones are computed with in
            float32.
        labels: (B, H, W) int64 ids, 255 ignored.
        weights: (C,) float class weights, or None.
        relaxed: True: boundaries relaxed; False: boundaries counted twice, the phase after that
            (`vidseg_training.relaxation`); None: plain.
        strict: Ids of classes that are not relaxed.
        lattice: The labels that count; for plain cross-entropy only.

    Returns:
        Scalar, see `vidseg_training.processes.joint_mean`.

    Raises:
        ValueError: If boundaries are asked for at a lattice, which has no neighbouring labels.
    """
    logits = in_whole_precision(logits)
    if lattice.stride > 1:
        if relaxed is not None:
            msg = 'relaxation needs every label, not a lattice of them'
            raise ValueError(msg)
        logits, labels = lattice.of_logits(logits, labels.shape[-2:]), lattice.of_labels(labels)
    elif logits.shape[-2:] != labels.shape[-2:]:
        logits = F.interpolate(
            logits, size=labels.shape[-2:], mode='bilinear', align_corners=False
        )
    if relaxed is not None:
        if relaxed:
            return relaxed_cross_entropy(logits, labels, weights, strict)
        return boundary_cross_entropy(logits, labels, weights)
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE_ID, reduction='none')
    pixel_weights = (labels != IGNORE_ID).to(losses.dtype)
    if weights is not None:
        pixel_weights = pixel_weights * weights[labels.clamp(max=len(weights) - 1)]
    return joint_mean((losses * pixel_weights).sum(), pixel_weights.sum())


def class_ids(setting: str, wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the ids of the classes that a setting names.

    Args:
        setting: Name of the setting, for the message.
        wanted: Its value.
        names: Names of all classes.

    Raises:
        ParameterError: If one is unknown.
    """
    if unknown := sorted(set(wanted) - set(names)):
        msg = f'{setting}: {", ".join(unknown)} not among {", ".join(names)}'
        raise ParameterError(msg)
    return [names.index(name) for name in wanted]


def ships_unweighted(config: TrainConfig) -> bool:
    """Return whether a run has class weights that are taken out of the network that ships.

    What a teacher says is not weighted, nor is the Lovász loss, so with one of them there is
    nothing exact to take out; docs/models.md has what validation says of the teacher.
    """
    unweighted = config.teacher or config.distillation.pixel or config.lovasz_weight
    return config.class_weight_offset is not None and not unweighted


def without_class_weights(
    network: nn.Module, config: TrainConfig, weights: Sequence[float] | None
) -> nn.Module:
    """Return a trained network as it ships: where `ships_unweighted`, a copy that says p(class).

    Under weights w it learns p(class) * w, which a constant in each logit undoes (logit
    adjustment, Menon et al., ICLR 2021).

    Args:
        network: As it was trained.
        config: Settings of its run.
        weights: Class weights of the run, `LabelLoss.class_weights`.
    """
    if weights is None or not ships_unweighted(config):
        return network
    shipped = deepcopy(network)
    assert isinstance(shipped, SegmentationNetwork)
    shipped.shift_logits(-torch.tensor(weights, device=next(shipped.parameters()).device).log())
    return shipped


class LabelLoss:
    """The loss against labels that a configuration asks for.

    Attributes:
        class_weights: Weight of each class, None without them.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: LabelledImages,
        device: torch.device,
        steps: int,
        folder: Path | None = None,
    ) -> None:
        """Prepare class weights.

        Args:
            config: The settings.
            images: Training set, whose label maps are counted for the weights.
            device: Of the labels.
            steps: Of an epoch; where no label maps are counted, those of its crops are watched.
            folder: Keeps the counts; None: nothing is kept.

        Raises:
            ParameterError: If a strict class is unknown.
        """
        self._config = config
        names = images.label_set.names
        self._strict = class_ids('strict_classes', config.strict_classes, names)
        self.class_weights: list[float] | None = None
        self._weights = None
        if config.class_weight_offset is not None:
            weights = class_weights(images, config.class_weight_offset, folder)
            self.class_weights = weights.tolist()
            self._weights = torch.from_numpy(weights).to(device)
        counted = config.class_weight_offset is not None or config.class_uniform
        self._shown = None if counted else ShownClasses(names, steps, device)

    def __call__(self, outputs: Sequence[Tensor], labels: Tensor, epoch: int, step: int) -> Tensor:
        """Return the loss of a network's outputs.

        Args:
            outputs: Logits (B, C, h, w), then those of auxiliary heads.
            labels: (b, H, W) int64 ids of the first b <= B images, 255 ignored.
            epoch: Epoch from 0: relaxation ends with its share of them.
            step: Step of the run, from 0: each has a lattice of its own.

        Returns:
            Scalar: main loss, weighted auxiliary losses and the weighted Lovász loss.
        """
        if self._shown is not None:
            self._shown.watch(labels)
        share = self._config.relaxed_share
        relaxed = epoch < self._config.epochs * share if share else None
        lattice = Lattice.draw(self._config.loss_stride, (self._config.seed, step))
        main, *auxiliary = (
            segmentation_loss(
                logits[: len(labels)],
                labels,
                self._weights,
                relaxed=relaxed,
                strict=self._strict,
                lattice=lattice,
            )
            for logits in outputs
        )
        for other in auxiliary:
            main = main + self._config.auxiliary_weight * other
        if self._config.lovasz_weight:
            lovasz = lovasz_softmax_loss(outputs[0][: len(labels)], labels)
            main = main + self._config.lovasz_weight * lovasz
        return main
