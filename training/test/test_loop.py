# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
import json
import math
from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file
import torch

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_training import loop
from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.sampling import EpochSampler, TrainingSet
from vidseg_training.evaluation import evaluate
from vidseg_training.fitting import run
from vidseg_training.loop import Run
from vidseg_training.networks import NETWORKS
from vidseg_training.networks.fddwnet import FDDWNet
from vidseg_training.recipes import RECIPES
from vidseg_training.scoring import score
from vidseg_training.starting_weights import initial_network


def _losses(folder: Path) -> dict[int, float]:
    lines = (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    records = [json.loads(line) for line in lines]
    return {record['step']: record['loss'] for record in records if 'loss' in record}


def test_training_learns_and_writes_weights(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(small_config, epochs=20)
    weights = run(config, tmp_path / 'run')
    losses = list(_losses(tmp_path / 'run').values())
    assert len(losses) == 60
    assert sum(losses[-6:]) < 0.75 * sum(losses[:6])
    assert 'head.1.weight' in load_file(weights)


@pytest.fixture
def killed_run(
    small_config: TrainConfig, train_and_kill: Callable[..., None], tmp_path: Path
) -> Path:
    """Return the folder of a run that was killed with SIGKILL after at least four of 18 steps."""
    small_config = replace(small_config, epochs=6, validate_epochs=6, loss_stride=2)
    folder = tmp_path / 'killed'
    arguments = ['fit', 'camvid_fddwnet', '--out', str(folder)]
    recipe = asdict(RECIPES['camvid_fddwnet']())
    for name, value in asdict(small_config).items():
        if value != recipe[name]:
            values = value if isinstance(value, tuple) else (value,)
            arguments += [f'--{name.replace("_", "-")}', *map(str, values)]
    train_and_kill(arguments, folder, steps=4)
    return folder


def test_a_killed_run_resumes_on_the_same_loss_curve(
    killed_run: Path, small_config: TrainConfig, tmp_path: Path
) -> None:
    small_config = replace(small_config, epochs=6, validate_epochs=6, loss_stride=2)
    whole = run(small_config, tmp_path / 'whole')
    assert not (killed_run / 'last.safetensors').exists()
    resumed = run(small_config, killed_run)
    assert _losses(killed_run) == _losses(tmp_path / 'whole')
    expected = load_file(whole)
    for name, value in load_file(resumed).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ('epochs', 'every', 'scored'), [(2, 5, [2]), (5, 2, [2, 4, 5]), (4, 2, [2, 4])]
)
def test_the_last_epoch_is_scored_in_any_case(
    small_config: TrainConfig, tmp_path: Path, epochs: int, every: int, scored: list[int]
) -> None:
    """Also of a run that goes on, whose log has each score once."""
    config = replace(small_config, epochs=epochs, validate_epochs=every)
    run(config, tmp_path / 'whole')
    train, val = TrainingSet(open_dataset(config, 'train')), open_dataset(config, 'val')
    # The checkpoint stands at the step before the last one, or at it.
    for _ in range(3 * epochs):
        part = Run(config, initial_network(config, CAMVID), train, tmp_path / 'parts', val)
        list(islice(part.steps(), 3))
    logs = [(tmp_path / name / 'log.jsonl').read_text('utf-8') for name in ('whole', 'parts')]
    assert logs[0] == logs[1]
    records = [json.loads(line) for line in logs[0].splitlines()]
    assert [record['epoch'] for record in records if 'epoch' in record] == scored
    assert (tmp_path / 'whole' / 'best.safetensors').is_file()
    pictures = sorted(path.name for path in (tmp_path / 'whole' / 'samples').iterdir())
    assert pictures == [f'epoch_{epoch:04}.png' for epoch in scored]


def test_the_network_that_ships_is_the_one_that_is_scored(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    """The logged score is that of ``evaluate``, and not that of the logits as trained."""
    config = replace(small_config, class_weight_offset=1.01, epochs=6, ema_decay=0.5)
    run(config, tmp_path)
    lines = (tmp_path / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    logged = json.loads(lines[-1])['validation_miou']
    assert logged == pytest.approx(evaluate(tmp_path, split='val').confusion.miou(), abs=1e-6)
    raw = NETWORKS['compact'](len(CAMVID))
    raw.load_state_dict(load_file(tmp_path / 'last.safetensors'))
    unshifted = score(raw, open_dataset(config, 'val'), config.input_size).miou()
    assert abs(logged - unshifted) > 1e-3


def test_a_folder_of_other_settings_is_refused(small_config: TrainConfig, tmp_path: Path) -> None:
    run(replace(small_config, epochs=1), tmp_path / 'run')
    with pytest.raises(ParameterError, match=r'other settings \(epochs, learning_rate\)'):
        run(replace(small_config, epochs=2, learning_rate=0.5), tmp_path / 'run')


def test_a_run_goes_on_where_its_data_have_moved(
    small_config: TrainConfig, camvid_folder: Path, tmp_path: Path
) -> None:
    config = replace(small_config, epochs=1)
    run(config, tmp_path / 'run')
    moved = tmp_path / 'moved'
    moved.symlink_to(camvid_folder)
    run(replace(config, data=moved, checkpoint_steps=1), tmp_path / 'run')
    assert len(_losses(tmp_path / 'run')) == 3


def test_a_run_goes_on_only_with_the_files_it_began_with(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    """Files may have moved; that there is one, and which, belongs to the run."""
    torch.manual_seed(0)
    weights = tmp_path / 'weights.pth'
    torch.save({'state_dict': FDDWNet(len(CITYSCAPES)).state_dict()}, weights)
    config = replace(small_config, epochs=1, teacher=weights)
    run(config, tmp_path / 'run')
    with pytest.raises(ParameterError, match=r'other settings \(teacher\)'):
        run(replace(config, teacher=None), tmp_path / 'run')
    with pytest.raises(ParameterError, match=r'other settings \(init, network\)'):
        run(replace(config, network='fddwnet', init=weights), tmp_path / 'run')
    (tmp_path / 'moved').mkdir()
    moved = weights.rename(tmp_path / 'moved' / weights.name)
    run(replace(config, teacher=moved), tmp_path / 'run')


def test_too_few_images_for_a_batch_are_refused(small_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match='do not fill one batch of 7'):
        run(replace(small_config, batch_size=7), tmp_path / 'run')


@pytest.mark.parametrize('field', ['input_size', 'crop_size'])
def test_sizes_that_do_not_fit_the_network_are_refused_before_training(
    small_config: TrainConfig, tmp_path: Path, field: str
) -> None:
    with pytest.raises(ParameterError, match=f'{field} must be multiples of 16 for compact'):
        run(replace(small_config, **{field: (48, 72)}), tmp_path / 'run')


def test_strict_classes_must_exist(small_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match='strict_classes: lamp not among sky, building'):
        run(replace(small_config, strict_classes=('lamp',)), tmp_path / 'run')


def test_the_averaged_weights_ship_and_survive_a_resume(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    """theta' = d theta' + (1 - d) theta; with d = 0.5 followed here step by step."""
    config = replace(
        small_config,
        ema_decay=0.5,
        relaxed_share=0.5,
        class_uniform=0.5,
        strict_classes=('pole',),
        epochs=2,
        checkpoint_steps=1,
    )
    whole = load_file(run(config, tmp_path / 'whole'))
    images = TrainingSet(open_dataset(config, 'train'))
    folder = tmp_path / 'parts'
    folder.mkdir()
    expected: dict[str, torch.Tensor] = {}
    for _ in range(6):  # one step each, then a new process would continue from the checkpoint
        part = Run(config, initial_network(config, CAMVID), images, folder)
        next(part.steps())
        state = part.network.state_dict().items()
        now = {name: value.clone() for name, value in state if value.is_floating_point()}
        expected = {
            name: torch.lerp(expected[name], value, 0.5) if expected else value
            for name, value in now.items()
        }
    for name, value in expected.items():
        torch.testing.assert_close(whole[name], value, msg=name)


@pytest.mark.parametrize('term', ['auxiliary_weight', 'lovasz_weight'])
def test_a_part_of_the_loss_counts_with_its_weight(
    term: str, small_config: TrainConfig, tmp_path: Path
) -> None:
    """The first step's loss is main + weight x part: linear in the weight."""
    first = {}
    for weight in (0.0, 0.4, 0.8):
        config = replace(small_config, network='dual_resolution_small', **{term: weight})
        folder = tmp_path / str(weight)
        folder.mkdir()
        train = TrainingSet(open_dataset(config, 'train'))
        first[weight] = next(Run(config, initial_network(config, CAMVID), train, folder).steps())
    assert first[0.4] - first[0.0] > 0.1
    assert first[0.8] - first[0.4] == pytest.approx(first[0.4] - first[0.0], rel=1e-4)


def test_a_batch_of_one_is_refused_where_pooled_images_are_normalised(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(small_config, network='dual_resolution_small', batch_size=1)
    with pytest.raises(ParameterError, match='batch_size must be 2 or more for dual_resolution_s'):
        run(config, tmp_path)


def test_steps_without_a_finite_loss_are_skipped_counted_and_named(
    small_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of such a step is left: weights, their average, batch norms, optimizer."""
    config = replace(small_config, ema_decay=0.5, weight_decay=0.5)
    train = TrainingSet(open_dataset(config, 'train'))
    run_ = Run(config, initial_network(config, CAMVID), train, tmp_path)
    steps = run_.steps()
    assert len(list(islice(steps, 4))) == 4, 'into the second epoch'

    def everything() -> dict[str, torch.Tensor]:
        assert run_._average is not None
        state = {**run_.network.state_dict(), **run_._average.state_dict()}
        for index, moments in run_._optimizer.state_dict()['state'].items():
            state |= {f'{name} {index}': value for name, value in moments.items()}
        return {name: value.clone() for name, value in state.items()}

    before = everything()
    normalise = loop.normalise
    monkeypatch.setattr(loop, 'normalise', lambda images: normalise(images) * torch.nan)
    assert math.isnan(next(steps))
    monkeypatch.setattr(loop, 'normalise', normalise)
    monkeypatch.setattr(run_, '_terms', lambda *batch: _endless_slope(Run._terms(run_, *batch)))
    assert math.isfinite(next(steps))
    for name, value in everything().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, msg=name)
    assert run_.skipped == 2
    assert 'step 4: loss (labels) not finite, skipped (1 so far); images: 00' in caplog.text
    assert 'step 5: gradient not finite, skipped (2 so far)' in caplog.text
    lines = (tmp_path / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    skipped = [record for record in map(json.loads, lines) if 'skipped' in record]
    assert [record['step'] for record in skipped] == [4, 5]
    sampler = EpochSampler(len(train.images), config)
    for record, batch in zip(skipped, (1, 2), strict=True):
        draws = sampler.joint_batch(1, batch)
        assert record['images'] == [train.images.names[draw.image] for draw in draws]
    run_.save()
    assert Run(config, initial_network(config, CAMVID), train, tmp_path).skipped == 2


def _endless_slope(terms: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the same values with an infinite gradient."""
    return {name: loss + (loss - loss.detach()).abs().sqrt() for name, loss in terms.items()}


def test_a_run_that_never_is_finite_gives_up(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, 'normalise', lambda images: images * torch.nan)
    with pytest.raises(ParameterError, match=r'20 steps in a row without a finite loss.*lower le'):
        run(replace(small_config, epochs=10), tmp_path)
    log = (tmp_path / 'log.jsonl').read_text(encoding='utf-8')
    assert log.count('"skipped": "loss (labels)"') == 20


def test_a_gradient_is_clipped_to_its_norm(small_config: TrainConfig, tmp_path: Path) -> None:
    """One step of SGD of rate 1 moves the weights by the norm of the gradient."""
    config = replace(
        small_config,
        optimizer='sgd',
        learning_rate=1.0,
        warmup_steps=0,
        weight_decay=0.0,
        momentum=0.0,
        clip_norm=0.01,
    )
    train = TrainingSet(open_dataset(config, 'train'))
    run_ = Run(config, initial_network(config, CAMVID), train, tmp_path)
    before = [parameter.detach().clone() for parameter in run_.network.parameters()]
    next(run_.steps())
    after = run_.network.parameters()
    moved = [(new - old).norm() for new, old in zip(after, before, strict=True)]
    assert torch.stack(moved).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_half_precision_learns_and_keeps_whole_weights(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    run(replace(small_config, precision='bf16-mixed', epochs=20), tmp_path)
    losses = list(_losses(tmp_path).values())
    assert sum(losses[-6:]) < 0.75 * sum(losses[:6])
    weights = load_file(tmp_path / 'last.safetensors')
    assert {v.dtype for name, v in weights.items() if 'tracked' not in name} == {torch.float32}


def test_workers_change_nothing(small_config: TrainConfig, tmp_path: Path) -> None:
    for workers in (0, 2):
        run(replace(small_config, epochs=2, workers=workers), tmp_path / str(workers))
    assert _losses(tmp_path / '2') == _losses(tmp_path / '0')


def test_a_training_set_without_any_label_is_learned_nothing_from(
    small_config: TrainConfig, camvid_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(camvid_folder, tmp_path / 'camvid')
    for path in (folder / 'trainannot').iterdir():
        cv2.imwrite(str(path), np.full((48, 64), 11, np.uint8))
    config = replace(small_config, data=folder, class_weight_offset=None, weight_decay=0.0)
    network = initial_network(config, CAMVID)
    before = {name: value.clone() for name, value in network.named_parameters()}
    run(config, tmp_path / 'run')
    assert set(_losses(tmp_path / 'run').values()) == {0.0}
    after = load_file(tmp_path / 'run' / 'last.safetensors')
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0, msg=name)


def _without_two_classes(data: Path, copy: Path, split: str) -> Path:
    """Copy a data set; the label maps of a split lose pole and pedestrian."""
    shutil.copytree(data, copy)
    for path in (copy / split).iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[np.isin(labels, (2, 9))] = 3
        cv2.imwrite(str(path), labels)
    return copy


def test_classes_of_no_training_image_are_named(
    small_config: TrainConfig,
    camvid_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = _without_two_classes(camvid_folder, tmp_path / 'camvid', 'trainannot')
    for settings, said in (
        ({}, 'no training image shows'),
        ({'class_weight_offset': None, 'class_uniform': 0.5}, 'no training image shows'),
        ({'class_weight_offset': None}, 'no crop of as many steps as an epoch has shows'),
    ):
        caplog.clear()
        config = replace(small_config, data=folder, epochs=2, crop_size=(48, 64), **settings)
        config = replace(config, scale_range=(1.0, 1.0))
        run(config, tmp_path / str(len(said) + len(settings)))
        assert caplog.text.count(f'{said} pole, pedestrian: ') == 1


def test_classes_of_no_validation_image_are_named_once(
    small_config: TrainConfig,
    camvid_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = _without_two_classes(camvid_folder, tmp_path / 'camvid', 'valannot')
    config = replace(small_config, data=folder, epochs=3, validate_epochs=1)
    run(config, tmp_path / 'run')
    said = (
        'validation: no image shows pole, pedestrian: not in the mean, or with 0 where predicted'
    )
    assert caplog.text.count(said) == 1
    caplog.clear()
    run(replace(config, data=camvid_folder), tmp_path / 'other')
    assert 'no image shows' not in caplog.text
