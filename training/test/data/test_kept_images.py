# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
import torch

from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.sampling import AugmentedImages, Draw, TrainingSet


def test_kept_images_are_read_once_and_give_the_same_samples(small_config: TrainConfig) -> None:
    class Counted:
        def __init__(self) -> None:
            self._images = open_dataset(small_config, 'train')
            self.label_set, self.names = self._images.label_set, self._images.names
            self.read: list[int] = []

        def __len__(self) -> int:
            return len(self._images)

        def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            self.read.append(index)
            return self._images[index]

    mixed = replace(small_config, class_mix=1.0, rotation=10.0, blur=0.5)
    source = Counted()
    plain = AugmentedImages(TrainingSet(source), mixed)
    draws = [Draw(epoch, i, i) for epoch in range(3) for i in range(len(source))]
    expected = [plain[draw] for draw in draws]
    assert len(source.read) == 2 * len(draws)
    source.read.clear()
    kept = AugmentedImages(TrainingSet(source), replace(mixed, keep_images=True))
    for draw, sample in zip(draws, expected, strict=True):
        for ours, theirs in zip(kept[draw], sample, strict=True):
            assert torch.equal(ours, theirs)
    assert sorted(source.read) == list(range(len(source)))
