# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from importlib import metadata
import json
from pathlib import Path
import re
import shutil
import subprocess
import sys

import cv2
import pytest

from vidseg_ros.cli.evaluate import main as vidseg_evaluate
from vidseg_training import export as export_module
from vidseg_training.cli import main
from vidseg_training.config import TrainConfig
from vidseg_training.evaluation import evaluate
from vidseg_training.export import export
from vidseg_training.fitting import run
from vidseg_training.recipe_list import expected_result
from vidseg_training.recipes import RECIPES


def test_list_shows_every_recipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('COLUMNS', '300')
    assert main(['list']) == 0
    rows = capsys.readouterr().out.split('├')
    for name, recipe in RECIPES.items():
        row = next(row for row in rows if f' {name} ' in row)
        assert f'network {recipe().network}, {recipe().epochs} epochs' in row
    assert expected_result('camvid_fddwnet') == '67.8 mIoU on CamVid test, docs/models.md.'


def test_help_is_for_users_and_the_version_is_the_package_s(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match='0'):
        main(['--help'])
    said = capsys.readouterr().out
    assert 'Train networks for semantic segmentation of video' in said
    assert 'PyTorch' not in said
    with pytest.raises(SystemExit, match='0'):
        main(['--version'])
    assert capsys.readouterr().out == f'vidseg-train {metadata.version("vidseg-training")}\n'
    monkeypatch.setattr('vidseg_training.cli.metadata.version', _not_installed)
    with pytest.raises(SystemExit, match='0'):
        main(['--version'])
    assert 'not installed: run from its sources' in capsys.readouterr().out


@pytest.mark.parametrize('words', [['--help'], ['-h'], ['--out', 'folder', '--help']])
@pytest.mark.parametrize('command', ['fit', 'cross-validate'])
def test_a_training_helps_without_a_recipe(
    command: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('COLUMNS', '300')
    with pytest.raises(SystemExit, match='0'):
        main([command, *words])
    said, error = capsys.readouterr()
    assert said.startswith(f'usage: vidseg-train {command} [--out OUT] recipe\n')
    assert 'Train a recipe' in said
    assert f'`vidseg-train {command} RECIPE --help`' in ' '.join(said.split())
    assert error == ''


@pytest.mark.parametrize(
    'words', [['camvid_fddwnet', '--help'], ['--help', '--out', 'folder', 'camvid_fddwnet']]
)
def test_help_with_a_recipe_shows_its_options(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match='0'):
        main(['fit', *words])
    assert '--class-weight-offset' in capsys.readouterr().out


def test_a_missing_argument_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    for words, what in (
        (['fit'], 'recipe'),
        (['fit', '--epochs=3'], 'recipe'),
        (['export'], 'run'),
    ):
        with pytest.raises(SystemExit, match='2'):
            main(words)
        assert f'the following arguments are required: {what}' in capsys.readouterr().err
    for words, what in (
        (['masks', '--fold', 'x', '--help'], 'argument --fold: invalid int value'),
        (['fit', '--out', '--help'], 'argument --out: expected one argument'),
    ):
        with pytest.raises(SystemExit, match='2'):
            main(words)
        assert what in capsys.readouterr().err
    with pytest.raises(SystemExit, match='0'):
        main(['export', '--help'])
    assert 'model file to write' in capsys.readouterr().out


def _not_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def test_a_misspelt_recipe_gets_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['fit', 'camvid_fdwnet']) == 2
    error = capsys.readouterr().err
    assert 'no recipe camvid_fdwnet; did you mean camvid_fddwnet or' in error
    assert 'street_compact' not in error
    assert main(['fit', 'qqqq']) == 2
    assert all(name in capsys.readouterr().err for name in ['street_compact'])


@pytest.fixture
def finished_run(small_config: TrainConfig, tmp_path: Path) -> Path:
    """Return the folder of a run whose network works at a size of its own."""
    run(replace(small_config, epochs=12, input_size=(64, 96)), tmp_path / 'run')
    return tmp_path / 'run'


def test_network_and_model_file_have_the_same_score(
    finished_run: Path,
    camvid_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within 0.1 %: ``vidseg-train evaluate`` and ``vidseg evaluate`` of the exported file."""
    monkeypatch.setattr(export_module, 'CONFIDENCE_COST', float('inf'))
    assert main(['evaluate', str(finished_run), '--consistency']) == 0
    shown = capsys.readouterr().out
    assert 'epoch 12 of 12, CamVid test (6 images), network input 96x64, one scale' in shown
    mean = re.search(r' overall +([\d.]+) +([\d.]+) +([\d.]+) ', shown)
    assert mean is not None
    model = tmp_path / 'model.onnx'
    export(finished_run, model)
    annotated, masks = camvid_folder / 'testannot', tmp_path / 'masks'
    options = ['--dataset', 'camvid', '--data', str(camvid_folder), '--out', str(masks)]
    assert main(['masks', *options]) == 0
    assert f'vidseg evaluate {camvid_folder / "test"} --labels' in capsys.readouterr().out
    assert float(mean[1]) > 3, 'more than one class, each by chance'
    for labels, void in ((annotated, ['--void', '11']), (masks, [])):
        out = tmp_path / f'scores_{labels.name}'
        sources = [str(camvid_folder / 'test'), '--labels', str(labels), *void]
        options = ['--model', str(model), '--out', str(out), '--no-report']
        assert vidseg_evaluate([*sources, *options]) == 0
        results = json.loads((out / 'results.json').read_text(encoding='utf-8'))
        scores = results['overall']['a']
        assert 100 * scores['miou'] == pytest.approx(float(mean[1]), abs=0.1)
        assert 100 * scores['tc'] == pytest.approx(float(mean[2]), abs=0.1)
        assert scores['flips_per_s'] == pytest.approx(float(mean[3]), abs=0.01)


def test_the_options_of_evaluate_reach_the_protocol(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ['--split', 'val', '--scales', '1', '2', '--flip', '--sliding-window', '64', '96']
    assert main(['evaluate', str(finished_run / 'best.safetensors'), *options]) == 0
    shown = capsys.readouterr().out
    assert 'CamVid val (6 images)' in shown
    assert 'scales 1 2, flip, sliding window 96x64' in shown
    assert main(['evaluate', str(finished_run), '--sliding-window', '50', '96']) == 2
    assert 'window must be multiples of 16 for compact' in capsys.readouterr().err


def test_a_split_that_is_a_video_has_its_steadiness_scored(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['evaluate', str(finished_run), '--split', 'val']) == 0
    plain = capsys.readouterr().out.splitlines()
    assert main(['evaluate', str(finished_run), '--split', 'val', '--consistency']) == 0
    words, heading, *rows, note = capsys.readouterr().out.splitlines()
    assert words.endswith('one scale, no flip, as video of 15 frames/s')
    assert heading.split() == ['IoU', 'TC', 'flips/s', 'VC8', 'VC16']
    shown = [row.split()[:2] for row in rows]
    assert [*shown[:-1], ['mean', shown[-1][1]]] == [row.split() for row in plain[1:]]
    assert shown[-1][0] == 'overall', 'flips and VC are over all pixels, no mean of the classes'
    assert note.startswith('the images of a clip are taken to be 1/15 s apart; if they are not')
    mean = rows[-1].split()
    assert 0 <= float(mean[2]) < 100
    assert float(mean[3]) > 0
    assert mean[4:] == ['-', '-'], 'six images have no window of eight'
    options = ['--split', 'val', '--consistency', '--fps', '30']
    assert main(['evaluate', str(finished_run), *options]) == 0
    overall, note = capsys.readouterr().out.splitlines()[-2:]
    flips = float(overall.split()[3])
    assert '1/30 s apart' in note
    for fps in ('0', '-3', 'inf', 'nan'):
        assert main(['evaluate', str(finished_run), '--consistency', '--fps', fps]) == 2
        said = f'--fps must be a finite number above zero, frames a second, not {fps}'
        assert said in capsys.readouterr().err
    assert main(['evaluate', str(finished_run), '--fps', '15']) == 2
    assert '--fps is for --consistency: give that as well' in capsys.readouterr().err
    assert flips == pytest.approx(2 * float(mean[3]), abs=0.002)


def test_a_class_that_no_image_shows_is_not_in_the_mean(
    finished_run: Path, camvid_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(camvid_folder, tmp_path / 'camvid')
    for path in (folder / 'testannot').iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[labels != 3] = 11
        cv2.imwrite(str(path), labels)
    result = evaluate(finished_run, folder)
    assert result.confusion.matrix[3].sum() == result.confusion.pixels > 0
    *lines, said = str(result).splitlines()[1:]
    shown = dict(line.split() for line in lines)
    occurring = result.confusion.matrix.sum(axis=0) > 0
    occurring[3] = True
    assert occurring.sum() < 11
    for name, occurs in zip(result.labels.names, occurring, strict=True):
        assert (shown[name] == '-') != occurs
    others = ', '.join(name for name in result.labels.names if name != 'road')
    assert said == f'no image shows {others}: not in the mean, or with 0 where predicted'
    assert 'no image shows' not in str(evaluate(finished_run))


def test_what_a_loading_process_cannot_read_is_said_in_one_sentence(
    camvid_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(camvid_folder, tmp_path / 'camvid')
    damaged = folder / 'train' / '003.png'
    damaged.write_bytes(damaged.read_bytes()[:60])
    options = ['--data', str(folder), '--out', str(tmp_path / 'run'), '--network', 'compact']
    options += ['--crop-size', '32', '48', '--input-size', '48', '64', '--workers', '1']
    assert main(['fit', 'camvid_dual_resolution', *options, '--batch-size', '2']) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f'vidseg-train: cannot read the image {damaged}')
    assert 'Traceback' not in said


def test_what_needs_no_network_does_not_load_pytorch() -> None:
    """Every process of ``propagate --jobs`` imports the command line."""
    code = "import sys; import vidseg_training.cli; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, '-c', code], check=False, timeout=60)
    assert done.returncode == 0
