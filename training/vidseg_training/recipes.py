# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training runs: one function each, with its command and its expected result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vidseg_ros.core.model_card import DataSource
from vidseg_training.config import TrainConfig
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.street import Street


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the model card says of where a recipe's weights come from."""

    command: str
    """Command that trains the recipe."""
    licence: str
    """What the data allow users of the weights."""
    datasets: tuple[DataSource, ...]
    """Data and starting weights."""
    protocol: str
    """Protocol of the score on the test split."""


def camvid_fddwnet() -> TrainConfig:
    """FDDWNet from Cityscapes weights to CamVid's 11 classes.

    Command::

        vidseg-train fit camvid_fddwnet --data DATA/camvid
            --init DATA/weights/fddwnet_cityscapes.pth --out runs/camvid_fddwnet

    The classifier starts from the Cityscapes class nearest to each CamVid class, see
    `vidseg_training.fitting.CITYSCAPES_TO_CAMVID`.
    """
    return TrainConfig(
        name='camvid_fddwnet',
        network='fddwnet',
        dataset='camvid',
        input_size=(360, 480),
        crop_size=(360, 360),
        epochs=20,
        batch_size=4,
        learning_rate=5e-4,
    )


def street_compact() -> TrainConfig:
    """The demo's network: CompactNet on procedural street clips, from random weights.

    Command::

        vidseg-train fit street_compact --out runs/street_compact
    """
    return TrainConfig(
        name='street_compact',
        network='compact',
        dataset='street',
        input_size=(224, 400),
        crop_size=(208, 320),
        scale_range=(0.8, 1.5),
        epochs=24,
        batch_size=8,
        learning_rate=2e-3,
        weight_decay=1e-3,
        validate_epochs=8,
    )


RECIPES: Final[dict[str, Callable[[], TrainConfig]]] = {
    'camvid_fddwnet': camvid_fddwnet,
    'street_compact': street_compact,
}
"""Every recipe by name."""

PROVENANCE: Final[dict[str, Provenance]] = {
    'camvid_fddwnet': Provenance(
        command='vidseg-train fit camvid_fddwnet --data DATA/camvid '
        '--init DATA/weights/fddwnet_cityscapes.pth',
        licence='research and other non-commercial use, as CamVid and Cityscapes demand',
        datasets=(
            CamVid.source,
            DataSource(
                name='FDDWNet weights trained on Cityscapes, '
                'github.com/zh320/realtime-semantic-segmentation-pytorch',
                licence='Apache-2.0 (weights); Cityscapes allows non-commercial use',
                use='starting weights',
            ),
        ),
        protocol='CamVid test (233 images), last epoch, 480x360, 11 classes, void ignored, '
        'one scale, no flip',
    ),
    'street_compact': Provenance(
        command='vidseg-train fit street_compact',
        licence='Apache-2.0',
        datasets=(Street.source,),
        protocol='procedural street clips, seeds 3000 to 3007, 8 frames each, last epoch, '
        '10 classes at 400x224, one scale, no flip',
    ),
}
"""Provenance of every recipe's weights."""
