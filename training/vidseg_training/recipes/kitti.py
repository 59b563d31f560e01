# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs on KITTI semantics."""

from vidseg_training.config import TrainConfig


def kitti_dual_resolution() -> TrainConfig:
    """DualResolutionNet from Cityscapes to KITTI semantics, as Zhu et al. (CVPR 2019) fine-tune.

    Their settings: gradient descent at 1e-3 with a linear decay, crops of 360, scales 1 to 2,
    batches of 16, 90 epochs, half of the crops class-uniform out of tiles of 300 in every epoch,
    every crop blurred; ten networks, each without a tenth of the images, of which one is handed in
    (three splits in their code). Not theirs: their class weights are of each image, 1 + share of
    the others, ours ENet's, of the whole set, and taken out of the network that ships
    (`vidseg_training.losses`); their colours change in hue as well.

    Command, for one tenth; ``cross-validate`` instead of ``fit``, without ``--fold``, does all::

        vidseg-train fit kitti_dual_resolution --data KITTI --fold 0
            --init runs/cityscapes_dual_resolution

    Result: not run here; Zhu et al. report 72.8 mIoU on the test server with WideResNet38 (137 M
    parameters). Their test script looks through windows of 368 pixels, at scales 1.5, 2 and 2.5,
    with mirrored images, as ``evaluate --scales 1.5 2 2.5 --flip --sliding-window 368 368`` does;
    what ``cross-validate`` says is at one scale, without windows and flip, on held-out images.
    """
    return TrainConfig(
        name='kitti_dual_resolution',
        network='dual_resolution',
        dataset='kitti',
        input_size=(376, 1248),
        crop_size=(360, 360),
        scale_range=(1.0, 2.0),
        blur=1.0,
        epochs=90,
        batch_size=16,
        optimizer='sgd',
        learning_rate=1e-3,
        warmup_steps=0,
        poly_power=1.0,
        class_uniform=0.5,
        class_uniform_share=1.0,
        class_uniform_tile=300,
        validate_epochs=10,
    )
