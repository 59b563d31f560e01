# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from math import inf, nan
from pathlib import Path
import re

import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.fitting import run
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_loss import MotionLossWeights


@pytest.mark.parametrize('field', ['epochs', 'batch_size', 'learning_rate'])
def test_settings_out_of_range_are_named(small_config: TrainConfig, field: str) -> None:
    with pytest.raises(ParameterError, match=f'{field} must be above zero'):
        replace(small_config, **{field: 0})


@pytest.mark.parametrize('offset', [1.0, 0.5, -1.0])
def test_a_class_weight_offset_that_turns_the_weights_round_is_refused(
    small_config: TrainConfig, offset: float
) -> None:
    with pytest.raises(ParameterError, match='class_weight_offset must be above 1'):
        replace(small_config, class_weight_offset=offset)


def test_a_falling_scale_range_is_refused(small_config: TrainConfig) -> None:
    with pytest.raises(ParameterError, match='scale_range'):
        replace(small_config, scale_range=(2.0, 1.0))


def test_an_endless_scale_range_is_refused(small_config: TrainConfig) -> None:
    with pytest.raises(ParameterError, match='scale_range must be two rising numbers'):
        replace(small_config, scale_range=(1.0, inf))


def test_an_auxiliary_weight_below_zero_is_refused(small_config: TrainConfig) -> None:
    with pytest.raises(ParameterError, match='auxiliary_weight must be zero or above, not -1'):
        replace(small_config, auxiliary_weight=-1)


@pytest.mark.parametrize(
    ('field', 'value', 'said'),
    [
        ('poly_power', -1.0, 'poly_power must be zero or above, not -1.0'),
        ('restart_power', -0.5, 'restart_power must be zero or above, not -0.5'),
        ('warmup_steps', -5, 'warmup_steps must be zero or above, not -5'),
        ('weight_decay', -1.0, 'weight_decay must be zero or above, not -1.0'),
        ('weight_decay', nan, 'weight_decay must be zero or above, not nan'),
        ('weight_decay', inf, 'weight_decay must be a finite number, not inf'),
        ('color_jitter', 3.0, 'color_jitter is a share from 0 to 1, not 3.0'),
        ('color_jitter', -0.1, 'color_jitter is a share from 0 to 1, not -0.1'),
        ('hue_jitter', 18.0, 'hue_jitter is a share from 0 to 1, not 18.0'),
        ('loss_stride', 0, 'loss_stride must be above zero, not 0'),
        ('teacher_height', 3, 'teacher_height must be 8 pixels or more, not 3'),
        ('seed', -1, 'seed must be from 0 to 4294967295, not -1'),
        ('seed', 2**32, 'seed must be from 0 to 4294967295, not 4294967296'),
    ],
)
def test_values_out_of_range_are_named(
    small_config: TrainConfig, field: str, value: float, said: str
) -> None:
    with pytest.raises(ParameterError, match=f'^{re.escape(said)}$'):
        replace(small_config, **{field: value})


def test_relaxation_needs_every_label(small_config: TrainConfig) -> None:
    with pytest.raises(ParameterError, match='leave loss_stride at 1'):
        replace(small_config, relaxed_share=0.5, loss_stride=2)


def test_a_lattice_has_labels_in_every_crop(small_config: TrainConfig) -> None:
    replace(small_config, loss_stride=32)
    with pytest.raises(ParameterError, match=r'loss_stride 33 is larger than a crop, \(32, 48\)'):
        replace(small_config, loss_stride=33)


def test_values_at_the_end_of_a_range_are_taken(small_config: TrainConfig) -> None:
    """A power of zero is a constant learning rate."""
    replace(small_config, poly_power=0, restart_power=0, warmup_steps=0, weight_decay=0)
    replace(small_config, color_jitter=1, seed=2**32 - 1)


@pytest.mark.parametrize(
    ('kind', 'values', 'said'),
    [
        (
            ConsistencyConfig,
            {'temporal': nan},
            'temporal is a weight, a number from zero up, not nan',
        ),
        (DistillationConfig, {'scale': nan}, 'grid and scale must be above zero'),
        (MotionLossWeights, {'edge': nan}, 'loss weight edge must be zero or above, not nan'),
        (MotionConfig, {'learning_rate': nan}, 'learning_rate must be above zero, not nan'),
        (MotionConfig, {'weight_decay': -1.0}, 'weight_decay must be zero or above, not -1.0'),
        (MotionConfig, {'seed': -1}, 'seed must be zero or above, not -1'),
        (MotionConfig, {'seed': 2**32}, 'seed must be from 0 to 4294967295, not 4294967296'),
        (MotionConfig, {'learning_rate': inf}, 'learning_rate must be a finite number, not inf'),
        (
            MotionConfig,
            {'loss': MotionLossWeights(edge=inf)},
            'edge must be a finite number, not inf',
        ),
        (MotionConfig, {'workers': -2}, 'workers must be zero or above, not -2'),
    ],
)
def test_blocks_and_motion_networks_are_checked_as_well(
    kind: type, values: dict[str, float], said: str
) -> None:
    clips = {'clips': ('street:1',)} if kind is MotionConfig else {}
    with pytest.raises(ParameterError, match=said):
        kind(**clips, **values)


def test_the_largest_seed_trains(small_config: TrainConfig, tmp_path: Path) -> None:
    run(replace(small_config, seed=2**32 - 1, epochs=1), tmp_path)
