# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
import logging
from pathlib import Path

import pytest
import torch

from vidseg_ros.core.errors import ModelError, SourceError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_training import export as export_module
from vidseg_training.checkpoints import CHECKPOINT
from vidseg_training.cli import main
from vidseg_training.config import TrainConfig
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.label_statistics import class_weights
from vidseg_training.export import (
    agreement,
    export,
    load_run,
    score_model,
    to_onnx,
    without_expected_warnings,
)
from vidseg_training.fitting import run
from vidseg_training.networks import NETWORKS
from vidseg_training.scoring import score


@pytest.fixture
def finished_run(small_config: TrainConfig, tmp_path: Path) -> Path:
    """Return the folder of a finished run."""
    run(small_config, tmp_path / 'run')
    return tmp_path / 'run'


@pytest.fixture
def no_cost_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lift the time limit of the confidence: no test depends on the machine's load."""
    monkeypatch.setattr(export_module, 'CONFIDENCE_COST', float('inf'))


@pytest.mark.usefixtures('no_cost_limit')
def test_the_model_file_says_what_the_network_says(
    finished_run: Path, camvid_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / 'models' / 'model.onnx'
    model = export(finished_run, target)
    assert model.card.labels == CAMVID
    assert model.card.input_size == (48, 64)
    _, network, test = load_run(finished_run)
    assert agreement(network, target, test) >= 0.999
    raw = torch.load(finished_run / CHECKPOINT, weights_only=True)['network']['head.1.bias']
    weights = class_weights(CamVid(camvid_folder, 'train'), 1.1)
    torch.testing.assert_close(
        network.state_dict()['head.1.bias'], raw - torch.from_numpy(weights).log()
    )
    own = score(network, CamVid(camvid_folder, 'test'), (48, 64)).miou()
    assert model.card.scores[0].value == pytest.approx(own, abs=1e-3)
    assert score_model(target, test).miou() == pytest.approx(own, abs=1e-3)
    with closing(OnnxRuntimeEngine(target)) as engine:
        image, _ = test[0]
        assert engine.infer([image, image]).labels.shape == (2, 48, 64)
    assert [path.name for path in target.parent.iterdir()] == ['model.onnx']


@pytest.mark.usefixtures('no_cost_limit')
def test_half_precision_and_another_input_size(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, size = tmp_path / 'half.onnx', ['--input-size', '64', '80']
    command = ['export', str(finished_run), '--out', str(target)]
    assert main([*command, '--precision', 'fp16', *size]) == 0
    assert capsys.readouterr().out == f'{target}\n'
    card = read_model(target).card
    assert (card.precision, card.input_size) == ('fp16', (64, 80))
    _, network, test = load_run(finished_run)
    own = score(network, test, (64, 80)).miou()
    assert card.scores[0].value == pytest.approx(own, abs=2e-3)
    assert score_model(target, test).miou() == card.scores[0].value
    assert 'network input 80x64' in card.scores[0].protocol
    fit, made = card.recipe.split('; ')
    assert '--input-size 48 64' in fit
    assert made == 'vidseg-train export --precision fp16 --input-size 64 80'
    assert main(['evaluate', str(finished_run), *size]) == 0
    assert 'network input 80x64' in capsys.readouterr().out
    assert main([*command, '--input-size', '60', '80']) == 2
    assert 'input_size must be multiples of 16 for compact' in capsys.readouterr().err


def test_a_file_that_disagrees_gets_no_name(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, 'MEAN', (0.0, 0.0, 0.0))
    with pytest.raises(ModelError, match='agrees with its network'):
        export(finished_run, tmp_path / 'models' / 'model.onnx')
    assert list((tmp_path / 'models').iterdir()) == []


def test_an_expensive_confidence_is_refused(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, 'CONFIDENCE_COST', -1.0)
    with pytest.raises(ModelError, match='the confidence adds'):
        export(finished_run, tmp_path / 'model.onnx')
    assert not (tmp_path / 'model.onnx').exists()


@pytest.mark.usefixtures('no_cost_limit')
def test_the_data_may_have_moved(finished_run: Path, camvid_folder: Path, tmp_path: Path) -> None:
    camvid = tmp_path / 'elsewhere'
    camvid.symlink_to(camvid_folder)
    trained, _, test = load_run(finished_run, camvid)
    assert trained.config.data == camvid
    assert len(test) == 6


def test_the_class_weights_taken_out_are_those_of_the_run(finished_run: Path) -> None:
    """They may come from samples that are no longer there; older runs did not keep them."""
    checkpoint = torch.load(finished_run / CHECKPOINT, weights_only=True)
    raw = checkpoint['network']['head.1.bias']
    counted = torch.tensor(checkpoint['class_weights'])
    kept = torch.linspace(0.5, 1.5, 11)
    for stored, expected in ((kept.tolist(), kept), (None, counted)):
        torch.save(checkpoint | {'class_weights': stored}, finished_run / CHECKPOINT)
        _, network, _ = load_run(finished_run)
        torch.testing.assert_close(network.state_dict()['head.1.bias'], raw - expected.log())


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='no checkpoint'):
        load_run(tmp_path)


def test_an_unfinished_run_is_refused(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(small_config, epochs=1)
    run(config, tmp_path)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    torch.save(state | {'epoch': 0}, tmp_path / CHECKPOINT)
    with pytest.raises(SourceError, match='stands at epoch 0 of 1; let it finish first'):
        export(tmp_path, tmp_path / 'model.onnx')


def test_command_line_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['export', str(tmp_path), '--out', str(tmp_path / 'x.onnx')]) == 2
    assert capsys.readouterr().err.startswith('vidseg-train: no checkpoint')
    assert main(['fit', 'camvid_fddwnet', '--data', str(tmp_path), '--out', str(tmp_path)]) == 2
    assert 'expected the CamVid folder' in capsys.readouterr().err


@pytest.fixture
def said_by_torch(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Return what torch's exporter logs, which does not reach the root logger."""
    logger = logging.getLogger('torch.onnx')
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_an_export_does_not_alarm(said_by_torch: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    to_onnx(NETWORKS['compact'](3).eval(), (32, 48), tmp_path)
    warned = [record for record in said_by_torch.records if record.levelno >= logging.WARNING]
    assert [each.getMessage() for each in warned if each.name.startswith('torch')] == []


def test_other_warnings_of_an_export_are_said(said_by_torch: pytest.LogCaptureFixture) -> None:
    exporter = logging.getLogger('torch.onnx._internal.exporter._registration')
    with without_expected_warnings():
        exporter.warning('torchvision is not installed. Skipping %s', 'torchvision::nms')
        exporter.warning('something else')
    exporter.warning('torchvision is not installed')
    assert said_by_torch.messages == ['something else', 'torchvision is not installed']
