# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs on VSPW."""

from vidseg_training.config import TrainConfig


def vspw_pspnet_resnet101() -> TrainConfig:
    """PSPNet-ResNet101 on VSPW at 480p from ImageNet weights, the per-frame baseline of the set.

    The settings are those of the set's authors (scripts/run_psp.sh of
    github.com/sssdddwww2/CVPR2021_VSPW_Implement): gradient descent at 2e-3, poly decay of power
    0.9, batches of 8, an auxiliary loss of weight 0.4; crops of 480 (theirs 479). They count 120
    epochs in another way; here one passes over every frame, and there are two.

    Command::

        vidseg-train fit vspw_pspnet_resnet101 --data VSPW_480p --init resnet101-63fe2227.pth
            --precision 16-mixed --workers 8

    ``--network pspnet_resnet18 --init resnet18-f37072fd.pth`` makes it a student.

    Result: not run here; no figure of this network there is known to us.
    """
    return TrainConfig(
        name='vspw_pspnet_resnet101',
        network='pspnet_resnet101',
        dataset='vspw',
        input_size=(480, 856),
        crop_size=(480, 480),
        scale_range=(0.5, 2.0),
        epochs=2,
        batch_size=8,
        optimizer='sgd',
        learning_rate=2e-3,
        warmup_steps=0,
        class_weight_offset=None,
        checkpoint_steps=500,
        validate_epochs=1,
    )
