# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs on Mapillary Vistas, mostly to start others from."""

from vidseg_training.config import TrainConfig


def mapillary_dual_resolution() -> TrainConfig:
    """DualResolutionNet on the 65 classes of Mapillary Vistas 1.2, to start Cityscapes from.

    The settings are those with which Zhu et al. (CVPR 2019) train before Cityscapes: gradient
    descent at 2e-2 with a linear decay, crops of 896, scales 0.5 to 2, batches of 16, 175 epochs,
    half of the crops class-uniform in every epoch, blurred crops, validation at a height of 1536.
    Not theirs: the network, and random weights at the start instead of ImageNet's; class weights
    are of the whole set and taken out of the network that ships, theirs of each image; their
    colours change in hue as well.

    Command::

        vidseg-train fit mapillary_dual_resolution --data VISTAS --precision 16-mixed --workers 8

    ``--dataset mapillary_2.0`` learns the classes of version 2.0.

    Result: not run here; no figure of this step is published.
    """
    return TrainConfig(
        name='mapillary_dual_resolution',
        network='dual_resolution',
        dataset='mapillary_1.2',
        input_size=(1536, 2048),
        crop_size=(896, 896),
        scale_range=(0.5, 2.0),
        blur=1.0,
        epochs=175,
        batch_size=16,
        optimizer='sgd',
        learning_rate=2e-2,
        warmup_steps=0,
        poly_power=1.0,
        class_uniform=0.5,
        class_uniform_share=1.0,
        class_uniform_tile=1024,
        validate_epochs=25,
    )
