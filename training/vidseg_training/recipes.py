# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training runs: one function each, with its command and its expected result."""

from collections.abc import Callable
from typing import Final

from vidseg_training.config import TrainConfig


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


RECIPES: Final[dict[str, Callable[[], TrainConfig]]] = {
    'camvid_fddwnet': camvid_fddwnet,
}
"""Every recipe by name."""
