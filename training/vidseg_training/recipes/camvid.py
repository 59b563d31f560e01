# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs on CamVid: 480x360 in the SegNet layout, and 960x720 as it was released."""

from dataclasses import replace

from vidseg_training.config import TrainConfig
from vidseg_training.recipes.cityscapes import cityscapes_pspnet_mobilenet_v2


def camvid_dual_resolution() -> TrainConfig:
    """DualResolutionNet on CamVid's 11 classes, from random weights.

    Command::

        vidseg-train fit camvid_dual_resolution --data DATA/camvid

    Result: 60.0 mIoU on CamVid test after 240 epochs with small crops and 30 of this recipe,
    docs/models.md; not run to its end here. A new network, so nobody has published one. The best
    that is published at this size without other data is 70.5 (LETNet, 0.95 M parameters).
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

    Result: 60.9 mIoU on CamVid test after 560 epochs with small crops and 30 of this recipe,
    docs/models.md; not run to its end here.
    Networks of its size have 66.7 (DABNet, 0.76 M), 68.9 (FBSNet, 0.62 M) and 70.5 (LETNet, 0.95
    M), mostly trained on train and val images.
    """
    return replace(
        camvid_dual_resolution(),
        name='camvid_dual_resolution_small',
        network='dual_resolution_small',
    )


def camvid_from_scratch() -> TrainConfig:
    """DualResolutionNet below 1 M parameters from random weights, for its best accuracy.

    Train and val images, enlarged to 640x480, where thin things are wider; the Lovász loss in the
    place of class weights, a cross-entropy at a 16th of the labels, mixed classes, averaged
    weights.

    Command::

        vidseg-train fit camvid_from_scratch --data DATA/camvid

    Result: 66.8 mIoU on CamVid test after 180 epochs with small crops, 684 of this recipe or much
    like it and 26 with crops of 480x640, docs/models.md; not run as it stands. Published at its
    size: see `camvid_dual_resolution_small`.
    """
    return replace(
        camvid_dual_resolution_small(),
        name='camvid_from_scratch',
        train_split='trainval',
        input_size=(480, 640),
        scale_range=(0.75, 2.25),
        color_jitter=0.5,
        hue_jitter=0.05,
        learning_rate=2e-3,
        warmup_steps=200,
        weight_decay=0.02,
        precision='bf16-mixed',
        class_weight_offset=None,
        lovasz_weight=1.0,
        loss_stride=4,
        class_mix=0.5,
        ema_decay=0.999,
        keep_images=True,
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

    Boundary label relaxation with a hard phase, class-uniform sampling, averaged weights; train
    and val images together, as compact networks are mostly trained there. The 480x360 images are
    enlarged, so this measures transfer and not speed: the model costs four times as much as at
    480x360.

    Command::

        vidseg-train fit camvid_fddwnet_large --data DATA/camvid
            --init DATA/weights/fddwnet_cityscapes.pth

    Result: 72.2 mIoU on CamVid test, at 640x480 70.2, docs/models.md.
    """
    return TrainConfig(
        name='camvid_fddwnet_large',
        network='fddwnet',
        dataset='camvid',
        train_split='trainval',
        input_size=(720, 960),
        crop_size=(384, 512),
        scale_range=(1.25, 2.75),
        epochs=16,
        batch_size=4,
        learning_rate=4e-4,
        precision='bf16-mixed',
        class_weight_offset=None,
        relaxed_share=0.6,
        strict_classes=('pole', 'sign', 'pedestrian', 'bicyclist'),
        class_uniform=0.5,
        ema_decay=0.998,
        validate_epochs=8,
    )


def camvid_fddwnet_fast() -> TrainConfig:
    """FDDWNet from `camvid_fddwnet_large` to a size that two idle CPUs run 15 times a second.

    The ingredients are those of `camvid_fddwnet_large`; beside the labels, the published
    Cityscapes network says what it sees in frames of video, so that other roads than Cambridge's
    are not forgotten.

    Command::

        vidseg-train fit camvid_fddwnet_fast --data DATA/camvid
            --init runs/camvid_fddwnet_large
            --teacher DATA/weights/fddwnet_cityscapes.pth
            --unlabelled DATA/dashcam/{lanelines_solidWhiteRight,test_small1,project_video_cut}.mp4
            --unlabelled-licence MIT
        vidseg-train export runs/camvid_fddwnet_fast --input-size 432 576
            --out camvid_fddwnet_fast.onnx

    Result: 68.3 mIoU on CamVid test at 576x432, at 480x360 66.5, docs/models.md.
    """
    return replace(
        camvid_fddwnet_large(),
        name='camvid_fddwnet_fast',
        input_size=(360, 480),
        crop_size=(320, 432),
        scale_range=(0.8, 1.7),
        night=0.05,
        epochs=10,
        distillation_weight=0.3,
        validate_epochs=5,
    )


def camvid_full_dual_resolution() -> TrainConfig:
    """DualResolutionNet on CamVid at 960x720, from random weights, train and val images.

    The schedule of `camvid_dual_resolution` at twice the size. Compact networks are mostly
    trained on the 468 images of train and val together.

    Command::

        vidseg-train fit camvid_full_dual_resolution --data CAMVID_RELEASE

    Result: not run here; published at this size without other data: 71.0 mIoU on test,
    LMFFNet-L with 1.4 M parameters.
    """
    return replace(
        camvid_dual_resolution(),
        name='camvid_full_dual_resolution',
        dataset='camvid_full',
        train_split='trainval',
        input_size=(720, 960),
        crop_size=(640, 640),
    )


def camvid_full_transfer() -> TrainConfig:
    """DualResolutionNet from Cityscapes to CamVid at 960x720, as Zhu et al. (CVPR 2019) do it.

    Theirs are gradient descent at 2e-3 with a linear decay, 120 epochs, batches of 16, train and
    val images, class-uniform sampling, blurred crops and relaxed boundaries. They published no
    script for CamVid: crop, scales, tiles of 360 and the strict classes are ours, and so is
    relaxing the first 100 / 175 of the epochs, which is their share on Cityscapes, here without
    its second schedule.

    Command::

        vidseg-train fit camvid_full_transfer --data CAMVID_RELEASE
            --init runs/cityscapes_dual_resolution

    Result: not run here; Zhu et al. report 81.7 mIoU on test at one scale (``evaluate``; whether
    through windows or with mirrored images is not known here) with WideResNet38, a network of
    137 M parameters; PIDNet-S, 7.7 M, has 80.1 from Cityscapes (github.com/XuJiacong/PIDNet).
    """
    return TrainConfig(
        name='camvid_full_transfer',
        network='dual_resolution',
        dataset='camvid_full',
        train_split='trainval',
        input_size=(720, 960),
        crop_size=(640, 640),
        scale_range=(0.5, 2.0),
        blur=1.0,
        epochs=120,
        batch_size=16,
        optimizer='sgd',
        learning_rate=2e-3,
        warmup_steps=0,
        poly_power=1.0,
        class_weight_offset=None,
        relaxed_share=100 / 175,
        strict_classes=('pole', 'sign', 'pedestrian', 'bicyclist'),
        class_uniform=0.5,
        class_uniform_tile=360,
        validate_epochs=20,
    )


def camvid_full_pspnet_mobilenet_v2() -> TrainConfig:
    """PSPNet-MobileNetV2 on CamVid at 960x720 from ImageNet weights, a student of Liu et al.

    Rate, decay, schedule and augmentation are those of `cityscapes_pspnet_mobilenet_v2`.

    Command::

        vidseg-train fit camvid_full_pspnet_mobilenet_v2 --data CAMVID_RELEASE
            --init mobilenet_v2-7ebf99e0.pth

    Result: not run here; Liu et al. (ECCV 2020) report 76.3 mIoU on test with their temporal
    losses and distillation, which this recipe does not have.
    """
    return replace(
        cityscapes_pspnet_mobilenet_v2(),
        name='camvid_full_pspnet_mobilenet_v2',
        dataset='camvid_full',
        train_split='trainval',
        input_size=(720, 960),
        crop_size=(640, 640),
    )
