# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs on Cityscapes: the networks of Liu et al. (ECCV 2020), and training as Zhu et al. do it."""

from dataclasses import replace

from vidseg_training.config import TrainConfig


def cityscapes_pspnet_resnet18() -> TrainConfig:
    """PSPNet-ResNet18 on Cityscapes from ImageNet weights, the main student of Liu et al.

    Theirs are gradient descent at 1e-2, poly decay of power 0.9, weight decay 1e-4, batches of 8,
    200 epochs, scales 0.5 to 2, turns of up to 10 degrees and blur for half of the images each, an
    auxiliary loss of weight 0.4 and class weights. Not theirs: crops of 768 (theirs 769), one rate
    for all layers (new ones learn ten times as fast there), class weights computed from the
    images and taken out of the network that ships (`vidseg_training.losses`), a drawn width of the
    blur (theirs is 1.1 pixels), and turns before the resize, whose corners are black (theirs have
    the mean colour). Colours stay as they are, as there.

    Command::

        vidseg-train fit cityscapes_pspnet_resnet18 --data CITYSCAPES
            --init resnet18-f37072fd.pth --precision 16-mixed --workers 8

    Result: not run here; Liu et al. publish 69.8 mIoU on val at one scale with mirrored images
    (``evaluate --split val --flip``), without their temporal losses (README of
    github.com/irfanICMLL/ETC-Real-time-Per-frame-Semantic-video-segmentation).
    """
    return TrainConfig(
        name='cityscapes_pspnet_resnet18',
        network='pspnet_resnet18',
        dataset='cityscapes',
        input_size=(1024, 2048),
        crop_size=(768, 768),
        scale_range=(0.5, 2.0),
        color_jitter=0.0,
        rotation=10.0,
        blur=0.5,
        epochs=200,
        batch_size=8,
        optimizer='sgd',
        learning_rate=1e-2,
        warmup_steps=0,
        validate_epochs=10,
    )


def cityscapes_pspnet_mobilenet_v2() -> TrainConfig:
    """PSPNet-MobileNetV2 on Cityscapes from ImageNet weights, a student of Liu et al.

    Settings as in `cityscapes_pspnet_resnet18`.

    Command::

        vidseg-train fit cityscapes_pspnet_mobilenet_v2 --data CITYSCAPES
            --init mobilenet_v2-7ebf99e0.pth --precision 16-mixed --workers 8

    Result: not run here, and no figure of this head is published for it.
    """
    return replace(
        cityscapes_pspnet_resnet18(),
        name='cityscapes_pspnet_mobilenet_v2',
        network='pspnet_mobilenet_v2',
    )


def cityscapes_pspnet_resnet101() -> TrainConfig:
    """PSPNet-ResNet101 on Cityscapes from ImageNet weights, the teacher of Liu et al.

    Settings as in `cityscapes_pspnet_resnet18`.

    Command::

        vidseg-train fit cityscapes_pspnet_resnet101 --data CITYSCAPES
            --init resnet101-63fe2227.pth --precision 16-mixed --workers 8

    Result: not run here; ETC's teacher, whose score its authors did not publish.
    """
    return replace(
        cityscapes_pspnet_resnet18(),
        name='cityscapes_pspnet_resnet101',
        network='pspnet_resnet101',
    )


def cityscapes_hrnet_w18_small() -> TrainConfig:
    """HRNet-W18-Small on Cityscapes from ImageNet weights, a student of Liu et al.

    The settings are those of its authors (file seg_hrnet_w18_small_v2_512x1024_sgd_lr1e-2_wd5e-4_
    bs_12_epoch484.yaml of github.com/HRNet/HRNet-Semantic-Segmentation).

    Command::

        vidseg-train fit cityscapes_hrnet_w18_small --data CITYSCAPES
            --init hrnet_w18_small_model_v2.pth --precision 16-mixed --workers 8

    Result: not run here; its authors publish 76.2 mIoU on val at one scale without flip
    (``evaluate --split val``).
    """
    return replace(
        cityscapes_pspnet_resnet18(),
        name='cityscapes_hrnet_w18_small',
        network='hrnet_w18_small',
        crop_size=(512, 1024),
        rotation=0.0,
        blur=0.0,
        epochs=484,
        batch_size=12,
        weight_decay=5e-4,
        validate_epochs=22,
    )


def cityscapes_dual_resolution() -> TrainConfig:
    """DualResolutionNet from Mapillary Vistas to Cityscapes, as Zhu et al. (CVPR 2019) fine-tune.

    Their settings: gradient descent at 1e-3, crops of 896, batches of 16, 175 epochs; the first
    100 with relaxed boundaries and a linear decay, which then starts a second time with power 1.5
    while boundaries count twice; half of the crops class-uniform out of tiles of 1024; every crop
    blurred (sigma 0.15 to 1.3). Not theirs: the network; bicubic resizing, changes of hue, and
    class weights of each crop within the relaxed loss, which are left out; and the epochs after
    150, in which their code leaves out coarse and propagated images and goes on class-uniformly,
    while here all crops are drawn evenly.

    Command::

        vidseg-train fit cityscapes_dual_resolution --data CITYSCAPES
            --init runs/mapillary_dual_resolution --precision 16-mixed --workers 8
            --boost-classes wall fence rider truck bus train motorcycle

    The last line wants the coarse images (gtCoarse, train_extra); without it they are not read.

    Result: not run here; with SE-ResNeXt50 (42 M parameters) they publish 80.0 mIoU on val
    (github.com/NVIDIA/semantic-segmentation, branch sdcnet), whose script looks at one scale
    through windows of 1024 pixels with mirrored images (``evaluate --split val --flip
    --sliding-window 1024 1024``).
    """
    return TrainConfig(
        name='cityscapes_dual_resolution',
        network='dual_resolution',
        dataset='cityscapes',
        input_size=(1024, 2048),
        crop_size=(896, 896),
        scale_range=(0.5, 2.0),
        blur=1.0,
        epochs=175,
        batch_size=16,
        optimizer='sgd',
        learning_rate=1e-3,
        warmup_steps=0,
        poly_power=1.0,
        restart_share=100 / 175,
        class_weight_offset=None,
        relaxed_share=100 / 175,
        strict_classes=(
            'pole',
            'traffic light',
            'traffic sign',
            'person',
            'rider',
            'motorcycle',
            'bicycle',
        ),
        class_uniform=0.5,
        class_uniform_share=150 / 175,
        class_uniform_tile=1024,
        validate_epochs=25,
    )
