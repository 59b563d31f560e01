# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
from pathlib import Path

import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_training.config import TrainConfig
from vidseg_training.recipes import RECIPES
from vidseg_training.run_settings import changed_settings, parse_settings, settings_text


def test_settings_survive_being_written(small_config: TrainConfig) -> None:
    config = replace(
        small_config,
        init=Path('a/b.pth'),
        teacher=Path('t.pth'),
        unlabelled=(Path('one.mp4'), Path('two.mp4')),
        unlabelled_licence='MIT',
        strict_classes=('pole',),
        restart_share=0.5,
        learning_rate=1,
    )
    assert parse_settings(settings_text(config), 'a file') == config
    for recipe in RECIPES.values():
        assert parse_settings(settings_text(recipe()), 'a file') == recipe()


def test_settings_of_earlier_runs_have_the_defaults_of_what_came_later(
    small_config: TrainConfig,
) -> None:
    plain = json.loads(settings_text(small_config))
    for name in ('optimizer', 'restart_share', 'clip_norm', 'precision', 'workers'):
        del plain[name]
    assert parse_settings(json.dumps(plain), 'a file') == small_config


def test_the_temporal_loss_of_earlier_runs_is_as_lenient_as_it_was() -> None:
    for recipe, error in (('camvid_consistent', 57.63), ('camvid_fddwnet', 9.6)):
        plain = json.loads(settings_text(RECIPES[recipe]()))
        del plain['consistency']['picture_error']
        parsed = parse_settings(json.dumps(plain), 'a file')
        assert parsed.consistency.picture_error == error


@pytest.mark.parametrize(
    ('name', 'value', 'said'),
    [
        ('turbo', 1, 'the settings turbo are unknown'),
        ('network', 'turbo', "network is 'turbo', not one of compact, dual_resolution, "),
        ('dataset', ['camvid'], r"dataset is \['camvid'\], not one of camvid, "),
        ('epochs', 1.5, 'epochs is 1.5, not a whole number'),
        ('epochs', True, 'epochs is True, not a whole number'),
        ('epochs', None, 'epochs is None, not a whole number'),
        ('epochs', -1, 'epochs must be above zero, not -1'),
        ('accumulate', 1, 'accumulate is 1, not true or false'),
        ('learning_rate', 'fast', "learning_rate is 'fast', not a number"),
        ('restart_share', 'half', "restart_share is 'half', not a number"),
        ('unlabelled_licence', 3, 'unlabelled_licence is 3, not a text'),
        ('init', 3, 'init is 3, not a path'),
        ('input_size', [48], r'input_size is \[48\], not a list as long as'),
        ('input_size', 48, 'input_size is 48, not a list as long as'),
        ('strict_classes', 'pole', "strict_classes is 'pole', not a list"),
        ('consistency', None, r'consistency is None, not settings by name'),
        ('consistency', {'batch': 'two'}, r"consistency\.batch is 'two', not a whole number"),
        ('consistency', {'dream': 2}, r'the settings consistency\.dream are unknown'),
    ],
)
def test_settings_of_another_version_are_named(
    small_config: TrainConfig, name: str, value: object, said: str
) -> None:
    plain = json.loads(settings_text(small_config))
    match = f'^cannot use the settings in a file: {said}.*of another version .*, or damaged: use'
    with pytest.raises(SourceError, match=match):
        parse_settings(json.dumps({**plain, name: value}), 'a file')


def test_what_is_no_settings_is_named() -> None:
    with pytest.raises(SourceError, match='the settings in a file are no JSON: the file is damag'):
        parse_settings('{"name": ', 'a file')
    with pytest.raises(SourceError, match='in a file: the setting network is not there'):
        parse_settings('{"name": "x", "dataset": "camvid"}', 'a file')
    with pytest.raises(SourceError, match=r'settings in a file: all is \[1\], not settings by'):
        parse_settings('[1]', 'a file')


def test_only_what_touches_the_outcome_counts_as_changed(small_config: TrainConfig) -> None:
    init = replace(small_config, init=Path('a/w.pth'))
    assert changed_settings(init, replace(init, init=Path('b/w.pth'), workers=3)) == []
    assert changed_settings(init, replace(init, init=Path('a/v.pth'), seed=1)) == ['init', 'seed']
