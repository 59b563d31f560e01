# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
from pathlib import Path
import pickle
import resource
import shutil

import pytest
from safetensors.torch import load_file, save_file
import torch

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_ros.core.labels import CAMVID
from vidseg_training import loop
from vidseg_training.checkpoints import (
    BEST,
    CHECKPOINT,
    load_weights,
    read_weights,
    WEIGHTS,
    write_weights,
)
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import DistillationConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.sampling import TrainingSet
from vidseg_training.export import load_run
from vidseg_training.fitting import run
from vidseg_training.loop import Run
from vidseg_training.networks import NETWORKS
from vidseg_training.starting_weights import initial_network
from vidseg_training.tensor_files import read_safetensors


def test_weights_say_where_they_come_from(small_config: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = NETWORKS['compact'](11)
    weights = (0.1, *[2.5] * 10)
    about = {'classes': CAMVID.names, 'class_weights': weights}
    write_weights(tmp_path / WEIGHTS, network, small_config, 7, **about)
    config, epoch, state, classes, kept = read_weights(tmp_path / WEIGHTS)
    assert (config, epoch, classes, kept) == (small_config, 7, CAMVID.names, weights)
    other = NETWORKS['compact'](11)
    load_weights(other, state, 'a test')
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=0, atol=0)


def test_a_run_leaves_its_last_and_its_best_weights(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(small_config, epochs=4, validate_epochs=1)
    run(config, tmp_path)
    lines = (tmp_path / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    scores = {
        record['epoch']: record['validation_miou']
        for record in map(json.loads, lines)
        if 'epoch' in record
    }
    assert sorted(scores) == [1, 2, 3, 4]
    best = read_weights(tmp_path / BEST)
    assert best.epoch == min(epoch for epoch in scores if scores[epoch] == max(scores.values()))
    assert read_weights(tmp_path / WEIGHTS).epoch == 4
    shipped, whole = read_weights(tmp_path / WEIGHTS).state, read_weights(tmp_path).state
    torch.testing.assert_close(shipped, whole, rtol=0, atol=0)


def test_weights_of_another_network_are_refused_with_the_keys_that_differ() -> None:
    state = dict(NETWORKS['compact'](11).state_dict())
    with pytest.raises(SourceError, match=r'not those of a CompactNet: .*head\.1\.weight is \(11'):
        load_weights(NETWORKS['compact'](19), state, 'a test')
    del state['head.1.bias']
    state['tail.bias'] = torch.zeros(1)
    with pytest.raises(SourceError, match=r'without head\.1\.bias; besides tail\.bias$'):
        load_weights(NETWORKS['compact'](11), state, 'a test')
    many = {f'x{index}': torch.zeros(1) for index in range(5)}
    with pytest.raises(SourceError, match='besides x0, x1, x2 and 2 more'):
        load_weights(NETWORKS['compact'](11), many, 'a test')


def test_a_full_disk_leaves_the_checkpoint_before(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    """The limit of a file's size stands for the disk: a write beyond it fails in the middle."""
    run(replace(small_config, epochs=1), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in (CHECKPOINT, WEIGHTS)}
    state = read_weights(tmp_path)
    assert state.classes == CAMVID.names
    network = NETWORKS['compact'](11)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match=r'cannot write .*last\.safetensors.*make room'):
            write_weights(tmp_path / WEIGHTS, network, state.config, 1, classes=())
        (tmp_path / 'other').mkdir()
        with pytest.raises(OutputError, match=r'cannot write .*last\.ckpt.*one before it is unto'):
            run(replace(small_config, epochs=1, checkpoint_steps=1), tmp_path / 'other')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    left = [path.name for path in (tmp_path / 'other').iterdir()]
    assert not [name for name in left if name.endswith(('.ckpt', '.partial'))]
    assert not list(tmp_path.glob('*.partial'))


def test_files_that_are_no_weights_are_named(small_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'no checkpoint .*last\.ckpt; train first'):
        read_weights(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b'no checkpoint')
    with pytest.raises(SourceError, match=r'last\.ckpt: it is no checkpoint file .*damaged$'):
        run(small_config, tmp_path)
    torch.save({'state_dict': {}}, tmp_path / CHECKPOINT)
    with pytest.raises(SourceError, match='is no checkpoint of vidseg-train'):
        read_weights(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b'x' * 64)
    with pytest.raises(SourceError, match=r'last\.safetensors: it is no safetensors file, or dam'):
        read_weights(tmp_path / WEIGHTS)
    save_file({'weight': torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(SourceError, match='does not say which run it comes from'):
        read_weights(tmp_path / WEIGHTS)


_DAMAGED = r'last\.safetensors is damaged: what it says of epoch, classes or their weights is'


@pytest.mark.parametrize(
    ('key', 'value', 'said'),
    [
        ('settings', '{"name": ', 'the settings in .* are no JSON: the file is damaged'),
        ('settings', '{}', 'the settings in .*: the setting name is not there.* another version'),
        ('epoch', 'seven', _DAMAGED),
        ('classes', '["sky", ', _DAMAGED),
        ('classes', 'null', _DAMAGED),
        ('class_weights', '[1.0]', _DAMAGED),
        ('class_weights', '["one"]', _DAMAGED),
    ],
)
def test_damaged_metadata_are_named(
    small_config: TrainConfig, tmp_path: Path, key: str, value: str, said: str
) -> None:
    path = tmp_path / WEIGHTS
    write_weights(path, NETWORKS['compact'](11), small_config, 7, classes=CAMVID.names)
    state, about = read_safetensors(path)
    save_file(state, path, {**about, key: value})
    with pytest.raises(SourceError, match=said):
        read_weights(path)


@pytest.mark.parametrize('key', ['settings', 'epoch', 'network'])
def test_a_checkpoint_of_other_kinds_is_named(
    small_config: TrainConfig, tmp_path: Path, key: str
) -> None:
    config = replace(small_config, epochs=1)
    run(config, tmp_path)
    checkpoint = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    torch.save({**checkpoint, key: None}, tmp_path / CHECKPOINT)
    with pytest.raises(SourceError, match=r'last\.ckpt is no checkpoint of vidseg-train'):
        run(config, tmp_path)


def test_a_network_of_another_version_is_named(small_config: TrainConfig, tmp_path: Path) -> None:
    config = replace(small_config, epochs=1)
    run(config, tmp_path)
    checkpoint = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    checkpoint['settings'] = checkpoint['settings'].replace('"compact"', '"turbo"')
    torch.save(checkpoint, tmp_path / CHECKPOINT)
    said = r"settings in .*last\.ckpt: network is 'turbo', not one of compact, .*another version"
    for use in (load_run, lambda folder: run(config, folder)):
        with pytest.raises(SourceError, match=said):
            use(tmp_path)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / 'sprung',)

    (tmp_path / CHECKPOINT).write_bytes(pickle.dumps({'network': Trap()}))
    with pytest.raises(SourceError, match='cannot read the checkpoint'):
        read_weights(tmp_path)
    assert not (tmp_path / 'sprung').exists()


def test_weights_are_plain_tensors_for_everybody(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    network = NETWORKS['compact'](11)
    write_weights(tmp_path / WEIGHTS, network, small_config, 0, classes=())
    assert set(load_file(tmp_path / WEIGHTS)) == set(network.state_dict())


def test_data_with_other_classes_are_refused(small_config: TrainConfig, tmp_path: Path) -> None:
    """As many classes, in another order: names and scores would mean nothing."""
    config = replace(small_config, epochs=1)
    run(config, tmp_path)
    checkpoint = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    checkpoint['classes'] = checkpoint['classes'][::-1]
    torch.save(checkpoint, tmp_path / CHECKPOINT)
    said = r'last\.ckpt was trained on the classes bicyclist, .*; the data have sky, '
    with pytest.raises(SourceError, match=said):
        run(config, tmp_path)
    with pytest.raises(SourceError, match=r'was trained on the classes bicyclist'):
        load_run(tmp_path)


def test_hosts_without_a_common_folder_are_refused(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process stands at another step."""
    monkeypatch.setattr(loop, 'sum_over_processes', lambda step: step + 7)
    with pytest.raises(ParameterError, match='--out must be one that all share'):
        run(replace(small_config, epochs=1), tmp_path)


def test_a_run_goes_on_with_its_teacher_only(small_config: TrainConfig, tmp_path: Path) -> None:
    """The teacher's file has the same name and, without a cache, nothing else tells."""
    config = replace(
        small_config,
        epochs=1,
        distillation=DistillationConfig(
            teacher=(str(tmp_path / 'teacher'),), pixel=1.0, cache=False
        ),
    )
    run(replace(small_config, epochs=1), tmp_path / 'teacher')
    run(config, tmp_path / 'run')
    run(config, tmp_path / 'run')
    shutil.rmtree(tmp_path / 'teacher')
    run(replace(small_config, epochs=1, seed=9), tmp_path / 'teacher')
    with pytest.raises(ParameterError, match=r'began with another distillation\.teacher'):
        run(config, tmp_path / 'run')


def test_checkpoints_are_counted_over_the_run_and_follow_scores(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(small_config, checkpoint_steps=4, validate_epochs=2)
    train = TrainingSet(open_dataset(config, 'train'))
    network, val = initial_network(config, CAMVID), open_dataset(config, 'val')
    run_ = Run(config, network, train, tmp_path, val)
    done: list[tuple[int, str]] = []
    monkeypatch.setattr(run_, 'save', lambda: done.append((run_.step, 'saved')))
    monkeypatch.setattr(run_, '_validate', lambda: done.append((run_.step, 'scored')))
    assert len(list(run_.steps())) == 9
    assert [step for step, what in done if what == 'saved'] == [4, 6, 8, 9]
    assert done[1:3] == [(6, 'scored'), (6, 'saved')], 'after the second epoch'
    assert done[-2:] == [(9, 'scored'), (9, 'saved')], 'at the end'
