# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs for steady masks: those of Liu et al. (ECCV 2020, ETC), and one of our own.

Of ETC only the training with the temporal loss was released, for PSPNet-ResNet18 on Cityscapes
(github.com/irfanICMLL/ETC-Real-time-Per-frame-Semantic-video-segmentation). Its weight of 0.1 and
its gaps of up to 3 frames are those of every term in its three recipes here; motion is Farneback's
(there FlowNet2's). Networks and what is not named here are those of the recipes that they change.

A step there has 8 labelled frames with one neighbour each: 16 images, 8 label maps, 8 pairs. Here
it has 4 labelled images and 4 clips, whose middle frames are labelled and have two neighbours: 16
images, 8 label maps, 8 pairs as well. An epoch passes over the labelled images 4 by 4, and over
about as many middle frames, drawn anew in each step, so that 100 epochs are the 200 of the base
recipes: as many steps, as many label maps. Clips are not turned, nor shrunk below the crop.
"""

from dataclasses import replace
from typing import Final

from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.recipes.camvid import (
    camvid_dual_resolution_small,
    camvid_full_pspnet_mobilenet_v2,
)
from vidseg_training.recipes.cityscapes import cityscapes_pspnet_resnet18
from vidseg_training.recipes.vspw import vspw_pspnet_resnet101

_WEIGHT: Final = 0.1

_TEMPORAL: Final = ConsistencyConfig(temporal=_WEIGHT, batch=4, max_gap=3, labelled_middle=True)
"""Frame t is a labelled one, and its labels are learned, too."""

_BATCH: Final = 4
_EPOCHS: Final = 100
"""Half of the base recipes': the middle frames are the other half."""

_DISTILLATION: Final = DistillationConfig(
    cache=False, pixel=_WEIGHT, pair=_WEIGHT, pair_frames=_WEIGHT, multi_frame=_WEIGHT
)


def cityscapes_etc() -> TrainConfig:
    """PSPNet-ResNet18 on Cityscapes with the temporal loss and all of ETC's distillation.

    Command::

        vidseg-train fit cityscapes_etc --data CITYSCAPES --init resnet18-f37072fd.pth
            --consistency.clips CITYSCAPES/leftImg8bit_sequence/train
            --consistency.licence 'Cityscapes, non-commercial use'
            --distillation.teacher runs/cityscapes_pspnet_resnet101
            --precision 16-mixed --workers 8

    The clips are the 30 frames around each labelled image. What the authors released, the temporal
    loss alone, it is with ``--distillation.pixel 0 --distillation.pair 0
    --distillation.pair-frames 0 --distillation.multi-frame 0`` in the place of the teacher.

    Result: not run here; Liu et al. publish 73.06 mIoU on val with mirrored images and a temporal
    consistency of 70.56 (README of their repository), 71.72 and 69.99 with the temporal loss
    alone, 69.79 and 68.50 without.
    """
    return replace(
        cityscapes_pspnet_resnet18(),
        name='cityscapes_etc',
        epochs=_EPOCHS,
        batch_size=_BATCH,
        validate_epochs=5,
        consistency=_TEMPORAL,
        distillation=_DISTILLATION,
    )


def camvid_etc() -> TrainConfig:
    """PSPNet-MobileNetV2 on CamVid at 960x720 with the temporal loss and ETC's distillation.

    Command::

        vidseg-train fit camvid_etc --data CAMVID_RELEASE --init mobilenet_v2-7ebf99e0.pth
            --consistency.clips CAMVID_30HZ --consistency.licence 'CC BY-NC 4.0'
            --distillation.teacher runs/camvid_full_pspnet_resnet101

    The clips are the frames of the original 30 Hz videos around each labelled image, under its
    file name and, counted on, the names of the frames beside it. The teacher is a run of
    ``camvid_full_pspnet_mobilenet_v2 --network pspnet_resnet101 --init resnet101-63fe2227.pth``.

    Result: not run here; Liu et al. (ECCV 2020) report 76.3 mIoU on test, with settings that were
    never released.
    """
    return replace(
        camvid_full_pspnet_mobilenet_v2(),
        name='camvid_etc',
        epochs=_EPOCHS,
        batch_size=_BATCH,
        validate_epochs=5,
        consistency=_TEMPORAL,
        distillation=_DISTILLATION,
    )


def vspw_etc() -> TrainConfig:
    """PSPNet-ResNet101 on VSPW with the temporal loss, as the authors of the set compare ETC.

    Command::

        vidseg-train fit vspw_etc --data VSPW_480p --init resnet101-63fe2227.pth
            --consistency.clips VSPW_480p/data --consistency.licence 'VSPW, research use'
            --precision 16-mixed --workers 8

    Every frame has labels, at 15 frames a second, those of the 4 clips of a step as well: a step
    learns 20 label maps, 12 beside the 8 of the base recipe, whose rate and epochs stay. There is
    no larger teacher.

    Result: not run here; Miao et al. (CVPR 2021) report 37.5 mIoU for ETC with another network,
    OCRNet.
    """
    return replace(vspw_pspnet_resnet101(), name='vspw_etc', consistency=_TEMPORAL)


def camvid_consistent() -> TrainConfig:
    """DualResolutionNet below 1 M parameters on CamVid, steady without labelled video.

    Command::

        vidseg-train fit camvid_consistent --data DATA/camvid
            --consistency.clips DATA/dashcam/{lanelines_solidWhiteRight,test_small1}.mp4
            --consistency.licence MIT
            --distillation.teacher DATA/weights/fddwnet_cityscapes.pth

    Temporal loss on any driving video, and the published Cityscapes network on enlarged images as
    a teacher that is asked once; its classes are mapped.

    Result: 61.2 mIoU on CamVid test after 30 epochs from a start with small crops, with
    ``camvid_fddwnet_fast`` as its teacher, and 72 % fewer flips than without on day clips that it
    has not seen, docs/models.md; not run to its end here.
    """
    return replace(
        camvid_dual_resolution_small(),
        name='camvid_consistent',
        epochs=400,
        consistency=ConsistencyConfig(temporal=3.0),
        distillation=DistillationConfig(
            scale=2.0, pixel=0.5, pair=1.0, pair_frames=1.0, multi_frame=1.0
        ),
    )
