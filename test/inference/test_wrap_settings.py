# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CITYSCAPES
from vidseg_ros.inference.wrap_settings import load_settings, WrapSettings

GOOD: dict[str, Any] = {'classes': 'cityscapes', 'mean': [0, 0.5, 1], 'std': [1, 2, 3]}


def test_flags_alone_and_the_defaults() -> None:
    settings = load_settings(None, GOOD | {'size': None, 'order': None})
    assert settings == WrapSettings(classes=CITYSCAPES, mean=(0, 0.5, 1), std=(1, 2, 3))
    assert (settings.scale, settings.order, settings.size) == (1 / 255, 'rgb8', None)
    assert (settings.layout, settings.gives, settings.output) == (None, None, None)
    assert (settings.confidence, settings.licence) == (True, 'not stated')


def test_flags_go_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'theirs.yaml'
    path.write_text("""
        classes: [road, {name: sky, color: [1, 2, 3]}, car]
        mean: [123.7, 116.3, 103.5]
        std: [58.4, 57.1, 57.4]
        scale: 1
        size: [512, 1024]
        order: bgr8
        layout: nhwc
        output: logits
        gives: probabilities
        confidence: false
        name: ours
        network: theirs
        licence: MIT
    """)
    settings = load_settings(path, {'order': 'rgb8', 'size': [256, 512], 'name': None})
    assert settings.classes.names == ('road', 'sky', 'car')
    assert settings.classes.colors[1] == (1, 2, 3)
    assert settings.mean == (123.7, 116.3, 103.5)
    assert (settings.scale, settings.size, settings.order) == (1, (256, 512), 'rgb8')
    assert (settings.layout, settings.output, settings.gives) == (
        'nhwc',
        'logits',
        'probabilities',
    )
    assert not settings.confidence
    assert (settings.name, settings.network, settings.licence) == ('ours', 'theirs', 'MIT')


def test_classes_without_a_colour_get_one_each() -> None:
    settings = load_settings(None, GOOD | {'classes': [f'class {n}' for n in range(150)]})
    assert settings.classes.colors[:3] == ((128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert len(set(settings.classes.colors)) == 150


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'mean': None}, r'the flags: mean is missing; .* \(--mean, or mean in the YAML file\)'),
        ({'classes': None}, 'classes is missing'),
        ({'std': None}, 'std is missing'),
        ({'mean': None, 'std': None}, r'mean and std are missing; .* \(--mean --std, or mean and'),
        ({'means': [1, 2, 3]}, "no setting 'means'; choose from classes, mean, std"),
        ({'mean': [1, 2]}, r'mean must be three numbers, one for each channel, not \[1, 2\]'),
        ({'mean': [1, 2, 'x']}, 'mean must be three numbers'),
        ({'mean': 0.5}, 'mean must be three numbers'),
        ({'std': [1, 0, 1]}, 'std must be three numbers above 0'),
        ({'scale': 0}, 'scale must be a number above 0, not 0'),
        ({'scale': float('nan')}, 'scale must be a number above 0'),
        ({'size': [0, 5]}, r'size must be \[height, width\] in pixels'),
        ({'size': '640x360'}, 'size must be'),
        ({'order': 'gbr'}, "order must be one of rgb8, bgr8, not 'gbr'"),
        ({'layout': 'chw'}, 'layout must be one of nchw, nhwc'),
        ({'gives': 'masks'}, 'gives must be one of logits, probabilities, ids'),
        (
            {'classes': 'coco'},
            "classes must be one of camvid, cityscapes, street, or a list, not 'coco'",
        ),
        ({'classes': 19}, 'classes must be a list of classes, or one of camvid'),
        ({'classes': ['a', {'name': 'b'}]}, r'classes must be class names, or \{name: '),
        ({'classes': ['a', 'a']}, 'class names repeat'),
        ({'classes': [str(number) for number in range(300)]}, 'needs 1 to 254 classes'),
        ({'classes': [{'name': 'a', 'color': [1, 2, 256]}]}, 'is not three numbers from 0 to 255'),
        ({'confidence': 'no'}, 'confidence must be true or false'),
        ({'name': ''}, 'name must be a text'),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        load_settings(None, GOOD | change)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'mean: [1, 2', 'cannot read settings .*bad.yaml: '),
        (b'\xff\xfe\x00', 'cannot read settings'),
        (b'- mean\n- std\n', 'are no YAML mapping'),
        (b'', 'are no YAML mapping'),
        (b'mean: [1]\nclasses: camvid\nstd: [1, 1, 1]\n', r'bad.yaml and the flags: mean must be'),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / 'bad.yaml'
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=message) as caught:
        load_settings(path, {})
    assert '\n' not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r'cannot read settings .*none\.yaml'):
        load_settings(tmp_path / 'none.yaml', GOOD)
