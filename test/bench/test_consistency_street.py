# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

pytest.importorskip('vidseg_training', reason='the training package is not installed')

from vidseg_ros.core.labels import STREET
from vidseg_ros.core.street import StreetClip
from vidseg_training.data.clip_frames import ClipFrames
from vidseg_training.data.clip_triplets import allowed_gaps
from vidseg_training.data.image_folder import ImageFolder

SIZE = (48, 64)


@pytest.fixture
def street(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = script('consistency_street')
    small = {'SIZE': SIZE, 'TRAIN': range(5, 7), 'LABELLED': range(3, 24, 10)}
    small |= {'TEST': {'val': range(8, 9), 'test': range(9, 11)}, 'SCORED': range(4)}
    for name, value in small.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_clips_are_the_neighbours_of_labelled_frames(street: ModuleType, tmp_path: Path) -> None:
    data = street.write_drives(tmp_path / 'drives')
    train = ImageFolder(data, 'train')
    assert train.label_set == STREET
    assert [Path(name).stem for name in train.names][:4] == [
        '5_00003', '5_00013', '5_00023', '6_00003'
    ]  # fmt: skip
    frame = StreetClip(seed=5, size=SIZE).frame(13)
    for here, there in zip(train[1], (frame.image, frame.labels), strict=True):
        np.testing.assert_array_equal(here, there)
    frames = ClipFrames((data / 'train' / 'clips',), train)
    gaps = allowed_gaps(frames, street.REACH, labelled_middle=True)
    assert [ids for _, ids in gaps] == [[1, 2, 3]] * 6
    for middle, _ in gaps:
        assert frames.labelled(middle)
        assert not any(frames.labelled(middle + k) for k in (-3, -2, -1, 1, 2, 3))
    test = ImageFolder(data, 'test')
    assert len(test) == 2 * 4


def test_what_is_written_is_not_written_again(street: ModuleType, tmp_path: Path) -> None:
    data = street.write_drives(tmp_path / 'drives')
    for image in (data / 'val' / 'images').iterdir():
        image.unlink()
    street.write_drives(data)
    assert list((data / 'val' / 'images').iterdir()) == []


def test_every_row_goes_on_from_the_start(street: ModuleType, tmp_path: Path) -> None:
    arguments = Namespace(data=tmp_path, runs=tmp_path, teacher=Path('t'), epochs=4)
    for row in street.ROWS.values():
        config = street.configuration(row, 2, arguments)
        assert (config.init, config.epochs, config.seed) == (tmp_path / 'start', 4, 2)
        assert bool(config.consistency.clips) is row.needs_clips
        assert bool(config.distillation.teacher) is bool(row.distillation)
        assert config.consistency.labelled_middle
    theirs = street.configuration(street.ROWS["all terms, ETC's weights"], 2, arguments)
    said = theirs.distillation
    weights = {said.pixel, said.pair, said.pair_frames, said.multi_frame}
    assert weights == {theirs.consistency.temporal} == {0.1}


def test_nothing_is_compared_across_two_clips(script: Callable[[str], ModuleType]) -> None:
    class Clips:
        label_set = STREET

        def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            noise = np.random.default_rng(index // 8).integers(0, 255, (12, 16, 3))
            image = cv2.resize(noise.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
            return image.astype(np.uint8), np.zeros(SIZE, np.uint8)

    def segment(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        is_second = (Clips()[8][0] == image).all()
        return np.full(SIZE, int(is_second), np.uint8)

    score: Callable[..., dict[str, Any]] = script('steadiness').score_clip
    apart = score(segment, Clips(), range(8), range(8, 16))
    assert (apart['vc8_self'], apart['tc'], apart['flips_per_s']) == (1, 1, 0)
    assert score(segment, Clips(), range(16))['vc8_self'] < 1
