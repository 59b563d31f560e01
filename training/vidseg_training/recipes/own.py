# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs on data of one's own, and on the street clips that this project makes."""

from vidseg_training.config import TrainConfig


def own_compact() -> TrainConfig:
    """CompactNet on a data set of one's own (`vidseg_training.data.image_folder`).

    Command::

        vidseg-train fit own_compact --data my_drive --out runs/own_compact

    ``--network fddwnet --init fddwnet_cityscapes.pth`` starts from published Cityscapes weights
    instead of random ones.

    Result: depends on the data.
    """
    return TrainConfig(
        name='own_compact',
        network='compact',
        dataset='folder',
        input_size=(288, 512),
        crop_size=(256, 384),
        scale_range=(0.75, 1.5),
        epochs=60,
        batch_size=8,
        learning_rate=2e-3,
        weight_decay=1e-3,
        validate_epochs=10,
    )


def street_compact() -> TrainConfig:
    """The demo's network: CompactNet on procedural street clips, from random weights.

    Command::

        vidseg-train fit street_compact --out runs/street_compact

    Result: 71.9 mIoU on street clips of other seeds, docs/models.md.
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
