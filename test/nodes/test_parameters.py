# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
import yaml

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.resources import find_config
from vidseg_ros.nodes.diagnostics import Limits
from vidseg_ros.nodes.parameters import (
    declare_parameters,
    NodeParameters,
    read_limits,
    read_parameters,
)

DEFAULTS = NodeParameters(
    model='camvid_fddwnet_fast',
    engine='auto',
    gpu=0,
    image_size=(),
    cameras=(),
    input_type='auto',
    mask_size='camera',
)


def read(context: Context, **values: Any) -> NodeParameters:
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = Node('parameters', context=context, parameter_overrides=overrides)
    try:
        return read_parameters(node, declare_parameters(node))
    finally:
        node.destroy_node()


def test_defaults(context: Context) -> None:
    assert read(context) == DEFAULTS


def test_start_up_values_arrive(context: Context) -> None:
    values = read(context, model='m', cameras=['a', 'b/c'], image_size=[480, 640], gpu=1)
    expected = {'model': 'm', 'cameras': ('a', 'b/c'), 'image_size': (480, 640), 'gpu': 1}
    assert values == replace(DEFAULTS, **expected)


def test_every_refused_value_is_named(context: Context) -> None:
    with pytest.raises(ParameterError, match=r'overlay_opacity .*-1\.0.*; .*diagnostics_period'):
        read(context, overlay_opacity=-1.0, diagnostics_period=1000.0)


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('camera_time_out', 'camera_timeout'),
        ('max_agee', 'max_age'),
        ('overlay_opacty', 'overlay_opacity'),
        ('input_typ', 'input_type'),
        ('diagnostic_period', 'diagnostics_period'),
        ('mask_sizes', 'mask_size'),
        ('modell', 'model'),
    ],
)
def test_a_misspelt_name_is_refused(context: Context, name: str, meant: str) -> None:
    with pytest.raises(ParameterError, match=f'^parameter {name} .* mean {meant}[?] Correct it'):
        read(context, **{name: 1.0, 'start_type_description_service': False})


def test_what_is_like_a_name_that_is_given_is_no_misspelling_of_it(context: Context) -> None:
    assert read(context, models=['a', 'b'], model='m').model == 'm'


@pytest.mark.parametrize(
    'name',
    [
        'robot_name',
        'camera_name',
        'camera_info_url',
        'image_width',
        'image_height',
        'image_topic',
        'diagnostic_updater.period',
        'model_path',
        'gpu_id',
        'max_range',
        'min_age',
        'map_size',
        'mode',
    ],
)
def test_names_of_other_nodes_are_none_of_this_ones_business(context: Context, name: str) -> None:
    assert read(context, **{name: 'hal'}) == DEFAULTS


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('model', '', "parameter model is ''"),
        ('engine', 'abacus', "parameter engine is 'abacus', it must be one of auto, onnx"),
        ('input_type', 'x', "parameter input_type is 'x', it must be one of auto, image"),
        ('mask_size', 'x', "parameter mask_size is 'x', it must be one of camera, network"),
        ('image_size', (480,), r'image_size is \[480\], it must be height and width'),
        ('image_size', (480, 0), 'such as .1080, 1920'),
        ('cameras', ('~/a',), "parameter cameras has '~/a'"),
        ('cameras', ('a/',), "parameter cameras has 'a/'"),
        ('cameras', ('2',), "parameter cameras has '2'"),
        ('cameras', ('',), "parameter cameras has ''"),
        ('cameras', ('front', 'engine'), "cameras has 'engine', but the node has a status of"),
        ('cameras', ('graph',), "cameras has 'graph', but the node has a status of that"),
        ('cameras', ('a', 'b', 'a'), 'parameter cameras repeats a name: a, b, a'),
    ],
)
def test_values_that_are_not_allowed(field: str, value: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        replace(DEFAULTS, **{field: value})


def test_every_parameter_is_described_and_what_is_fixed_says_why(context: Context) -> None:
    node = Node('parameters', context=context, start_parameter_services=False)
    declare_parameters(node)
    names = [
        name
        for name in node._parameters
        if name not in ('use_sim_time', 'start_type_description_service')
    ]
    descriptors = node.describe_parameters(names)
    node.destroy_node()
    assert len(descriptors) == 11
    assert all(item.description and item.additional_constraints for item in descriptors)
    changeable = ['model', 'overlay_opacity', 'camera_timeout', 'max_age']
    assert [item.name for item in descriptors if not item.read_only] == changeable
    for item in descriptors:
        when = 'only at start-up: ' if item.read_only else 'may change at run time'
        assert f'; {when}' in item.additional_constraints


def test_limits_are_read_as_they_are_now(context: Context) -> None:
    node = Node('parameters', context=context, start_parameter_services=False)
    declare_parameters(node)
    assert read_limits(node) == Limits(camera_timeout_s=2.0, max_age_s=1.0)
    node.set_parameters([Parameter('max_age', value=0.5), Parameter('camera_timeout', value=9.0)])
    assert read_limits(node) == Limits(camera_timeout_s=9.0, max_age_s=0.5)
    node.destroy_node()


def test_the_shipped_file_has_every_default(context: Context) -> None:
    path = find_config('segmentation')
    assert path == Path(__file__).parents[2] / 'config' / 'segmentation.yaml'
    values = yaml.safe_load(path.read_text())['/**']['ros__parameters']
    node = Node('parameters', context=context, start_parameter_services=False)
    declare_parameters(node)
    defaults = {name: node.get_parameter(name).value for name in values}
    node.destroy_node()
    assert defaults == values
    assert len(values) == 9, 'all but cameras and image_size, which are unset'
