# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'temporal': -1}, 'temporal is a weight, a number from zero up, not -1'),
        ({'equivariance': -0.5}, 'equivariance is a weight, a number from zero up, not -0.5'),
        ({'batch': 0}, 'batch and max_gap must be 1 or more, not 0 and 3'),
        ({'max_gap': 0}, 'batch and max_gap must be 1 or more, not 2 and 0'),
        ({'ramp': 1.5}, 'ramp is a share from 0 to 1, not 1.5'),
        ({'picture_error': 0.0}, 'picture_error is a number above zero, grey levels, not 0'),
        ({'picture_error': float('nan')}, 'picture_error is a number above zero'),
        ({'picture_error': float('inf')}, 'picture_error is a number above zero'),
        ({'temporal': float('inf')}, 'temporal is a weight, a number from zero up, not inf'),
        ({'motion': 'dis'}, 'dis is what temporal consistency is measured with'),
    ],
)
def test_consistency_settings_that_do_not_fit_are_refused(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        ConsistencyConfig(**values)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'pixel': -1}, 'pixel is a weight, a number from zero up, not -1'),
        ({'grid': (0, 4)}, 'grid and scale must be above zero'),
        ({'scale': 0}, 'grid and scale must be above zero'),
    ],
)
def test_distillation_settings_that_do_not_fit_are_refused(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        DistillationConfig(**values)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'temporal': 0.1}, r'consistency\.temporal needs consistency\.clips'),
        ({'clips': (Path('drive.mp4'),)}, r'consistency\.clips need consistency\.licence'),
    ],
)
def test_clips_must_be_named_before_training(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ConsistencyConfig(**values).check_sources()


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'pair': 1, 'pixel': 1}, r'pixel, pair need a teacher: give distillation\.teacher'),
        ({'teacher': ('run',)}, r'the teacher has no weight: give distillation\.teacher and one'),
        ({'teacher': ('run',), 'multi_frame': 1}, r'multi_frame needs consistency\.clips'),
    ],
)
def test_a_teacher_must_be_named_before_training(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        DistillationConfig(**values).check_sources(clips=False)
