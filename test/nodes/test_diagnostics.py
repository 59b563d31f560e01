# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip('rclpy')

from vidseg_ros.nodes.diagnostics import (
    CAMERA_RULES,
    CameraFacts,
    ENGINE_RULES,
    EngineFacts,
    ERROR,
    GRAPH_RULES,
    GraphFacts,
    InputFacts,
    judge,
    Limits,
    make_status,
    OK,
    WARN,
)

WELL: dict[str, Any] = {
    'topic': '/image',
    'inputs': InputFacts(publishers=1, misfit='', info_problem=''),
    'limits': Limits(camera_timeout_s=2.0, max_age_s=1.0),
    'silent_s': 0.0,
    'blind_s': 0.0,
    'waiting_s': 0.0,
    'bad_share': 0.0,
    'bad': '',
    'backwards': 0,
    'clock_problem': '',
    'age_s': 0.5,
    'replaced_share': 0.0,
    'serving_s': 9.0,
    'extras_failed': 0,
}


@pytest.mark.parametrize(
    ('facts', 'level', 'rules'),
    [
        ({}, OK, ['fine']),
        ({'replaced_share': 0.9}, OK, ['replaced']),
        ({'waiting_s': 2.1}, ERROR, ['no_masks']),
        ({'silent_s': 2.1, 'inputs': InputFacts(0, '', '')}, ERROR, ['no_publisher']),
        ({'silent_s': 2.1, 'inputs': InputFacts(0, 'x', '')}, ERROR, ['wrong_type']),
        ({'silent_s': 2.1, 'inputs': InputFacts(1, 'x', '')}, ERROR, ['wrong_type', 'no_images']),
        ({'inputs': InputFacts(1, 'x', '')}, OK, ['fine']),
        ({'inputs': InputFacts(1, '', 'x')}, WARN, ['no_camera_info']),
        ({'inputs': InputFacts(1, '', 'x'), 'serving_s': 2.0}, OK, ['fine']),
        ({'extras_failed': 1}, WARN, ['extras_failed']),
        ({'silent_s': 2.1}, ERROR, ['no_images']),
        ({'silent_s': 2.0, 'waiting_s': 2.0}, OK, ['fine']),
        ({'blind_s': 2.1, 'bad_share': 1.0}, ERROR, ['no_good_frames']),
        ({'blind_s': 2.1, 'silent_s': 2.1}, ERROR, ['no_images']),
        ({'bad_share': 0.02}, WARN, ['bad_frames']),
        ({'bad_share': 0.01}, OK, ['fine']),
        ({'backwards': 1}, WARN, ['stamp_backwards']),
        ({'clock_problem': 'x', 'age_s': 9.0}, WARN, ['clock']),
        ({'age_s': 1.1}, WARN, ['age']),
        ({'age_s': 1.0}, OK, ['fine']),
        (
            {'silent_s': 3.0, 'bad_share': 1.0, 'replaced_share': 0.1},
            ERROR,
            ['no_images', 'bad_frames'],
        ),
    ],
)
def test_camera_rules(facts: dict[str, Any], level: bytes, rules: list[str]) -> None:
    verdict = judge(CAMERA_RULES, CameraFacts(**WELL | facts))
    assert (verdict.level, list(verdict.texts)) == (level, rules)
    assert all('{' not in text for text in verdict.texts.values())


def test_engine_rules() -> None:
    well = EngineFacts(state='active', failure='', building='', fallback='', mute='')
    assert judge(ENGINE_RULES, well) == (OK, {'state': 'active'}, ())
    failed = replace(well, state='unconfigured', failure='no {model}')
    assert judge(ENGINE_RULES, failed) == (ERROR, {'failed': 'no {model}'}, ())
    building = replace(well, state='unconfigured', building='phase 3 %')
    assert judge(ENGINE_RULES, building) == (OK, {'building': 'configuring: phase 3 %'}, ())
    poor = judge(ENGINE_RULES, replace(well, fallback='not TensorRT: x', mute='street'))
    assert (poor.level, list(poor.texts)) == (WARN, ['fallback', 'no_confidence'])
    assert poor.logged == ('no_confidence',), 'the fallback is logged as the engine is opened'
    assert 'not TensorRT: x' in poor.texts['fallback']
    assert 'the model street has no such output' in poor.texts['no_confidence']


def test_graph_rules() -> None:
    well = judge(GRAPH_RULES, GraphFacts(name='/a', namesakes=0, clashes='', misfits=''))
    assert (well.level, list(well.texts)) == (OK, ['fine'])
    bad = judge(GRAPH_RULES, GraphFacts(name='/a', namesakes=1, clashes='b', misfits='c'))
    assert (bad.level, list(bad.texts), bad.logged) == (
        WARN,
        ['namesake', 'incompatible_qos', 'wrong_type'],
        ('namesake',),
    )
    assert 'another node is called /a (' in bad.texts['namesake']
    assert bad.texts['incompatible_qos'] == 'b'


def test_a_status_names_its_rules_for_machines_and_says_them_to_people() -> None:
    facts = CameraFacts(**WELL | {'backwards': 2, 'age_s': 1.5})
    status = make_status('n: c', '/image', judge(CAMERA_RULES, facts), {'rate_hz': '1.0'})
    assert (status.name, status.hardware_id, status.level) == ('n: c', '/image', WARN)
    assert [(item.key, item.value) for item in status.values] == [
        ('rules', 'stamp_backwards, age'),
        ('rate_hz', '1.0'),
    ]
    first, second = status.message.split('; a bag that loops does that, a camera must not; ')
    assert first == 'stamps jumped back in the last 10 s: stamp_backwards 2'
    assert second.startswith('masks are 1.50 s old')
