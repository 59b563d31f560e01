# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training runs for steady masks: those of Liu et al., ECCV 2020 (ETC), and one of our own.

Of ETC only the training with the temporal loss was released, for PSPNet-ResNet18 on Cityscapes
(github.com/irfanICMLL/ETC-Real-time-Per-frame-Semantic-video-segmentation): its settings are
those of all three recipes, and its weight of 0.1 is that of every term. What differs: new layers
have the learning rate of the others (there 10 times as much), motion is Farneback's (there
FlowNet2), crops are 768 (there 769, which no stride of 8 divides), neither rotation nor blur.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig

_WEIGHT: Final = 0.1


def cityscapes_etc() -> TrainConfig:
    """PSPNet-ResNet18 on Cityscapes with the temporal loss and all of ETC's distillation.

    Command::

        vidseg-train fit cityscapes_etc --data DATA/cityscapes --init resnet18.pth
            --consistency.clips DATA/cityscapes/leftImg8bit_sequence/train
            --consistency.licence 'Cityscapes terms of use'
            --distillation.teacher runs/cityscapes_pspnet_resnet101

    The clips are the 30 frames around each labelled image, which is frame t of its triplet.

    Result: not run here. The paper's code: 73.06 mIoU on val with mirror images (TC 70.56),
    69.79 (68.50) for the network alone, 71.72 (69.99) with the temporal loss alone.
    """
    return TrainConfig(
        name='cityscapes_etc',
        network='pspnet_resnet18',
        dataset='cityscapes',
        input_size=(1024, 2048),
        crop_size=(768, 768),
        scale_range=(0.5, 2.0),
        epochs=200,
        batch_size=8,
        optimizer='sgd',
        learning_rate=0.01,
        warmup_steps=0,
        weight_decay=1e-4,
        validate_epochs=10,
        consistency=ConsistencyConfig(temporal=_WEIGHT, batch=4, max_gap=3, labelled_middle=True),
        distillation=DistillationConfig(
            cache=False, pixel=_WEIGHT, pair=_WEIGHT, pair_frames=_WEIGHT, multi_frame=_WEIGHT
        ),
    )


def camvid_etc() -> TrainConfig:
    """PSPNet-MobileNetV2 on CamVid with the temporal loss and all of ETC's distillation.

    Command::

        vidseg-train fit camvid_etc --data DATA/camvid --init mobilenet_v2.pth
            --consistency.clips DATA/camvid_30hz --consistency.licence 'CC BY-NC 4.0'
            --distillation.teacher runs/camvid_pspnet_resnet101

    The clips are the frames of the original 30 Hz videos around each labelled image, under its
    file name and the names of the frames beside it.

    Result: not run here. Settings for CamVid were never released: these are those of Cityscapes
    on whole images.
    """
    return replace(
        cityscapes_etc(),
        name='camvid_etc',
        network='pspnet_mobilenet_v2',
        dataset='camvid',
        input_size=(360, 480),
        crop_size=(360, 480),
    )


def vspw_etc() -> TrainConfig:
    """PSPNet-ResNet18 on VSPW with the temporal loss and all of ETC's distillation.

    Command::

        vidseg-train fit vspw_etc --data DATA/vspw --init resnet18.pth
            --consistency.clips DATA/vspw/data --consistency.licence 'VSPW, research use'
            --distillation.teacher runs/vspw_pspnet_resnet101

    Every frame has labels, at 15 frames a second.

    Result: not run here. VSPW's authors report ETC with larger networks (Miao et al., CVPR 2021);
    settings are those of Cityscapes at 480 lines.
    """
    return replace(
        cityscapes_etc(),
        name='vspw_etc',
        dataset='vspw',
        input_size=(480, 856),
        crop_size=(480, 480),
        epochs=40,
    )


def camvid_consistent() -> TrainConfig:
    """DualResolutionNet below 1 M parameters on CamVid, steady without labelled video.

    Command::

        vidseg-train fit camvid_consistent --data DATA/camvid
            --consistency.clips DATA/dashcam/{lanelines_solidWhiteRight,test_small1}.mp4
            --consistency.licence MIT
            --distillation.teacher DATA/weights/fddwnet_cityscapes.pth

    Temporal loss on any driving video, equivariance on the labelled images, and the published
    Cityscapes network on enlarged images as a teacher that is asked once; its classes are mapped.

    Result: not run here.
    """
    return TrainConfig(
        name='camvid_consistent',
        network='dual_resolution_small',
        dataset='camvid',
        input_size=(360, 480),
        crop_size=(360, 360),
        scale_range=(0.75, 2.0),
        epochs=400,
        batch_size=8,
        learning_rate=1e-3,
        validate_epochs=50,
        consistency=ConsistencyConfig(temporal=10.0, equivariance=10.0, batch=2),
        distillation=DistillationConfig(
            scale=2.0, pixel=0.5, pair=1.0, pair_frames=1.0, multi_frame=1.0
        ),
    )


CONSISTENCY_RECIPES: Final[dict[str, Callable[[], TrainConfig]]] = {
    'camvid_consistent': camvid_consistent,
    'camvid_etc': camvid_etc,
    'cityscapes_etc': cityscapes_etc,
    'vspw_etc': vspw_etc,
}
"""Every recipe of this module by name."""
