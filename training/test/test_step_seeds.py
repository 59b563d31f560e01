# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import torch

from vidseg_ros.core.labels import CAMVID
from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.sampling import TrainingSet
from vidseg_training.loop import Run
from vidseg_training.starting_weights import initial_network


def test_dropout_draws_the_same_after_a_resume(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(small_config, checkpoint_steps=1)
    train = TrainingSet(open_dataset(config, 'train'))

    def prepared(folder: str) -> Run:
        network = initial_network(config, CAMVID)
        network.head = torch.nn.Sequential(torch.nn.Dropout(0.5), network.head)
        return Run(config, network, train, tmp_path / folder)

    whole = list(prepared('whole').steps())
    assert len(whole) == 9
    assert [next(prepared('parts').steps()) for _ in whole] == whole


def test_seeds_draw_dropout_apart(small_config: TrainConfig, tmp_path: Path) -> None:
    drawn = set()
    for seed in (0, 1):
        config = replace(small_config, seed=seed)
        train = TrainingSet(open_dataset(config, 'train'))
        next(Run(config, initial_network(config, CAMVID), train, tmp_path / str(seed)).steps())
        drawn.add(torch.rand(1).item())  # the first draw of the step, which had none
    assert len(drawn) == 2
