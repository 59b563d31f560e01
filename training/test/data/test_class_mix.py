# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
import pytest
import torch

from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.augment import Sample
from vidseg_training.data.class_mix import paste_classes
from vidseg_training.data.image_pairs import ImagePairs
from vidseg_training.data.sampling import AugmentedImages, Draw, TrainingSet


def _sample(labels: list[int], value: int) -> Sample:
    ids = np.array([labels], np.uint8)
    image = np.full((*ids.shape, 3), value, np.uint8)
    return Sample(image, ids, np.full((*ids.shape, 2), value, np.uint8))


@pytest.mark.parametrize('seed', range(8))
def test_half_of_the_classes_are_pasted_whole_and_void_is_not(seed: int) -> None:
    under, over = _sample([7, 7, 255, 7, 7], 10), _sample([0, 1, 2, 255, 0], 20)
    mixed = paste_classes(under, over, np.random.default_rng(seed))
    pasted = mixed.image[..., 0] == 20
    assert len(set(over.labels[pasted])) == 2
    assert not pasted[0, 3]
    assert pasted[0, 0] == pasted[0, 4]
    np.testing.assert_array_equal(mixed.labels, np.where(pasted, over.labels, under.labels))
    assert mixed.soft is not None
    np.testing.assert_array_equal(mixed.soft, mixed.image[..., :2])
    assert under.labels.tolist() == [[7, 7, 255, 7, 7]]


def test_a_crop_of_void_gives_nothing() -> None:
    under, over = _sample([1, 2], 10), _sample([255, 255], 20)
    mixed = paste_classes(under, over, np.random.default_rng(0))
    np.testing.assert_array_equal(mixed.image, under.image)
    np.testing.assert_array_equal(mixed.labels, under.labels)


def test_a_share_of_the_crops_is_mixed_and_the_others_stay(small_config: TrainConfig) -> None:
    train = TrainingSet(open_dataset(small_config, 'train'))
    plain, half, always = (
        AugmentedImages(train, replace(small_config, class_mix=share)) for share in (0, 0.5, 1)
    )
    draws = [Draw(epoch, 0, 0) for epoch in range(40)]
    changed = [not torch.equal(plain[draw][1], half[draw][1]) for draw in draws]
    assert 8 <= sum(changed) <= 32
    for draw, is_mixed in zip(draws, changed, strict=True):
        expected = always if is_mixed else plain
        torch.testing.assert_close(half[draw][:2], expected[draw][:2], rtol=0, atol=0)


def test_carried_and_boosted_images_give_nothing(small_config: TrainConfig) -> None:
    """Their labels are less sure, and no crop anywhere in them is drawn otherwise either."""
    images = open_dataset(small_config, 'train')
    assert isinstance(images, ImagePairs)
    always = replace(small_config, class_mix=1.0)
    seen: list[int] = []

    class Watched(ImagePairs):
        def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            seen.append(index)
            return super().__getitem__(index)

    images.__class__ = Watched
    draws = [Draw(epoch, 0, 3) for epoch in range(20)]
    carried = AugmentedImages(TrainingSet(images, real=2), always)
    images.boost_from = 1
    boosted = AugmentedImages(TrainingSet(images), always)
    for mixed, donors in ((carried, {0, 1}), (boosted, {0})):
        seen.clear()
        for draw in draws:
            mixed[draw]
        assert set(seen[1::2]) == donors
