# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How fast a run learns at each step, and by which rule."""

from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW, Optimizer, SGD

from vidseg_training.config import TrainConfig


def poly_learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the learning rate of a step: linear warm-up times the poly schedule.

    With ``restart_share`` r the schedule starts a second time, at its peak: up to step rS of S it
    is (1 - s/S)^p, from there on (1 - (s - rS) / (S - rS))^q. Zhu et al. (CVPR 2019) fine-tune so
    on Cityscapes ("scl-poly" of their code: r = 100/175, p = 1, q = 1.5); the restart falls
    together with the end of relaxation.

    Args:
        step: Step from 0.
        steps: Steps of the whole run.
        config: Gives peak, powers, restart and warm-up.
    """
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    restart = None if config.restart_share is None else round(config.restart_share * steps)
    if restart is not None and step >= restart:
        left = (1 - (step - restart) / (steps - restart)) ** config.restart_power
    else:
        left = (1 - step / steps) ** config.poly_power
    return float(config.learning_rate * warmup * left)


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig) -> Optimizer:
    """Return the optimizer that the configuration names."""
    if config.optimizer == 'sgd':
        return SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
    return AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
