# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""results.json, results.csv, the table for people, and whose folder it is."""

import csv
from dataclasses import replace
import hashlib
from io import BytesIO, StringIO, TextIOWrapper
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from rich.console import Console

from vidseg_ros.core.errors import OutputError
from vidseg_ros.core.fleet import write_record
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.evaluate import EvaluationSettings, SourceJob
from vidseg_ros.evaluation.results import claim_run, overall_scores, SCHEMA, write_results
from vidseg_ros.evaluation.results_table import results_table, shorten
from vidseg_ros.evaluation.source_evaluation import SourceResult
from vidseg_ros.evaluation.tally import ModelOutput, ModelTally

CLASSES: Final = LabelSet(
    names=('red', 'green', 'blue'), colors=((255, 0, 0), (0, 255, 0), (0, 0, 255))
)
ENGINE: Final = {'name': 'abacus', 'version': '1', 'device': 'desk', 'precision': 'int1'}


@pytest.fixture
def settings(tiny_model: Path) -> EvaluationSettings:
    return EvaluationSettings(models=(tiny_model,), classes=CLASSES)


def result(key: str, true: int, predicted: int, problems: tuple[str, ...] = ()) -> SourceResult:
    """Return that of one frame of four pixels."""
    tally = ModelTally(3)
    ids = np.full((2, 2), predicted, np.uint8)
    tally.add(ModelOutput(ids, None, 3_000_000), None, np.full((2, 2), true, np.uint8))
    tally.cut()
    return SourceResult(
        key=key,
        path=f'/data/{key}',
        topic=None,
        kind='video',
        frames=1,
        labelled=1,
        unreadable=0,
        dropped=0,
        labels_without_frame=0,
        frames_without_label=0,
        duration_s=0.0,
        problems=problems,
        engines=(ENGINE,),
        tallies={'a': tally},
    )


def test_what_is_written(tmp_path: Path, settings: EvaluationSettings) -> None:
    failed = SourceJob(key='bad', path=Path('/data/bad'), settings=settings, out=tmp_path)
    results = [result('one', 0, 0), result('two', 1, 0, ('a [b]',))]
    steadiness = results[0].tallies['a'].consistency
    steadiness.video[1].class_counts[:, 1] = (8, 6, 2)
    steadiness.temporal.flip_counts[1] = 3
    steadiness.temporal.pixel_ns[1] = 12 * 10**9
    content = write_results(tmp_path, settings, results, [(failed, 'no such file')])
    assert json.loads((tmp_path / 'results.json').read_text()) == content
    assert content['schema'] == SCHEMA == 'vidseg.results/2'
    assert content['classes'][1] == {'name': 'green', 'color': [0, 255, 0]}
    (model,) = content['models']
    digest = hashlib.sha256(settings.models[0].read_bytes()).hexdigest()
    assert (model['key'], model['sha256']) == ('a', digest)
    assert (model['precision'], model['engine']) == ('int1', ENGINE)
    assert model['card']['name'] == 'tiny'
    assert [source['key'] for source in content['sources']] == ['one', 'two', 'bad']
    assert content['sources'][0]['models']['a']['miou'] == 1
    assert content['sources'][2]['problems'] == ['no such file']
    assert content['sources'][2]['models'] == {}
    overall = content['overall']['a']
    assert overall['confusion'] == [[4, 0, 0], [4, 0, 0], [0, 0, 0]]
    assert overall['miou'] == pytest.approx((1 / 2 + 0) / 2)
    with (tmp_path / 'results.csv').open(newline='') as table:
        rows = list(csv.DictReader(table))
    assert [(row['source'], row['model']) for row in rows] == [
        ('one', 'a'),
        ('two', 'a'),
        ('bad', ''),
        ('overall', 'a'),
    ]
    assert [row['problems'] for row in rows] == ['', 'a [b]', 'no such file', '']
    assert (rows[2]['path'], rows[2]['frames'], rows[2]['miou']) == ('/data/bad', '0', '')
    assert (rows[0]['miou'], rows[0]['tc'], rows[0]['inference_ms_p50']) == ('1.0', '', '3.0')
    assert (rows[3]['iou_red'], rows[3]['share_red']) == ('0.5', '1.0')
    of_green = [rows[3][f'{what}_green'] for what in ('flips_per_s', 'vc8', 'vc16')]
    assert of_green == ['0.25', '', '0.25']
    assert overall['vc16_self_per_class'] == [None, 0.75, None]
    assert (rows[3]['frames'], rows[3]['labelled'], rows[3]['duration_s']) == ('2', '2', '0.0')


def test_results_of_one_source_are_not_changed_by_the_sum(
    tmp_path: Path, settings: EvaluationSettings
) -> None:
    first = result('one', 0, 0)
    write_results(tmp_path, settings, [first, result('two', 1, 0)], [])
    assert first.tallies['a'].confusion.pixels == 4


def test_the_overall_mean_may_lie_above_that_of_every_source() -> None:
    drives = [result('one', 0, 0), result('two', 0, 0)]
    for drive, matrix in zip(
        drives, ([[9000, 0, 0], [90, 10, 0]], [[10, 90, 0], [0, 9000, 0]]), strict=True
    ):
        drive.tallies['a'].confusion.matrix[:] = [*matrix, [0, 0, 0]]
    alone = [drive.tallies['a'].scores() for drive in drives]
    overall = overall_scores(drives)['a']
    assert [scores['miou'] for scores in alone] == [pytest.approx(0.545, abs=1e-3)] * 2
    assert overall['miou'] == pytest.approx(9010 / 9190)
    for number, value in enumerate(overall['iou'][:2]):
        assert min(s['iou'][number] for s in alone) < value < max(s['iou'][number] for s in alone)


def test_without_any_result(tmp_path: Path, settings: EvaluationSettings) -> None:
    content = write_results(tmp_path, settings, [], [])
    assert (content['sources'], content['overall']) == ([], {})
    assert content['models'][0]['precision'] == 'fp32', 'that of the card'


def test_a_full_disk(tmp_path: Path, settings: EvaluationSettings) -> None:
    with pytest.raises(OutputError, match=r'cannot write .*results\.json: No such file'):
        write_results(tmp_path / 'gone', settings, [], [])
    (tmp_path / 'results.csv').mkdir()
    with pytest.raises(OutputError, match=r'cannot write .*results\.csv: Is a directory'):
        write_results(tmp_path, settings, [], [])


def printed(content: dict[str, Any], width: int = 100) -> str:
    text = StringIO()
    Console(width=width, file=text).print(results_table(content))
    return text.getvalue()


def test_the_table_for_people(tmp_path: Path, settings: EvaluationSettings) -> None:
    results = [result('[one]', 0, 0, ('a [b]',)), result('two', 1, 0, ('a [b]', 'c'))]
    content = write_results(tmp_path, settings, results, [])
    text = printed(content)
    assert '[one]' in text
    assert '\n[one], two: a [b]\ntwo: c\n' in text, 'the same of two sources is said once'
    assert 'has no class' not in text
    assert 'overall' in text
    assert '25.00' in text
    assert 'TC %' not in text, 'a column that no row has'
    assert 'p50 ms: inference' in text
    more = LabelSet(names=(*CLASSES.names, 'sky'), colors=(*CLASSES.colors, (9, 9, 9)))
    content = write_results(tmp_path, replace(settings, classes=more), [], [])
    assert content['models'][0]['lacks'] == ['sky']
    assert 'model a has no class sky: where the labels have it, its IoU counts as 0' in ' '.join(
        printed(content).split()
    )
    live = replace(settings, rate=1.0)
    text = printed(write_results(tmp_path, live, results[:1], []))
    assert 'p50 ms: frame published -> label map received' in text


def finish(out: Path, found: SourceResult) -> None:
    """Leave what a finished source leaves."""
    folder = out / 'sources' / found.key
    folder.mkdir(parents=True)
    write_record(folder, 'digest', {'request': {}, 'result': found.to_dict()})


def test_a_run_goes_on_in_its_folder_and_another_one_is_refused(
    tmp_path: Path, settings: EvaluationSettings
) -> None:
    out = tmp_path / 'out'
    claim_run(out, settings, overwrite=False, inputs=[])
    finish(out, result('drive', 0, 0))
    (out / 'results.json').touch()
    claim_run(out, replace(settings, threads=3), overwrite=False, inputs=[])
    assert (out / 'sources' / 'drive').exists()
    other = replace(settings, limit=3)
    with pytest.raises(
        OutputError, match=r'out holds another run \(other limit\); choose another'
    ):
        claim_run(out, other, overwrite=False, inputs=[])
    assert (out / 'sources' / 'drive').exists()
    claim_run(out, other, overwrite=True, inputs=[])
    assert {path.name for path in out.iterdir()} == {'.vidseg', 'run.json'}


def test_a_run_that_came_to_nothing_is_replaced_by_one_with_other_settings(
    tmp_path: Path, settings: EvaluationSettings
) -> None:
    out = tmp_path / 'out'
    claim_run(out, settings, overwrite=False, inputs=[])
    finish(out, replace(result('drive', 0, 0), frames=3, unreadable=1, dropped=2))
    write_results(out, settings, [], [])
    claim_run(out, replace(settings, void=(3,)), overwrite=False, inputs=[])
    assert {path.name for path in out.iterdir()} == {'.vidseg', 'run.json'}
    finish(out, result('drive', 0, 0))
    write_results(out, settings, [], [])
    with pytest.raises(OutputError, match='another run'):
        claim_run(out, settings, overwrite=False, inputs=[])
    (out / 'sources' / 'drive' / 'done.json').write_text('{}')
    with pytest.raises(OutputError, match='another run'):
        claim_run(out, settings, overwrite=False, inputs=[])


def test_a_run_that_is_under_way_is_not_replaced(
    tmp_path: Path, settings: EvaluationSettings
) -> None:
    out, other = tmp_path / 'out', replace(settings, void=(3,))
    claim_run(out, settings, overwrite=False, inputs=[])
    write_results(out, settings, [], [])
    claim_run(out, settings, overwrite=False, inputs=[])  # a second try, which goes on
    working = out / 'sources' / 'drive' / 'frames-a.csv'
    working.parent.mkdir(parents=True)
    working.touch()
    with pytest.raises(OutputError, match=r'another run \(other void\); choose another --out, or'):
        claim_run(out, other, overwrite=False, inputs=[])
    assert working.exists()
    claim_run(out, other, overwrite=True, inputs=[])
    assert not working.exists()


def test_results_do_not_go_into_what_is_read(tmp_path: Path, settings: EvaluationSettings) -> None:
    for out in (tmp_path, tmp_path / 'a' / 'out'):
        with pytest.raises(OutputError, match=r'is in .*, which is read and must not change'):
            claim_run(out, settings, overwrite=False, inputs=[tmp_path])
    assert not list(tmp_path.iterdir())
    claim_run(tmp_path / 'out', settings, overwrite=False, inputs=[tmp_path / 'image.png'])


def test_folders_of_others_are_left_alone(tmp_path: Path, settings: EvaluationSettings) -> None:
    theirs = tmp_path / 'sources'
    theirs.mkdir()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match='is not empty, and vidseg did not make it'):
            claim_run(tmp_path, settings, overwrite=overwrite, inputs=[])
    assert theirs.is_dir()
    (tmp_path / '.vidseg').touch()
    with pytest.raises(OutputError, match=r'holds another run \(no evaluation\)'):
        claim_run(tmp_path, settings, overwrite=False, inputs=[])
    with pytest.raises(OutputError, match=r'drive is among the results that .* is for'):
        claim_run(tmp_path, settings, overwrite=True, inputs=[theirs / 'drive'])
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match=r'cannot write to .*file'):
        claim_run(tmp_path / 'file' / 'out', settings, overwrite=False, inputs=[])
    gone = replace(settings, models=(tmp_path / 'gone.onnx',))
    with pytest.raises(OutputError, match=r'cannot read .*gone\.onnx'):
        claim_run(tmp_path / 'new', gone, overwrite=False, inputs=[])


@pytest.mark.parametrize('suffix', ['', '_fast'])
def test_a_row_of_the_table_is_one_line_of_80_columns(
    tmp_path: Path, settings: EvaluationSettings, suffix: str
) -> None:
    keys = [f'2024-05-01-drive-{where}-morning_0' for where in ('north', 'south')]
    content = write_results(tmp_path, settings, [result(key, 0, 0) for key in (*keys, 'lab')], [])
    for scores in (content['overall'], *(source['models'] for source in content['sources'])):
        known = ('miou', f'tc{suffix}', f'flips_per_s{suffix}', 'vc8', 'confidence_mean')
        scores['a'] |= dict.fromkeys(known, 0.9)
    lines = printed(content, 80).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split()[1] for line in lines if line.endswith('3.0 │')]
    assert rows == ['…nor…ng_0', '…sou…ng_0', 'lab', 'overall']
    assert [source['key'] for source in content['sources']] == [*keys, 'lab']
    assert keys[0] in printed(content, 120), 'there is room for it'


@pytest.mark.parametrize(
    ('keys', 'shown'),
    [
        (('north_1_front', 'north_2_front', 'south_3_front'), 'north_1_frontnorth_2_frontsou…ont'),
        (('北ドライブ_北', 'a'), '北ドライブ_北a'),
    ],
)
def test_names_that_would_look_alike_and_wide_ones_are_whole(
    tmp_path: Path, settings: EvaluationSettings, keys: tuple[str, ...], shown: str
) -> None:
    content = write_results(tmp_path, settings, [result(key, 0, 0) for key in keys], [])
    lines = printed(content, 40).splitlines()
    column = ''.join(line[2:].split(' │')[0].strip() for line in lines if line.startswith('│'))
    assert column == f'{shown}overall'


@pytest.mark.parametrize(
    ('name', 'width', 'names', 'expected'),
    [
        ('drive', 5, ('drive', 'drive_2'), 'drive'),
        ('drive_2', 5, ('drive', 'drive_2'), 'dr…_2'),
        ('long_drive', 7, ('long_drive', 'long_drive_2'), '…_drive'),
        ('long_drive_2', 7, ('long_drive', 'long_drive_2'), '…rive_2'),
        ('long_drive_2', 2, ('long_drive_2',), 'l…'),
        ('long_drive_2', 1, ('long_drive_2',), '…'),
    ],
)
def test_a_long_name_is_cut(name: str, width: int, names: tuple[str, ...], expected: str) -> None:
    assert shorten(names, width)[name] == expected


def test_a_terminal_without_unicode(tmp_path: Path, settings: EvaluationSettings) -> None:
    content = write_results(tmp_path, settings, [result('a' * 100, 0, 0)], [])
    file = TextIOWrapper(BytesIO(), 'latin-1')
    Console(width=80, file=file).print(results_table(content))
    file.seek(0)
    assert 'aaa~aaa' in file.read()
