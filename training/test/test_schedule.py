# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
import torch
from torch import nn

from vidseg_ros.core.errors import ParameterError
from vidseg_training.config import TrainConfig
from vidseg_training.schedule import build_optimizer, poly_learning_rate


def test_the_schedule_warms_up_and_ends_near_zero(small_config: TrainConfig) -> None:
    config = replace(small_config, learning_rate=1.0, warmup_steps=4, poly_power=0.9)
    rates = [poly_learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 5)
    assert rates[4] == pytest.approx((1 - 4 / 100) ** 0.9)
    assert rates[50] == pytest.approx(0.5**0.9)
    assert 0 < rates[99] < 0.02


def test_a_restarted_schedule_is_that_of_zhu_et_al(small_config: TrainConfig) -> None:
    """1e-3 (1 - e/175) up to epoch 100, then 1e-3 (1 - (e - 100) / 75)^1.5; ten steps an epoch."""
    config = replace(
        small_config,
        learning_rate=1e-3,
        warmup_steps=0,
        poly_power=1.0,
        restart_share=100 / 175,
        restart_power=1.5,
    )
    for epoch, expected in ((0, 1.0), (70, 0.6), (100, 1.0), (145, 0.4**1.5)):
        rate = poly_learning_rate(epoch * 10, 1750, config)
        assert rate == pytest.approx(1e-3 * expected), epoch
    assert poly_learning_rate(999, 1750, config) == pytest.approx(1e-3 * (1 - 999 / 1750))


def test_the_optimizers_do_one_step_by_their_rule(small_config: TrainConfig) -> None:
    """SGD: w - r (g + d w); AdamW's first step: w (1 - r d) - r sign(g)."""
    expected = {'sgd': 2 - 0.1 * (3 + 0.5 * 2), 'adamw': 2 * (1 - 0.1 * 0.5) - 0.1}
    for name, value in expected.items():
        config = replace(small_config, optimizer=name, learning_rate=0.1, weight_decay=0.5)
        weight = nn.Parameter(torch.tensor(2.0))
        weight.grad = torch.tensor(3.0)
        build_optimizer([weight], config).step()
        assert weight.item() == pytest.approx(value)


def test_a_restart_outside_the_run_is_refused(small_config: TrainConfig) -> None:
    with pytest.raises(ParameterError, match='restart_share must lie between 0 and 1, not 1'):
        replace(small_config, restart_share=1.0)
