# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg inspect` prints what is in the file, and says what is wrong with a bad one."""

from dataclasses import replace
import hashlib
import json
from pathlib import Path

import onnx
import pytest

from vidseg_ros.cli.main import main
from vidseg_ros.core.model_card import DataSource, METADATA_KEY, ModelCard, Score
from vidseg_ros.inference.model_file import read_model


def with_card(model: Path, path: Path, card: str | None) -> Path:
    """Copy a model file with another card, or none."""
    copy = onnx.load(model)
    del copy.metadata_props[:]
    if card is not None:
        onnx.helper.set_model_props(copy, {METADATA_KEY: card})
    onnx.save(copy, path)
    return path


@pytest.fixture
def scored_model(tiny_model: Path, tmp_path: Path) -> Path:
    card = replace(
        read_model(tiny_model).card,
        recipe='vidseg-train [bold]',
        datasets=(DataSource(name='CamVid train', licence='CC BY-NC 4.0', use='training'),),
        scores=(Score(metric='mIoU', value=0.6612, protocol='CamVid test'),),
    )
    return with_card(tiny_model, tmp_path / 'scored.onnx', card.to_json())


def test_json(scored_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['inspect', str(scored_model), '--json']) == 0
    out, err = capsys.readouterr()
    plain = json.loads(out)
    data = scored_model.read_bytes()
    assert plain['file'] == {
        'path': str(scored_model),
        'bytes': len(data),
        'sha256': hashlib.sha256(data).hexdigest(),
    }
    assert plain['inputs'] == [{'name': 'frames', 'dtype': 'uint8', 'shape': ['N', 'H', 'W', '3']}]
    assert plain['outputs'] == [
        {'name': 'labels', 'dtype': 'uint8', 'shape': ['N', '12', '16']},
        {'name': 'confidence', 'dtype': 'uint8', 'shape': ['N', '12', '16']},
    ]
    assert plain['parameters'] == 9
    assert plain['opset'] == 17
    assert ModelCard.from_json(json.dumps(plain['card'])) == read_model(scored_model).card
    assert err == ''


def test_tables(
    scored_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('COLUMNS', '120')
    assert main(['inspect', str(scored_model)]) == 0
    out = capsys.readouterr().out
    lines = [' '.join(line.split()) for line in out.replace('│', ' ').splitlines()]
    assert 'name tiny' in lines
    assert 'works at 16x12 (width x height), rgb8' in lines
    assert 'parameters 9' in lines
    assert 'inputs frames: uint8 (N, H, W, 3)' in lines
    assert f'SHA-256 {hashlib.sha256(scored_model.read_bytes()).hexdigest()}' in lines
    assert 'recipe vidseg-train [bold]' in lines
    assert '1 green 0 255 0' in lines
    assert 'CamVid train CC BY-NC 4.0 training' in lines
    assert 'mIoU 0.6612 CamVid test' in lines


def test_colour_swatches(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLORTERM', 'truecolor')
    monkeypatch.setenv('TERM', 'xterm-256color')
    monkeypatch.delenv('NO_COLOR', raising=False)
    assert main(['inspect', str(tiny_model)]) == 0
    out = capsys.readouterr().out
    for color in ('255;0;0', '0;255;0', '0;0;255'):
        assert f'\x1b[48;2;{color}m    ' in out


def test_a_card_without_data_and_scores_says_so(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['inspect', str(tiny_model)]) == 0
    out = capsys.readouterr().out
    assert 'not stated' in out
    assert 'none' in out


def test_bad_models(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncated = tmp_path / 'truncated.onnx'
    truncated.write_bytes(tiny_model.read_bytes()[:500])
    text = tmp_path / 'text.onnx'
    text.write_text('not a model')
    card = read_model(tiny_model).card.to_json()
    other_schema = card.replace('"schema": 1', '"schema": 2')
    for path, message in (
        (tmp_path / 'missing.onnx', 'missing.onnx does not exist; check the path'),
        (Path('no_such_model'), "no model 'no_such_model'"),
        (truncated, 'truncated.onnx is not a complete ONNX file'),
        (text, 'text.onnx is not a complete ONNX file'),
        (with_card(tiny_model, tmp_path / 'foreign.onnx', None), 'not written for vidseg'),
        (with_card(tiny_model, tmp_path / 'new.onnx', other_schema), 'has schema 2'),
    ):
        assert main(['inspect', str(path)]) == 2, path
        out, err = capsys.readouterr()
        assert out == ''
        assert err.startswith('vidseg: ')
        assert message in err
        assert err.count('\n') == 1, 'more than one line'


def results_of(path: Path, digest: str) -> Path:
    """Write what `--add-scores` looks at in the results of an evaluation."""
    models = [{'key': 'a', 'sha256': 'other'}, {'key': 'b', 'sha256': digest}]
    numbers = {
        'a': {'tc': 0.1, 'flips_per_s': 9.0, 'vc8': 0.2, 'vc16': 0.3},
        'b': {'tc': 0.8, 'flips_per_s': 0.5, 'vc8': None, 'vc16': None},
    }
    sources = [{'key': 'drive', 'frames': 100, 'models': numbers}]
    path.write_text(json.dumps({'models': models, 'sources': sources}), encoding='utf-8')
    return path


def test_scores_of_an_evaluation_go_into_the_card(scored_model: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(scored_model.read_bytes()).hexdigest()
    results_of(tmp_path / 'results.json', digest)
    before = read_model(scored_model).card
    assert main(['inspect', str(scored_model), '--add-scores', str(tmp_path)]) == 0, 'its folder'
    protocol = 'vidseg evaluate, drive, 100 frames'
    steady = (
        Score(metric='TC', value=0.8, protocol=protocol),
        Score(metric='flips/s', value=0.5, protocol=protocol),
    )
    after = read_model(scored_model).card
    assert after == replace(before, scores=(*before.scores, *steady))


def test_a_note_of_scores_is_kept_and_shown(
    scored_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(scored_model.read_bytes()).hexdigest()
    results = str(results_of(tmp_path / 'results.json', digest))
    before = read_model(scored_model).card
    note = 'labels of these frames were learned'
    with pytest.raises(SystemExit, match='2'):
        main(['inspect', str(scored_model), '--note', note])
    assert '--note needs --add-scores' in capsys.readouterr().err
    assert main(['inspect', str(scored_model), '--add-scores', results, '--note', note]) == 0
    shown = ' '.join(word for word in capsys.readouterr().out.split() if word.isalpha())
    assert 'note' in shown
    assert all(word in shown for word in note.split())
    scores = read_model(scored_model).card.scores
    old, new = scores[: len(before.scores)], scores[len(before.scores) :]
    assert [score.note for score in new] == [note, note]
    assert old == before.scores
    digest = hashlib.sha256(scored_model.read_bytes()).hexdigest()
    results_of(tmp_path / 'results.json', digest)
    assert main(['inspect', str(scored_model), '--add-scores', results]) == 0, 'without a note'
    again = read_model(scored_model).card.scores
    assert again == tuple(replace(score, note='') for score in scores), 'replaced, not added'


def test_scores_of_another_file_do_not(
    scored_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = scored_model.read_bytes()
    results = results_of(tmp_path / 'results.json', 'of another file')
    assert main(['inspect', str(scored_model), '--add-scores', str(results)]) == 2
    assert 'is not of this model file' in capsys.readouterr().err
    results.write_text('[]', encoding='utf-8')
    assert main(['inspect', str(scored_model), '--add-scores', str(results)]) == 2
    assert 'is no results.json of vidseg evaluate' in capsys.readouterr().err
    assert scored_model.read_bytes() == before
