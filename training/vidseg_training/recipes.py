# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training runs: one function each, with its command and its expected result."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from vidseg_training.config import TrainConfig
from vidseg_training.consistency.recipes import CONSISTENCY_RECIPES


def camvid_dual_resolution() -> TrainConfig:
    """DualResolutionNet on CamVid's 11 classes, from random weights.

    Command::

        vidseg-train fit camvid_dual_resolution --data DATA/camvid

    Result: not run here.
    """
    return TrainConfig(
        name='camvid_dual_resolution',
        network='dual_resolution',
        dataset='camvid',
        input_size=(360, 480),
        crop_size=(360, 360),
        scale_range=(0.75, 2.0),
        epochs=800,
        batch_size=8,
        learning_rate=1e-3,
        validate_epochs=50,
    )


def camvid_dual_resolution_small() -> TrainConfig:
    """DualResolutionNet below 1 M parameters on CamVid's 11 classes, from random weights.

    Epochs, rate, crop and scales of the two recipes are those with which compact networks are
    usually trained there (DABNet: Li et al., BMVC 2019, and its successors).

    Command::

        vidseg-train fit camvid_dual_resolution_small --data DATA/camvid

    Result: not run here.
    """
    return replace(
        camvid_dual_resolution(),
        name='camvid_dual_resolution_small',
        network='dual_resolution_small',
    )


def camvid_fddwnet() -> TrainConfig:
    """FDDWNet from Cityscapes weights to CamVid's 11 classes.

    Command::

        vidseg-train fit camvid_fddwnet --data DATA/camvid
            --init DATA/weights/fddwnet_cityscapes.pth
            --teacher DATA/weights/fddwnet_cityscapes.pth
            --unlabelled DATA/dashcam/{lanelines_solidWhiteRight,test_small1,project_video_cut}.mp4
            --unlabelled-licence MIT

    Result: 67.8 mIoU on CamVid test, docs/models.md.

    The classifier starts from the Cityscapes class nearest to each CamVid class, see
    `vidseg_training.starting_weights.CAMVID_FROM_CITYSCAPES`.
    """
    return TrainConfig(
        name='camvid_fddwnet',
        network='fddwnet',
        dataset='camvid',
        input_size=(480, 640),
        crop_size=(360, 480),
        scale_range=(0.95, 2.0),
        night=0.05,
        epochs=14,
        batch_size=4,
        learning_rate=5e-4,
        distillation_weight=0.3,
    )


def camvid_fddwnet_large() -> TrainConfig:
    """FDDWNet from Cityscapes weights to CamVid at 960x720, with the ingredients of Zhu et al.

    Boundary label relaxation with a hard phase, class-uniform sampling, averaged weights. The
    480x360 images are enlarged, so this measures transfer and not speed: the model costs four
    times as much as at 480x360.

    Command::

        vidseg-train fit camvid_fddwnet_large --data DATA/camvid
            --init DATA/weights/fddwnet_cityscapes.pth

    Result: not run to its end yet.
    """
    return TrainConfig(
        name='camvid_fddwnet_large',
        network='fddwnet',
        dataset='camvid',
        input_size=(720, 960),
        crop_size=(384, 512),
        scale_range=(1.4, 2.9),
        epochs=24,
        batch_size=4,
        learning_rate=4e-4,
        class_weight_offset=None,
        relaxed_share=0.6,
        strict_classes=('pole', 'sign', 'pedestrian', 'bicyclist'),
        class_uniform=0.5,
        ema_decay=0.998,
    )


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


RECIPES: Final[dict[str, Callable[[], TrainConfig]]] = {
    'camvid_dual_resolution': camvid_dual_resolution,
    'camvid_dual_resolution_small': camvid_dual_resolution_small,
    'camvid_fddwnet': camvid_fddwnet,
    'camvid_fddwnet_large': camvid_fddwnet_large,
    'own_compact': own_compact,
    'street_compact': street_compact,
    **CONSISTENCY_RECIPES,
}
"""Every recipe by name."""
