# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_training.fitting import CITYSCAPES_TO_CAMVID
from vidseg_training.networks import NETWORKS
from vidseg_training.recipes import PROVENANCE, RECIPES


def test_every_recipe_is_complete() -> None:
    assert set(RECIPES) == set(PROVENANCE) == {'camvid_fddwnet', 'street_compact'}
    for name, recipe in RECIPES.items():
        config = recipe()
        assert config.name == name
        assert config.network in NETWORKS
        assert recipe.__doc__ is not None
        assert f'vidseg-train fit {name}' in recipe.__doc__
        assert f'vidseg-train fit {name}' in PROVENANCE[name].command


def test_every_camvid_class_starts_from_a_cityscapes_class() -> None:
    assert tuple(CITYSCAPES_TO_CAMVID) == CAMVID.names
    assert set(CITYSCAPES_TO_CAMVID.values()) <= set(CITYSCAPES.names)
