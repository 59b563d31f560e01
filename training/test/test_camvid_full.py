# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID
from vidseg_training.data.camvid import _RELEASED_COLORS, CamVid, CamVidFull, split_of


def _write(folder: Path, name: str, colors: list[tuple[int, int, int]]) -> None:
    for part in ('701_StillsRaw_full', 'LabeledApproved_full'):
        (folder / part).mkdir(exist_ok=True)
    pixels = np.array([colors], np.uint8)
    cv2.imwrite(str(folder / '701_StillsRaw_full' / f'{name}.png'), np.zeros_like(pixels))
    cv2.imwrite(str(folder / 'LabeledApproved_full' / f'{name}_L.png'), pixels[..., ::-1])


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Return a release of one image of each split."""
    colors = [(128, 0, 192), (0, 0, 0), (192, 128, 192), (0, 0, 64), (192, 0, 192)]
    for name in ('0006R0_f00930', '0016E5_07959', 'Seq05VD_f00000'):
        _write(tmp_path, name, colors)
    return tmp_path


def test_released_colours_become_the_eleven_classes(release: Path) -> None:
    images = CamVidFull(release, 'train')
    assert images.names == ['0006R0_f00930.png']
    _, labels = images[0]
    # lane marking, void, truck, traffic cone, motorcycle
    expected = [CAMVID.names.index(name) for name in ('road', 'car', 'pole', 'bicyclist')]
    assert labels[0].tolist() == [expected[0], 255, *expected[1:]]


def test_every_released_class_has_its_place() -> None:
    colors = [color for of_class in _RELEASED_COLORS.values() for color in of_class]
    assert tuple(_RELEASED_COLORS) == CAMVID.names
    assert len(colors) == len(set(colors)) == 31  # and void
    assert (0, 0, 0) not in colors


def test_splits_of_the_release(release: Path) -> None:
    assert CamVidFull(release, 'val').names == ['0016E5_07959.png']
    assert CamVidFull(release, 'test').names == ['Seq05VD_f00000.png']
    assert CamVidFull(release, 'trainval').names == ['0006R0_f00930.png', '0016E5_07959.png']


def test_the_split_is_that_of_segnet(data_dir: Path) -> None:
    found = Counter(
        (split, split_of(Path(name).stem))
        for split in ('train', 'val', 'test')
        for name in CamVid(data_dir / 'camvid', split).names
    )
    assert found == {('train', 'train'): 367, ('val', 'val'): 101, ('test', 'test'): 233}


def test_a_colour_of_no_class_is_named(release: Path) -> None:
    _write(release, '0006R0_f00930', [(128, 64, 128), (1, 2, 3)])
    with pytest.raises(SourceError, match=r'f00930_L\.png has the colour \(1, 2, 3\)'):
        CamVidFull(release, 'train')[0]


def test_a_missing_part_is_named(release: Path, tmp_path: Path) -> None:
    (release / 'LabeledApproved_full' / '0016E5_07959_L.png').unlink()
    with pytest.raises(SourceError, match=r'07959_L\.png \(1 missing\); expected the CamVid rel'):
        CamVidFull(release, 'val')
    with pytest.raises(SourceError, match='701_StillsRaw_full; expected the CamVid release'):
        CamVidFull(tmp_path / 'nowhere', 'val')
