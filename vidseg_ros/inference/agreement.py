# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Check before trust: does what was made of a model still say the same as the model?

Whoever makes an artefact (a file of another precision, a TensorRT engine) compares it with its
source here before the artefact gets its final name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.model_card import ColorOrder
from vidseg_ros.core.street import StreetClip
from vidseg_ros.inference.prediction import SegmentationEngine

CHECK_FRAMES: Final = 8
"""Frames on which an artefact is compared with its source, where nobody gives more."""

COMMON: Final = 0.005
"""Share of the pixels from which a class counts by itself, 0 to 1: that a small one is lost, all
pixels together do not show; in even smaller ones a few pixels decide."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far an artefact may be from its source."""

    pixels: float
    """Least share of pixels with the same class, 0 to 1."""
    class_iou: float
    """Least IoU of each class with at least `COMMON` of the source's pixels, 0 to 1."""
    miou_loss: float
    """How much lower its mIoU against true labels may be, 0 to 1; only where such are given."""


TOLERANCES: Final = {
    'fp32': Tolerance(pixels=0.99, class_iou=0.8, miou_loss=0.001),
    'fp16': Tolerance(pixels=0.99, class_iou=0.8, miou_loss=0.005),
    'int8': Tolerance(pixels=0.95, class_iou=0.6, miou_loss=0.01),
}
"""By the precision of the artefact."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One frame to compare on."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8 in the colour order of the model's card."""
    truth: NDArray[np.uint8] | None = None
    """(H', W') uint8 true ids, 255 = ignored; None where there are none."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well the label maps of an artefact agree with those of its source."""

    frames: int
    """Number of frames compared."""
    pixels: float
    """Share of the pixels with the same class, 0 to 1."""
    iou: Mapping[str, float]
    """IoU of each class that either gave, with the source's label maps as truth, 0 to 1."""
    classes: tuple[str, ...]
    """Names of the classes that the source gave."""
    shares: Mapping[str, float]
    """Share of the pixels of each of these classes, 0 to 1."""
    source_miou: float | None = None
    """mIoU of the source against true labels, 0 to 1; None without any."""
    artefact_miou: float | None = None
    """mIoU of the artefact against the same labels, 0 to 1; None without any."""

    @property
    def miou(self) -> float:
        """Mean of `iou`, 0 to 1."""
        return sum(self.iou.values()) / len(self.iou)

    def __str__(self) -> str:
        """Return the numbers for people."""
        text = f'{self.pixels:.2%} of the pixels of {self.frames} frames, mIoU {self.miou:.4f}'
        if self.source_miou is None or self.artefact_miou is None:
            return text
        return f'{text}; against true labels {self.artefact_miou:.4f}, not {self.source_miou:.4f}'

    @classmethod
    def of(cls, confusion: Confusion, labels: LabelSet, *, frames: int) -> 'Agreement':
        """Read it off a confusion matrix with the source's label maps as truth.

        Args:
            confusion: At least one pixel.
            labels: The classes.
            frames: Number of frames counted there.
        """
        matrix, names = confusion.matrix, labels.names
        iou = {
            name: float(value)
            for name, value in zip(names, confusion.iou(), strict=True)
            if np.isfinite(value)
        }
        of_source = matrix.sum(axis=1) / matrix.sum()
        seen = np.flatnonzero(of_source)
        return cls(
            frames=frames,
            pixels=float(np.trace(matrix) / matrix.sum()),
            iou=iou,
            classes=tuple(names[index] for index in seen),
            shares={names[index]: float(of_source[index]) for index in seen},
        )


def compare(
    artefact: SegmentationEngine, source: SegmentationEngine, samples: Iterable[Sample]
) -> Agreement:
    """Run both engines on the same frames and compare their label maps.

    Args:
        artefact: What was made.
        source: What it was made of; has the same classes.
        samples: At least one frame; read once, one after the other.

    Raises:
        ModelError: If the two have not the same classes.
        EngineError: If one of them fails.
    """
    labels = source.card.labels
    if artefact.card.labels.names != labels.names:
        msg = (
            f'{artefact.card.name} and {source.card.name} have other classes and cannot be '
            'compared; take the model it was made of'
        )
        raise ModelError(msg)
    count = len(labels)
    both, of_source, of_artefact = Confusion(count), Confusion(count), Confusion(count)
    frames = 0
    for frames, sample in enumerate(samples, 1):  # noqa: B007  # the number of the last one
        expected = source.infer([sample.image]).labels[0]
        found = artefact.infer([sample.image]).labels[0]
        both.add(expected, resize_labels(found, expected.shape))
        if sample.truth is not None:
            size = sample.truth.shape
            of_source.add(sample.truth, resize_labels(expected, size))
            of_artefact.add(sample.truth, resize_labels(found, size))
    assert frames, 'nothing to compare on'
    agreement = Agreement.of(both, labels, frames=frames)
    if not of_source.pixels:
        return agreement
    return Agreement(
        **vars(agreement) | {'source_miou': of_source.miou(), 'artefact_miou': of_artefact.miou()}
    )


def require(agreement: Agreement, tolerance: Tolerance, what: str) -> None:
    """Refuse an artefact that disagrees with its source.

    Args:
        agreement: What `compare` found.
        tolerance: What is asked for, usually one of `TOLERANCES`.
        what: The artefact, for people.

    Raises:
        ModelError: If it disagrees.
    """
    lost = 0.0
    if agreement.source_miou is not None and agreement.artefact_miou is not None:
        lost = agreement.source_miou - agreement.artefact_miou
    common = [agreement.iou[name] for name, share in agreement.shares.items() if share >= COMMON]
    alike = agreement.pixels >= tolerance.pixels and min(common, default=1) >= tolerance.class_iou
    if alike and lost <= tolerance.miou_loss:
        return
    worst = sorted(agreement.iou, key=agreement.iou.__getitem__)[:3]
    msg = (
        f'{what} is not kept: it agrees with its source on {agreement}; needed are '
        f'{tolerance.pixels:.0%} of the pixels, IoU {tolerance.class_iou:.1f} of each class with '
        f'at least {COMMON:.1%} of them, and at most {tolerance.miou_loss:.3f} mIoU less. '
        f'Worst classes: {", ".join(f"{name} {agreement.iou[name]:.3f}" for name in worst)}. '
        'Choose a higher precision, or calibrate on frames like those it will see'
    )
    raise ModelError(msg)


def street_frames(order: ColorOrder) -> list[NDArray[np.uint8]]:
    """Draw `CHECK_FRAMES` frames of made-up streets, each (360, 640, 3) uint8."""
    images = [StreetClip(seed=seed).frame(15 * seed).image for seed in range(CHECK_FRAMES)]
    return images if order == 'rgb8' else [np.ascontiguousarray(i[..., ::-1]) for i in images]
