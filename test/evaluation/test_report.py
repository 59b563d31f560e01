# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The report's file: complete, bounded, safe; what it says is what the evaluation found."""

from collections.abc import Callable
from importlib import util
import json
from pathlib import Path
import re
from typing import Any

import pytest

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_ros.evaluation import report
from vidseg_ros.evaluation.report import compiled_at_once, require_plotting_library, write_report

EvaluationFolder = Callable[..., Path]


def content(page: str) -> dict[str, Any]:
    """Return what the page's scripts read."""
    match = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page)
    assert match is not None
    found: dict[str, Any] = json.loads(match[1])
    return found


def carried(page: str) -> list[str]:
    return re.findall(r'<div hidden id="([^"]+)"><!--', page)


def test_report_of_two_models(evaluation_folder: EvaluationFolder) -> None:
    out = evaluation_folder()
    assert write_report(out) == out / 'report.html'
    page = (out / 'report.html').read_text()
    found = content(page)
    assert found['subtitle'] == 'net-a (a.onnx) against net-b (b.onnx), 1 source, 20 frames'
    assert [model['label'] for model in found['models']] == [
        'A: net-a (a.onnx)',
        'B: net-b (b.onnx)',
    ]
    assert found['overall']['b']['miou'] == 0.6
    (source,) = found['sources']
    assert (source['key'], source['dropped'], source['note']) == ('drive', 1, '')
    assert source['series']['a']['inference_ms'] == list(range(10, 30))
    assert len(source['clip']['parts'][0]['t']) == 20
    assert carried(page) == ['clip0-0000-video', 'clip0-0000-masks', 'plotly']
    assert not re.search(r'\{\{\w+\}\}', page.split('<div hidden')[0])
    assert 'http://' not in page.split('<div hidden')[0]
    assert 'https://' not in page.split('<div hidden')[0]


def test_the_data_sets_that_a_licence_speaks_of_are_shown(
    evaluation_folder: EvaluationFolder,
) -> None:
    out = evaluation_folder(models='a')
    results = json.loads((out / 'results.json').read_text())
    data = {'name': 'CamVid', 'licence': 'CC BY-NC 4.0', 'use': 'training'}
    card = {'licence': 'as the data sets below demand', 'datasets': [data, data]}
    results['models'][0]['card'] |= card
    (out / 'results.json').write_text(json.dumps(results))
    (model,) = content(write_report(out).read_text())['models']
    assert model['facts'][-2:] == [
        ['Licence', 'as the data sets below demand'],
        ['Data', 'CamVid: CC BY-NC 4.0'],
    ]


def test_worst_moments(evaluation_folder: EvaluationFolder) -> None:
    out = evaluation_folder(models='a', frames=40)
    worst = content(write_report(out).read_text())['worst']
    assert [kind['title'] for kind in worst] == ['Lowest TC', 'Most flips', 'Lowest confidence']
    first = worst[0]['moments'][0]
    assert (first['source'], first['t'], first['text']) == ('drive', 0.7, 'TC 10.0 %')
    assert first['thumbnail'].startswith('data:image/jpeg;base64,')
    times = [moment['t'] for moment in worst[1]['moments']]
    assert times == [0, 2], 'equally bad moments in order, two seconds apart'


def test_every_worst_moment_is_a_frame_of_the_player(
    evaluation_folder: EvaluationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('vidseg_ros.evaluation.clip._PERIOD_MS', 200)  # every second frame
    found = content(write_report(evaluation_folder(models='a', frames=40, worst=7)).read_text())
    (source,) = found['sources']
    shown = source['clip']['parts'][0]['indices']
    assert shown == list(range(0, 40, 2)), 'the frame with the lowest TC is left out'
    assert source['note'] == '20 of 40 frames have pictures: those segmented, at most 15 a second.'
    indices = [moment['index'] for kind in found['worst'] for moment in kind['moments']]
    assert indices
    assert set(indices) <= set(shown)
    assert found['worst'][0]['moments'][0]['text'] == 'TC 90.0 %', 'that of the frame shown'


def test_names_cannot_leave_their_place(evaluation_folder: EvaluationFolder) -> None:
    evil = '/bags/</script><script>alert(1)</script><!--&.mcap'
    page = write_report(evaluation_folder({'drive': evil})).read_text()
    assert content(page)['sources'][0]['path'] == evil
    assert '<script>alert' not in page
    assert page.count('</script>') == 3


def test_the_page_is_bounded(
    evaluation_folder: EvaluationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = evaluation_folder({'one': '/a.mp4', 'two': '/b.mp4'}, frames=10)
    clips = [out / 'sources' / key / 'clip' for key in ('one', 'two')]
    sizes = [
        sum((clip / f'0000.{kind}').stat().st_size for kind in ('webm', 'masks')) for clip in clips
    ]
    monkeypatch.setattr(report, '_MOST_MEDIA_BYTES', {2: max(sizes)})
    monkeypatch.setattr(report, '_MOST_POINTS', 5)
    monkeypatch.setattr(report, '_LEAST_POINTS', 5)
    page = write_report(out).read_text()
    found = content(page)
    assert len(carried(page)) == 3
    assert [source['clip'] is None for source in found['sources']] == [False, True]
    assert found['sources'][1]['note'] == (
        '0 of 1 minutes are on this page, worst moments first; all are in sources/two/clip.'
    )
    assert len(found['sources'][0]['series']['a']['t']) == 5


@pytest.mark.parametrize(('models', 'bound'), [(1, 60_000_000), (2, 100_000_000)])
def test_pictures_and_charts_leave_room_for_the_numbers(models: int, bound: int) -> None:
    files = report._MOST_MEDIA_BYTES[models] + require_plotting_library().stat().st_size
    assert files * 4 / 3 < bound - 2_500_000  # base64 makes four characters of three bytes


def test_sources_without_pictures_or_numbers(evaluation_folder: EvaluationFolder) -> None:
    out = evaluation_folder()
    (out / 'sources/drive/clip/index.json').unlink()
    results = json.loads((out / 'results.json').read_text())
    failed = {'key': 'broken', 'path': '/x.mcap', 'topic': '/front', 'frames': 0, 'models': {}}
    results['sources'].append(failed | {'problems': ['no such topic']})
    (out / 'results.json').write_text(json.dumps(results))
    found = content(write_report(out).read_text())
    assert found['worst'] == []
    assert [source['clip'] for source in found['sources']] == [None, None]
    assert found['sources'][0]['note'] == 'No pictures were kept of this source.'
    assert [source['key'] for source in found['sources']] == ['drive', 'broken']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, r'no evaluation in .*\(results\.json: No such file.*\); run vidseg evaluate first'),
        ('{', r'results\.json is damaged: .*run vidseg evaluate again'),
        ('[]', r'results\.json does not say vidseg\.results/2'),
        ('{"schema": "vidseg.results/1"}', r'of another version; run vidseg evaluate again'),
        ('{"schema": "vidseg.results/9"}', r'it is of another version; run vidseg evaluate again'),
    ],
)
def test_no_evaluation(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / 'results.json').write_text(text)
    with pytest.raises(SourceError, match=message):
        write_report(tmp_path)


def test_a_page_that_cannot_be_written(evaluation_folder: EvaluationFolder) -> None:
    out = evaluation_folder()
    (out / 'report.html').mkdir()
    with pytest.raises(OutputError, match=r'cannot write .*report\.html'):
        write_report(out)


def test_without_plotly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert require_plotting_library().stat().st_size > 1_000_000
    monkeypatch.setattr(report, 'find_spec', lambda name: util.find_spec(f'no_{name}'))
    with pytest.raises(ParameterError, match=r'pip install plotly; vidseg evaluate --no-report'):
        write_report(tmp_path)


def test_plotly_is_compiled_at_once_where_its_file_is_as_known() -> None:
    script = b'(function(root, factory) {}(self, this, () => {var x = () => {};}));'
    known = b'/* c */(f (this, () => {\nreturn 1;\n}));'
    assert compiled_at_once(known) == b'/* c */(f (this, (() => {\nreturn 1;\n})));'
    assert compiled_at_once(script) == (
        b'(function(root, factory) {}(self, this, (() => {var x = () => {};})));'
    )
    for other in (b'var Plotly = 1;', b'(f (this, () => {\n}))', b''):
        assert compiled_at_once(other) == other
