# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_training.data.kitti import KittiSemantics

WritePair = Callable[..., None]


@pytest.fixture
def kitti(tmp_path: Path, write_pair: WritePair) -> Path:
    """Return a KITTI of 20 images with Cityscapes' ids."""
    for index in range(20):
        name = f'{index:06}_10.png'
        labels = tmp_path / 'training' / 'semantic' / name
        write_pair(tmp_path / 'training' / 'image_2' / name, labels, [[7, 4], [26, 8]])
    return tmp_path


def test_folds_are_tenths(kitti: Path) -> None:
    everything = KittiSemantics(kitti, 'trainval')
    assert len(everything) == 20
    assert everything[0][1][::8, ::8].tolist() == [[0, 255], [13, 1]]
    seen: list[str] = []
    for fold in range(10):
        train, val, test = (
            KittiSemantics(kitti, split, fold) for split in ('train', 'val', 'test')
        )
        assert val.names == test.names == everything.names[2 * fold : 2 * fold + 2]
        assert sorted(train.names + val.names) == everything.names
        seen += val.names
    assert seen == everything.names
    assert KittiSemantics(kitti, 'val', 9).title == 'KITTI semantics val of fold 10 of 10'


def test_what_is_not_there_is_refused(kitti: Path, tmp_path: Path) -> None:
    for fold in (-1, 10):
        with pytest.raises(ParameterError, match=f'fold must be from 0 to 9, not {fold}'):
            KittiSemantics(kitti, 'train', fold)
    with pytest.raises(SourceError, match='image_2; expected the folder of the KITTI semantics'):
        KittiSemantics(tmp_path / 'nowhere', 'train')
