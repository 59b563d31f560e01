# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A summary is valid JSON, accounts for every frame, and can be read by people."""

from dataclasses import replace
import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.timing import summarize
from vidseg_ros.evaluation.consistency import ClassConsistency, Consistency, WindowConsistency
from vidseg_ros.evaluation.summary import ClassScore, ReplaySummary, Scores, StageLatency
from vidseg_ros.inference.prediction import EngineInfo

LABELS = LabelSet(names=('road', 'sky', 'car'), colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))

SUMMARY = ReplaySummary(
    mode='offline',
    source='drive',
    model='tiny',
    engine=EngineInfo(name='onnxruntime', version='1.2', device='CPU', precision='fp32'),
    frames_segmented=8,
    drops={'corrupt': 2, 'step': 1},
    wall_ns=2_000_000_000,
    latencies=(
        StageLatency(
            stage='infer',
            boundary='picture -> labels',
            latency=summarize([1_000_000, 2_000_000, 3_000_000]),
        ),
    ),
    scores=Scores(
        frames=4,
        miou=0.5,
        classes=(
            ClassScore(name='road', iou=0.75, pixels=1000),
            ClassScore(name='sky', iou=0.25, pixels=20),
            ClassScore(name='car', iou=None, pixels=0),
        ),
    ),
)
NOTHING = replace(
    SUMMARY,
    frames_segmented=0,
    drops={},
    wall_ns=0,
    scores=None,
    latencies=(StageLatency(stage='infer', boundary='a -> b', latency=summarize([])),),
)


def printed(summary: ReplaySummary) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(summary.table())
    return out.getvalue()


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the printed tables, line by line."""
    lines = [line.replace('┃', '│') for line in text.splitlines() if line[:1] in '│┃']
    return [[cell.strip() for cell in line.strip('│').split('│')] for line in lines]


def test_every_frame_is_accounted_for() -> None:
    assert SUMMARY.frames_seen == 11
    assert NOTHING.frames_seen == 0


def test_rate() -> None:
    assert SUMMARY.fps == 4.0
    assert NOTHING.fps is None


def test_json_layout() -> None:
    expected: dict[str, Any] = {
        'schema': 1,
        'mode': 'offline',
        'source': 'drive',
        'model': 'tiny',
        'engine': {
            'name': 'onnxruntime',
            'version': '1.2',
            'device': 'CPU',
            'precision': 'fp32',
            'note': '',
            'degraded': False,
        },
        'frames': {'seen': 11, 'segmented': 8},
        'drops': {'corrupt': 2, 'step': 1},
        'wall_s': 2.0,
        'fps': 4.0,
        'latency': {
            'infer': {
                'boundary': 'picture -> labels',
                'count': 3,
                'p50_ms': 2.0,
                'p95_ms': 2.9,
                'p99_ms': 2.98,
                'max_ms': 3.0,
            }
        },
        'scores': {
            'frames': 4,
            'miou': 0.5,
            'classes': [
                {'name': 'road', 'iou': 0.75, 'pixels': 1000},
                {'name': 'sky', 'iou': 0.25, 'pixels': 20},
                {'name': 'car', 'iou': None, 'pixels': 0},
            ],
        },
        'consistency': None,
        'error': None,
    }
    plain: dict[str, Any] = json.loads(json.dumps(SUMMARY.to_dict(), allow_nan=False))
    measured, wanted = plain.pop('latency')['infer'], expected.pop('latency')['infer']
    assert measured == pytest.approx(wanted)
    assert plain == expected


def test_json_of_a_run_without_frames_has_no_numbers_that_are_none() -> None:
    plain = json.loads(json.dumps(NOTHING.to_dict(), allow_nan=False))
    assert plain['fps'] is None
    assert plain['scores'] is None
    assert plain['latency']['infer']['p99_ms'] is None


def test_scores_from_a_confusion_matrix() -> None:
    confusion = Confusion(3)
    truth = np.array([0, 0, 0, 1, 255], np.uint8)
    confusion.add(truth, np.array([0, 0, 1, 1, 2], np.uint8))
    scores = Scores.from_confusion(confusion, LABELS, frames=1)
    assert scores.frames == 1
    assert scores.miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert [item.name for item in scores.classes] == ['road', 'sky', 'car']
    assert [item.pixels for item in scores.classes] == [3, 1, 0]
    assert [item.iou for item in scores.classes] == [pytest.approx(2 / 3), 0.5, None]


def test_table_for_people() -> None:
    text = printed(SUMMARY)
    rows = rows_of(text)
    assert text.startswith('drive, offline')
    assert ['engine', 'onnxruntime 1.2, CPU, fp32'] in rows
    assert ['frames', '8 segmented of 11'] in rows
    assert ['dropped', '2 corrupt, 1 step'] in rows
    assert ['rate', '4.0 frames/s'] in rows
    assert ['infer', '2.0', '2.9', '3.0', '3.0', 'picture -> labels'] in rows
    assert ['road', '75.0', '1,000'] in rows
    assert ['car', '-', '0'] in rows
    assert ['mean', '50.0', '1,020'] in rows
    assert 'ended by' not in text


def test_the_table_says_why_it_is_not_another_engine() -> None:
    engine = replace(SUMMARY.engine, note='not TensorRT: no GPU')
    assert 'not TensorRT: no GPU' in printed(replace(SUMMARY, engine=engine))


def test_a_live_run_says_why_most_frames_have_no_label_map() -> None:
    drops = {'no mask': 32}
    latency = replace(SUMMARY.latencies[0], latency=summarize([500_000_000]))
    slow = replace(
        SUMMARY,
        mode='live',
        frames_segmented=6,
        drops=drops,
        wall_ns=3_000_000_000,  # 38 frames in 2.5 s, and the wait for the last label map
        latencies=(latency,),
    )
    text = ' '.join(
        word for row in rows_of(printed(slow)) for cell in row for word in cell.split()
    )
    assert 'a label map took about 500 ms here and a frame came every 66 ms, so the node' in text
    assert '`vidseg replay` without --live' in text
    few = replace(slow, frames_segmented=30, drops={'no mask': 3})
    assert 'newest' not in printed(few)
    assert 'newest' not in printed(replace(slow, frames_segmented=0)), 'then it is something else'


def test_table_of_a_run_without_frames() -> None:
    rows = rows_of(printed(NOTHING))
    assert ['dropped', 'none'] in rows
    assert ['rate', '-'] in rows
    assert ['infer', '-', '-', '-', '-', 'a -> b'] in rows
    assert not any(row[0] == 'mean' for row in rows)


def test_names_with_brackets_are_printed_as_they_are() -> None:
    text = printed(replace(SUMMARY, source='drive[front].mp4', error='bag [red] is damaged'))
    assert text.startswith('drive[front].mp4')
    assert ['ended by', 'bag [red] is damaged'] in rows_of(text)


def test_consistency_is_in_the_table_and_in_the_json() -> None:
    consistency = Consistency(
        pairs=7,
        tc=0.625,
        legacy_tc=0.5,
        flips_per_second=0.1239,
        classes=(
            ClassConsistency(name='road', tc=0.875, flips_per_second=0.05),
            ClassConsistency(name='sky', tc=None, flips_per_second=None),
        ),
        windows=(WindowConsistency(window=8, self_consistency=0.9, correct_consistency=0.8),),
    )
    summary = replace(SUMMARY, consistency=consistency)
    text = printed(summary)
    for expected in ('7 pairs of frames', '62.5', '0.124', '87.5', '80.0 / 90.0'):
        assert expected in text
    plain: Any = json.loads(json.dumps(summary.to_dict(), allow_nan=False))['consistency']
    assert plain['tc'] == 0.625
    assert plain['legacy_tc'] == 0.5
    assert plain['classes'][1] == {'name': 'sky', 'tc': None, 'flips_per_second': None}
    assert plain['windows'][0]['window'] == 8
    assert SUMMARY.to_dict()['consistency'] is None
