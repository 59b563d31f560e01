# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Several processes, started by torchrun on loopback, do what one does on the joint batch."""

from contextlib import closing, ExitStack
from dataclasses import replace
import json
from pathlib import Path
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file
import torch
from torch import nn

from vidseg_ros.core.errors import ParameterError
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.sampling import TrainingSet
from vidseg_training.fitting import run
from vidseg_training.loop import Run
from vidseg_training.processes import join_batch_norms, joint_mean, JointBatchNorm, open_fabric
from vidseg_training.run_settings import settings_text
from vidseg_training.starting_weights import initial_network

_SCRIPT = """
import json, sys
from pathlib import Path
from vidseg_training.fitting import run
from vidseg_training.processes import leave_processes
from vidseg_training.run_settings import parse_settings
run(parse_settings(Path(sys.argv[1]).read_text(), sys.argv[1]), Path(sys.argv[2]))
leave_processes()
"""


def _run_together(config: TrainConfig, folder: Path, processes: int, hosts: int = 1) -> None:
    """Do a run, or go on with it, by so many processes for each of so many torchruns."""
    folder.mkdir(exist_ok=True)
    script, settings = folder / 'script.py', folder / 'settings.json'
    script.write_text(_SCRIPT, encoding='utf-8')
    settings.write_text(settings_text(config), encoding='utf-8')
    command = [
        *(sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', str(processes)),
        *('--nnodes', str(hosts), '--rdzv-backend', 'c10d', '--local-addr', '127.0.0.1'),
        *('--rdzv-endpoint', f'127.0.0.1:{_free_port() if hosts > 1 else 0}'),
        *(str(script), str(settings), str(folder / 'run')),
    ]
    with ExitStack() as stack:
        started = []
        for host in range(hosts):
            log = stack.enter_context((folder / f'{host}.log').open('w'))
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
            stack.callback(started[-1].kill)
        for host, process in enumerate(started):
            assert process.wait(timeout=240) == 0, (folder / f'{host}.log').read_text()


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(('127.0.0.1', 0))
        port: int = listener.getsockname()[1]
        return port


def _records(folder: Path) -> list[dict[str, float]]:
    lines = (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(('relaxed_share', 'loss_stride'), [(0.5, 1), (0.0, 2)])
def test_two_processes_give_the_losses_of_one_on_the_joint_batch(
    small_config: TrainConfig, tmp_path: Path, relaxed_share: float, loss_stride: int
) -> None:
    """Blocks of void in the images: each process has another number of pixels that count."""
    config = replace(
        small_config,
        learning_rate=1e-3,
        epochs=3,
        ema_decay=0.5,
        relaxed_share=relaxed_share,
        loss_stride=loss_stride,
        lovasz_weight=1.0,
        class_uniform=0.5,
        class_mix=0.5,
        clip_norm=5.0,
        network='dual_resolution_small',
        batch_size=4,
    )
    run(config, tmp_path / 'one')
    _run_together(config, tmp_path / 'two', 2)
    alone, together = _records(tmp_path / 'one'), _records(tmp_path / 'two' / 'run')
    assert [set(record) for record in together] == [set(record) for record in alone]
    assert sum('loss' in record for record in together) == 3
    assert sum('validation_miou' in record for record in together) == 1
    losses = [[record['loss'] for record in log if 'loss' in record] for log in (alone, together)]
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-5)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    mious = [[record.get('validation_miou', 0) for record in log] for log in (alone, together)]
    assert mious[1] == pytest.approx(mious[0], abs=5e-3)
    ours = load_file(tmp_path / 'one' / 'last.safetensors')
    for name, value in load_file(tmp_path / 'two' / 'run' / 'last.safetensors').items():
        torch.testing.assert_close(value, ours[name], rtol=0.02, atol=0.005, msg=name)


@pytest.mark.slow
def test_two_hosts_go_on_where_one_process_was_ended(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(small_config, learning_rate=1e-3, batch_size=4, epochs=3, checkpoint_steps=1)
    run(config, tmp_path / 'one')
    images = open_dataset(config, 'train')
    network = initial_network(config, images.label_set)
    begun = Run(config, network, TrainingSet(images), tmp_path / 'two' / 'run')
    steps = begun.steps()
    next(steps)
    next(steps)
    _run_together(config, tmp_path / 'two', 1, hosts=2)
    alone, together = (
        [record['loss'] for record in _records(folder) if 'loss' in record]
        for folder in (tmp_path / 'one', tmp_path / 'two' / 'run')
    )
    assert len(together) == len(alone) == 3
    assert together == pytest.approx(alone, rel=1e-3)


@pytest.mark.slow
def test_two_processes_share_the_clips_and_what_is_learned_of_them(
    small_config: TrainConfig, moving_clip: Path, tmp_path: Path
) -> None:
    teacher = run(replace(small_config, epochs=1, seed=5), tmp_path / 'teacher')
    cuts = tmp_path / 'cuts'
    cuts.mkdir()
    for index, noise in enumerate(np.random.default_rng(0).integers(0, 256, (12, 9, 12, 3))):
        large = cv2.resize(noise.astype(np.uint8), (96, 72))
        cv2.imwrite(str(cuts / f'{index}.png'), large)
    config = replace(
        small_config,
        learning_rate=1e-3,
        batch_size=4,
        consistency=ConsistencyConfig(
            temporal=1.0, equivariance=1.0, clips=(moving_clip, cuts), licence='CC0', batch=2
        ),
        distillation=DistillationConfig(
            teacher=(str(teacher),), pixel=1.0, pair=1.0, pair_frames=1.0, multi_frame=1.0
        ),
    )
    run(config, tmp_path / 'one')
    _run_together(config, tmp_path / 'two', 2)
    names = ('labels', 'temporal', 'equivariance', 'pixel', 'pair', 'pair_frames', 'multi_frame')
    hidden = [
        [record['hidden_pairs'] for record in _records(folder) if 'loss' in record]
        for folder in (tmp_path / 'one', tmp_path / 'two' / 'run')
    ]
    assert hidden[0] == hidden[1]
    assert max(hidden[0]) > 1  # one clip, that of a process, has two
    alone, together = (
        [[record[name] for name in names] for record in _records(folder) if 'loss' in record]
        for folder in (tmp_path / 'one', tmp_path / 'two' / 'run')
    )
    assert len(alone) == 3
    assert together[0] == pytest.approx(alone[0], rel=1e-4)
    for ours, theirs in zip(together, alone, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-2)  # Adam makes much of rounding


def test_joint_batch_norm_is_batch_norm_where_there_is_one_process() -> None:
    torch.manual_seed(0)
    plain, joint = nn.BatchNorm2d(3), JointBatchNorm(3)
    weight = torch.rand(3)
    with torch.no_grad():
        plain.weight.copy_(weight)
        joint.weight.copy_(weight)
    x = torch.randn(4, 3, 5, 6) * 2 + 1
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    out = plain(a)
    torch.testing.assert_close(joint(b), out)
    out.square().sum().backward()
    joint(b).square().sum().backward()
    torch.testing.assert_close(b.grad, a.grad)
    plain(x)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(joint.state_dict()[name], value, msg=name)
    torch.testing.assert_close(joint.eval()(x), plain.eval()(x))


def test_joint_batch_norm_takes_half_precision_as_batch_norm_does() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 2, 5, 6)
    outs = []
    for norm in (nn.BatchNorm2d(3), JointBatchNorm(3)):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Conv2d(2, 3, 1), norm)
        with torch.autocast('cpu', torch.bfloat16):
            out = network(x)
        out.float().square().sum().backward()
        assert norm.running_mean is not None
        outs.append((out, norm.running_mean, norm.weight.grad))
    assert outs[1][0].dtype is torch.bfloat16
    torch.testing.assert_close(outs[1], outs[0])


def test_batch_norms_are_replaced_only_where_processes_share_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()))
    names = list(network.state_dict())
    assert not any(
        isinstance(m, JointBatchNorm)
        for m in join_batch_norms(network, torch.device('cpu')).modules()
    )
    monkeypatch.setattr('vidseg_training.processes.process_count', lambda: 2)
    joined = join_batch_norms(network, torch.device('cpu'))
    assert sum(isinstance(m, JointBatchNorm) for m in joined.modules()) == 1
    assert list(joined.state_dict()) == names


def test_the_mean_over_processes_weighs_pixels_and_not_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Losses 1, 2 here and 6 there: their mean 3 is the mean of what both processes return."""
    monkeypatch.setattr('vidseg_training.processes.process_count', lambda: 2)
    monkeypatch.setattr(
        'vidseg_training.processes.sum_over_processes', lambda _: torch.tensor(3.0)
    )
    here = joint_mean(torch.tensor(3.0), torch.tensor(2.0))
    there = joint_mean(torch.tensor(6.0), torch.tensor(1.0))
    assert (here + there).item() / 2 == pytest.approx(3)


def test_a_batch_that_processes_cannot_share_is_refused(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ThreeProcesses:
        world_size, global_rank = 3, 0

    monkeypatch.setattr('vidseg_training.loop.open_fabric', lambda _: ThreeProcesses())
    with pytest.raises(ParameterError, match=r'batch_size 2 is the joint one: .* the 3 processes'):
        run(small_config, tmp_path / 'run')


def test_scaled_half_precision_without_a_gpu_is_refused(
    small_config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ParameterError, match='16-mixed needs a GPU; bf16-mixed works'):
        open_fabric(replace(small_config, precision='16-mixed'))


def test_what_a_step_frees_is_kept_for_the_next(
    small_config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def keep(*, of_any_size: bool) -> None:
        asked.append(of_any_size)

    monkeypatch.setattr('vidseg_training.processes.keep_freed_memory', keep)
    open_fabric(small_config)
    assert asked == [True]
