# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import isnan

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.consistency import TemporalConsistency, VideoConsistency
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID
from vidseg_training.steadiness import consecutive, score_video


class _Clips:
    """Two clips of 10 and 2 frames of a texture that stands still; class 0 left, 1 right."""

    label_set = CAMVID
    names = ('a_10', *(f'a_{number}' for number in range(8)), 'a_9', 'b_1', 'b_2')

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        rng = np.random.default_rng(0)
        height = 24 if self.names[index].startswith('a') else 16
        image = rng.integers(0, 256, (height, 32, 3)).astype(np.uint8)
        image[0, 0] = index
        labels = np.zeros((height, 32), np.uint8)
        labels[:, 16:] = 1
        return image, labels


def test_names_say_what_follows_what() -> None:
    assert consecutive(['x_10', 'x_9', 'y_1', 'x_11']) == [[1, 0, 3], [2]]
    assert consecutive(['b/002.jpg', 'a/001.jpg', 'b/001.jpg']) == [[1], [2, 0]]
    assert consecutive(['seed 20 frame 10', 'seed 20 frame 9']) == [[1, 0]]
    assert consecutive(['0016E5_07961.png', '0016E5_07959.png', '0001TP_1.png']) == [[2], [1, 0]]
    assert consecutive(['two', 'one']) == [[1, 0]], 'without numbers in the order of the names'
    cityscapes = [f'frankfurt_000000_{number:06d}_leftImg8bit.png' for number in (295, 294)]
    assert consecutive(cityscapes) == [[1, 0]], 'a digit within a word numbers no frame'
    assert consecutive(['7/one.jpg', '8/one.jpg', '7/two.jpg']) == [[0, 2], [1]]


def test_images_of_no_video_are_refused() -> None:
    names = ['aachen_000000_000019_leftImg8bit.png', 'aachen_000001_000019_leftImg8bit.png']
    match = 'no two images are frames of one video .* aachen_000000_000019.*: leave --consistency'
    with pytest.raises(ParameterError, match=match):
        consecutive(names)


def test_the_scores_are_those_of_the_core() -> None:
    """Class 1 is called 2 in every other frame: it flips each time, and is never right twice."""
    clips, calls = _Clips(), []

    def flickering(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        index = int(image[0, 0, 0])
        labels = clips[index][1].copy()
        labels[labels == 1] += len(calls) % 2
        calls.append(index)
        return labels

    confusion, steadiness = score_video(flickering, clips, 10.0)
    assert calls == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 10, 11]
    assert confusion.pixels == 10 * 24 * 32 + 2 * 16 * 32
    calls.clear()
    temporal, video = TemporalConsistency(len(CAMVID)), VideoConsistency(8)
    for order in ([1, 2, 3, 4, 5, 6, 7, 8, 9, 0], [10, 11]):
        temporal.cut()
        for number, index in enumerate(order):
            image, truth = clips[index]
            labels = flickering(image)
            temporal.add(image, labels, number * 10**8)
            video.add(truth, labels)
        video.end_clip()
    columns = steadiness.columns()
    assert list(columns) == ['TC', 'flips/s', 'VC8', 'VC16']
    assert {len(values) for values in columns.values()} == {len(CAMVID) + 1}
    assert columns['TC'][-1] == pytest.approx(100 * temporal.tc())
    assert columns['flips/s'][-1] == pytest.approx(temporal.flips())
    assert columns['flips/s'][1] == pytest.approx(10, rel=0.05)
    assert columns['VC8'][:2] == [100, 0]
    assert columns['VC8'][-1] == pytest.approx(100 * video.correct_consistency()) == 50
    assert all(map(isnan, columns['VC16']))
