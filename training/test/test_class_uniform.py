# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections import Counter

import numpy as np

from vidseg_training.data.class_uniform import Centroid, class_centroids, draw_epoch, leave_boosted


def test_centroids_of_every_tile() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[0, 4:6] = 1
    labels[2:4, 0:2] = 2
    labels[3, 5] = 255
    zero, one, two, three = class_centroids([np.full((2, 2), 255, np.uint8), labels], 4, 3)
    assert one == [Centroid(1, 0, 4)]
    assert two == [Centroid(1, 2, 0), Centroid(1, 3, 0)]
    assert three == []
    assert [(image, y // 3, x // 3) for image, y, x in zero] == [
        (1, 0, 0),
        (1, 0, 1),
        (1, 1, 0),
        (1, 1, 1),
    ]


def test_half_an_epoch_has_the_same_number_of_every_class() -> None:
    centroids = [
        [Centroid(0, 0, 0)],
        [Centroid(1, y, 1) for y in range(50)],
        [],
        [Centroid(2, y, 2) for y in range(4)],
    ]
    drawn = draw_epoch(centroids, 100, 0.5, np.random.default_rng(0))
    assert len(drawn) == 100
    uniform = [sample for sample in drawn if isinstance(sample, Centroid)]
    assert Counter(sample.image for sample in uniform) == {0: 16, 1: 16, 2: 16}
    assert len({sample for sample in uniform if sample.image == 1}) == 16
    assert Counter(sample for sample in uniform if sample.image == 2).most_common(1)[0][1] == 4
    anywhere = [sample for sample in drawn if isinstance(sample, int)]
    assert len(anywhere) == len(set(anywhere)) == 52
    assert not all(isinstance(sample, Centroid) for sample in drawn[:48])  # shuffled


def test_without_any_centroid_the_epoch_is_every_image_once() -> None:
    expected = np.random.default_rng(0).permutation(9).tolist()
    assert draw_epoch([[], []], 9, 0.5, np.random.default_rng(0)) == expected


def test_only_boosted_classes_keep_what_the_coarse_images_show() -> None:
    fine, coarse = Centroid(0, 1, 1), Centroid(2, 3, 3)
    kept = leave_boosted([[fine, coarse], [coarse], [fine, coarse]], 2, {2})
    assert kept == [[fine], [], [fine, coarse]]
