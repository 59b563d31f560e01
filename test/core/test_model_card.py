# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A card survives the file, and a damaged one names the field."""

import json
from typing import Any

import pytest

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import DataSource, ModelCard, Score

CARD = ModelCard(
    name='drei Straßen',
    network='FDDWNet',
    labels=LabelSet(names=('road', 'sky'), colors=((128, 64, 128), (70, 130, 180))),
    input_order='bgr8',
    input_size=(360, 480),
    precision='fp32',
    licence='research only',
    recipe='vidseg-train camvid',
    datasets=(DataSource(name='CamVid train', licence='CC BY-NC 4.0', use='fine-tuning'),),
    scores=(Score(metric='mIoU', value=0.5, protocol='CamVid test, 480x360'),),
)
PLAIN: dict[str, Any] = json.loads(CARD.to_json())


def test_round_trip() -> None:
    assert ModelCard.from_json(CARD.to_json()) == CARD


def test_json_layout() -> None:
    assert PLAIN['schema'] == 1
    assert PLAIN['ignore_id'] == 255
    assert PLAIN['input_size'] == [360, 480]
    assert PLAIN['labels'] == [
        {'id': 0, 'name': 'road', 'color': [128, 64, 128]},
        {'id': 1, 'name': 'sky', 'color': [70, 130, 180]},
    ]
    assert PLAIN['datasets'] == [
        {'name': 'CamVid train', 'licence': 'CC BY-NC 4.0', 'use': 'fine-tuning'}
    ]
    assert PLAIN['scores'] == [
        {'metric': 'mIoU', 'value': 0.5, 'protocol': 'CamVid test, 480x360'}
    ]


def test_a_score_may_be_written_as_a_whole_number() -> None:
    plain = PLAIN | {'scores': [{'metric': 'mIoU', 'value': 1, 'protocol': 'none'}]}
    assert ModelCard.from_json(json.dumps(plain)).scores[0].value == 1.0


@pytest.mark.parametrize('field', sorted(PLAIN))
def test_a_missing_field_is_named(field: str) -> None:
    plain = {key: value for key, value in PLAIN.items() if key != field}
    with pytest.raises(ModelError, match=rf'{field}.*None|{field!r} must be .*found nothing'):
        ModelCard.from_json(json.dumps(plain))


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('name', 3, "'name' must be a text, found 3"),
        ('datasets', 'CamVid', "'datasets' must be a list of objects, found 'CamVid'"),
        ('datasets', [{'name': 'x', 'use': 'y'}], "'licence' must be a text, found nothing"),
        (
            'scores',
            [{'metric': 'mIoU', 'value': '0.5', 'protocol': 'x'}],
            "'value' must be a finite number, found '0.5'",
        ),
        (
            'scores',
            [{'metric': 'mIoU', 'value': True, 'protocol': 'x'}],
            "'value' must be a finite number, found True",
        ),
        (
            'scores',
            [{'metric': 'mIoU', 'value': float('nan'), 'protocol': 'x'}],
            "'value' must be a finite number, found nan",
        ),
        ('input_order', 'yuv', "'input_order' must be one of rgb8, bgr8, found 'yuv'"),
        ('input_size', [360], r"'input_size' must be \[height, width\] in pixels"),
        ('input_size', [0, 480], "'input_size' must be"),
        ('ignore_id', 0, "'ignore_id' must be 255, found 0"),
        ('labels', [{'id': 1, 'name': 'road', 'color': [0, 0, 0]}], "'labels' must be classes"),
        ('labels', [{'id': 0, 'name': 'road', 'color': [0, 0]}], r"'labels.color' must be \[red"),
        ('labels', [{'id': 0, 'name': 'road', 'color': [0, 0, 999]}], 'not three numbers'),
        ('labels', [], 'needs 1 to 254 classes'),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelCard.from_json(json.dumps(PLAIN | {field: value}))


@pytest.mark.parametrize('schema', [0, 2, '1', None])
def test_another_schema_is_refused(schema: object) -> None:
    with pytest.raises(ModelError, match=f'has schema {schema!r}, this version reads schema 1'):
        ModelCard.from_json(json.dumps(PLAIN | {'schema': schema}))


def test_a_card_that_is_no_json() -> None:
    with pytest.raises(ModelError, match='not valid JSON'):
        ModelCard.from_json(CARD.to_json()[:40])


def test_a_card_that_is_no_object() -> None:
    with pytest.raises(ModelError, match='not a JSON object'):
        ModelCard.from_json('[1]')
