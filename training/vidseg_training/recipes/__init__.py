# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training runs: one function each, with its command and its expected result.

A docstring tells the command, and after ``Result:`` what came out here or what others publish,
with the source.
"""

from collections.abc import Callable
from typing import Final

from vidseg_training.config import TrainConfig
from vidseg_training.recipes import camvid, cityscapes, consistent, kitti, mapillary, own, vspw

RECIPES: Final[dict[str, Callable[[], TrainConfig]]] = {
    recipe.__name__: recipe
    for recipe in (
        camvid.camvid_dual_resolution,
        camvid.camvid_dual_resolution_small,
        camvid.camvid_fddwnet,
        camvid.camvid_fddwnet_fast,
        camvid.camvid_fddwnet_large,
        camvid.camvid_from_scratch,
        camvid.camvid_full_dual_resolution,
        camvid.camvid_full_pspnet_mobilenet_v2,
        camvid.camvid_full_transfer,
        cityscapes.cityscapes_dual_resolution,
        cityscapes.cityscapes_hrnet_w18_small,
        cityscapes.cityscapes_pspnet_mobilenet_v2,
        cityscapes.cityscapes_pspnet_resnet101,
        cityscapes.cityscapes_pspnet_resnet18,
        consistent.camvid_consistent,
        consistent.camvid_etc,
        consistent.cityscapes_etc,
        consistent.vspw_etc,
        kitti.kitti_dual_resolution,
        mapillary.mapillary_dual_resolution,
        own.own_compact,
        own.street_compact,
        vspw.vspw_pspnet_resnet101,
    )
}
"""Every recipe by name."""
