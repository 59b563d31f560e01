# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Consistency and distillation on the training loop."""

from dataclasses import replace
import json
from pathlib import Path
import shutil
from typing import Any

import pytest
from safetensors.torch import load_file
import torch

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_training.checkpoints import CHECKPOINT
from vidseg_training.config import TrainConfig
from vidseg_training.consistency import objective
from vidseg_training.consistency.lessons import open_lessons
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.sampling import TrainingSet
from vidseg_training.fitting import initial_network, run
from vidseg_training.loop import Run
from vidseg_training.losses import LabelLoss
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_weights import write_motion
from vidseg_training.networks.fddwnet import FDDWNet
from vidseg_training.networks.motion import MotionNet
from vidseg_training.provenance import describe_recipe, describe_sources
from vidseg_training.run_settings import changed_settings, parse_settings, settings_text


@pytest.fixture
def teacher(small_config: TrainConfig, tmp_path: Path) -> Path:
    """Return the weights of a short run."""
    return run(replace(small_config, epochs=1, seed=5), tmp_path / 'teacher')


@pytest.fixture
def config(small_config: TrainConfig, teacher: Path, moving_clip: Path) -> TrainConfig:
    """Return a run of 6 steps with every term, over a clip that moves."""
    return replace(
        small_config,
        epochs=2,
        consistency=ConsistencyConfig(
            temporal=0.5,
            equivariance=0.5,
            clips=(moving_clip,),
            licence='CC0',
            batch=2,
        ),
        distillation=DistillationConfig(
            teacher=(str(teacher),),
            pixel=0.5,
            pair=0.5,
            pair_frames=0.5,
            multi_frame=0.5,
            grid=(3, 4),
        ),
    )


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    return [json.loads(line) for line in lines]


def _steps(folder: Path) -> list[dict[str, Any]]:
    return [record for record in _records(folder) if 'loss' in record]


def _open(config: TrainConfig, folder: Path) -> Run:
    images = open_dataset(config, 'train')
    network = initial_network(config, images.label_set)
    lessons = open_lessons(config, images, folder)
    train = TrainingSet(images, lessons.soft_images)
    return Run(config, network, train, folder, lessons=lessons)


def test_every_term_is_learned_from_and_logged_and_none_of_it_ships(
    config: TrainConfig, tmp_path: Path
) -> None:
    weights = run(config, tmp_path / 'run')
    steps = _steps(tmp_path / 'run')
    assert len(steps) == 6
    names = ['temporal', 'equivariance', 'pixel', 'pair', 'pair_frames', 'multi_frame']
    for step in steps:
        assert step['loss'] == pytest.approx(sum(step[name] for name in ('labels', *names)))
        assert all(step[name] > 0 for name in names)
        assert step['hidden_pairs'] == 0
    plain = replace(config, consistency=ConsistencyConfig(), distillation=DistillationConfig())
    alone = load_file(run(plain, tmp_path / 'plain'))
    ours = load_file(weights)
    assert set(ours) == set(alone)
    assert any(not torch.equal(ours[name], alone[name]) for name in ours)
    assert set(_steps(tmp_path / 'plain')[0]) == {'step', 'loss', 'learning_rate'}


@pytest.mark.parametrize(('cache', 'workers'), [(True, 0), (False, 0), (True, 1)])
def test_a_run_in_parts_is_the_run_in_one(
    config: TrainConfig, tmp_path: Path, workers: int, *, cache: bool
) -> None:
    config = replace(
        config, checkpoint_steps=1, distillation=replace(config.distillation, cache=cache)
    )
    whole = load_file(run(replace(config, workers=workers), tmp_path / 'whole'))
    for _ in range(6):  # one step each, then a new process would continue from the checkpoint
        part = _open(config, tmp_path / 'parts')
        next(part.steps())
    assert _steps(tmp_path / 'parts') == _steps(tmp_path / 'whole')
    for name, value in part.network.module.state_dict().items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=0)
    kept = (tmp_path / 'parts' / 'teacher_clips.npy').exists()
    assert kept is cache


def _go_on(config: TrainConfig, folder: Path) -> None:
    """Do a step of a run."""
    next(_open(replace(config, checkpoint_steps=1), folder).steps())


def test_a_run_does_not_go_on_with_other_frames(
    config: TrainConfig, moving_clip: Path, tmp_path: Path
) -> None:
    """Without a teacher that has said something of each of them, nothing else would notice."""
    clip = shutil.copytree(moving_clip, tmp_path / 'clip')
    alone = replace(
        config,
        consistency=replace(config.consistency, clips=(clip,)),
        distillation=DistillationConfig(),
    )
    _go_on(alone, tmp_path / 'run')
    moved = (tmp_path / 'elsewhere' / 'clip',)
    moved[0].parent.mkdir()
    clip.rename(moved[0])
    alone = replace(alone, consistency=replace(alone.consistency, clips=moved))
    _go_on(alone, tmp_path / 'run')
    shutil.copy(moved[0] / 'drive_011.png', moved[0] / 'drive_012.png')
    with pytest.raises(
        ParameterError, match=r'began with other frames in consistency\.clips; cho'
    ):
        _go_on(alone, tmp_path / 'run')


def test_a_run_does_not_go_on_with_another_motion_network(
    config: TrainConfig, tmp_path: Path
) -> None:
    """Both files have the same name, as all that vidseg-train motion writes."""
    settings = MotionConfig(clips=('drive',), width=8, flow='none')
    learned = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        path = tmp_path / str(seed) / 'motion.safetensors'
        path.parent.mkdir()
        write_motion(path, MotionNet(width=8), settings, 0)
        clips = replace(config.consistency, motion=str(path))
        learned.append(replace(config, consistency=clips, distillation=DistillationConfig()))
    _go_on(learned[0], tmp_path / 'run')
    _go_on(learned[0], tmp_path / 'run')
    with pytest.raises(ParameterError, match=r'another network for consistency\.motion; choose'):
        _go_on(learned[1], tmp_path / 'run')


def test_runs_from_before_their_clips_were_noted_go_on(
    config: TrainConfig, tmp_path: Path
) -> None:
    _go_on(config, tmp_path)
    checkpoint = torch.load(tmp_path / CHECKPOINT)
    assert checkpoint.pop('clips')
    assert checkpoint.pop('motion') == 'farneback'
    torch.save(checkpoint, tmp_path / CHECKPOINT)
    _go_on(config, tmp_path)
    assert torch.load(tmp_path / CHECKPOINT)['clips']


@pytest.mark.parametrize('term', ['temporal', 'equivariance', 'gradient'])
def test_what_a_term_that_is_not_finite_looked_at_is_named(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    original = objective.ConsistencyObjective.weighted_terms

    def broken(self: objective.ConsistencyObjective, *args: Any) -> dict[str, torch.Tensor]:
        terms = original(self, *args)
        if term == 'gradient':
            terms['pixel'].register_hook(lambda gradient: gradient * float('nan'))
        else:
            terms[term] = terms[term] * float('nan')
        return terms

    monkeypatch.setattr(objective.ConsistencyObjective, 'weighted_terms', broken)
    next(_open(config, tmp_path).steps())
    (skipped,) = (record for record in _records(tmp_path) if 'skipped' in record)
    images, frames = (skipped.get(kind) for kind in ('images', 'frames'))
    assert (images is None) == (term == 'temporal')
    assert (frames is None) == (term == 'equivariance')
    if images is not None:
        assert len(images) == config.batch_size
    if frames is not None:
        assert len(frames) == config.consistency.batch
        place, *names = frames[0].split()
        before, now, after = (int(name.removeprefix('drive_')) for name in names)
        assert place == config.consistency.clips[0].name
        assert after - now == now - before > 0


def test_a_term_that_is_not_finite_is_named_and_its_step_skipped(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = objective.affinity_loss, []

    def broken(*args: Any) -> torch.Tensor:
        calls.append(1)  # pair, then twice for pair_frames
        return original(*args) * (float('nan') if len(calls) == 3 * 2 + 1 else 1)

    monkeypatch.setattr(objective, 'affinity_loss', broken)
    part = _open(config, tmp_path)
    states = [
        {name: value.clone() for name, value in part.network.module.state_dict().items()}
        for _ in part.steps()
    ]
    assert part.skipped == 1
    skipped = [record for record in _records(tmp_path) if 'skipped' in record]
    assert [(record['step'], record['skipped']) for record in skipped] == [(2, 'loss (pair)')]
    assert len(skipped[0]['images']) == config.batch_size
    for name, value in states[1].items():
        torch.testing.assert_close(states[2][name], value, rtol=0, atol=0)
    assert any(not torch.equal(states[3][name], value) for name, value in states[2].items())


def test_clips_go_with_the_older_way_to_a_teacher(config: TrainConfig, tmp_path: Path) -> None:
    published = tmp_path / 'fddwnet.pth'
    torch.save({'state_dict': FDDWNet(19).state_dict()}, published)
    both = replace(
        config, distillation=DistillationConfig(), teacher=published, teacher_height=48, epochs=1
    )
    run(both, tmp_path / 'run')
    for step in _steps(tmp_path / 'run'):
        assert min(step[name] for name in ('labels', 'teacher', 'temporal', 'equivariance')) > 0


def test_pairs_across_a_cut_are_counted(config: TrainConfig, tmp_path: Path) -> None:
    """The images of the tiny data set have nothing to do with each other, but they have labels."""
    unrelated = replace(config.consistency, clips=(config.data / 'train',))
    run(replace(config, consistency=unrelated, epochs=1), tmp_path / 'run')
    for step in _steps(tmp_path / 'run'):
        assert step['hidden_pairs'] == 4
        assert step['temporal'] == 0


def test_labelled_middles_are_learned_beside_the_images(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip of 12 frames of which those in the middle have the names of labelled images."""
    clip, images = tmp_path / 'drive', config.data / 'train'
    clip.mkdir()
    for index, frame in enumerate(sorted(config.consistency.clips[0].iterdir())):
        shutil.copy(frame, clip / f'{index:03}.png')  # 000 to 005 are labelled
    assert max(path.stem for path in images.iterdir()) == '005'
    middles = replace(config.consistency, clips=(clip,), labelled_middle=True, equivariance=0.0)
    settings = replace(config, consistency=middles, distillation=DistillationConfig(), epochs=1)
    seen, original = [], LabelLoss.__call__

    def watched(loss: LabelLoss, outputs: Any, labels: torch.Tensor, *when: int) -> torch.Tensor:
        seen.append((len(outputs[0]), labels))
        return original(loss, outputs, labels, *when)

    monkeypatch.setattr(LabelLoss, '__call__', watched)
    run(settings, tmp_path / 'run')
    assert len(seen) == 3
    for predicted, labels in seen:
        assert (predicted, len(labels)) == (2 + 3 * 2, 2 + 3 * 2)
        of_clips = labels[2:].view(2, 3, *labels.shape[1:])
        assert all((of_clips[:, 1] != 255).flatten(1).any(1))
    assert all(step['temporal'] > 0 for step in _steps(tmp_path / 'run'))
    beyond = replace(settings, consistency=replace(middles, clips=config.consistency.clips))
    with pytest.raises(ParameterError, match='no clip has a labelled frame with both neighbours'):
        run(beyond, tmp_path / 'other')


def test_what_another_teacher_said_is_refused(
    config: TrainConfig, small_config: TrainConfig, tmp_path: Path
) -> None:
    images = open_dataset(config, 'train')
    open_lessons(config, images, tmp_path / 'run')
    other = run(replace(small_config, epochs=1, seed=6), tmp_path / 'other')
    changed = replace(config.distillation, teacher=(str(other),))
    with pytest.raises(SourceError, match='another teacher said'):
        open_lessons(replace(config, distillation=changed), images, tmp_path / 'run')


def test_class_pairs_are_checked(config: TrainConfig, tmp_path: Path) -> None:
    images = open_dataset(config, 'train')
    changed = replace(config.distillation, classes=('car',))
    with pytest.raises(ParameterError, match='classes are given as TEACHER=OURS, not car'):
        open_lessons(replace(config, distillation=changed), images, tmp_path)


def test_one_way_to_a_teacher_is_enough(config: TrainConfig) -> None:
    with pytest.raises(ParameterError, match=r'teacher and distillation\.teacher: give one'):
        replace(config, teacher=Path('fddwnet.pth'))


def test_blocks_survive_a_file_and_are_compared_by_their_fields(config: TrainConfig) -> None:
    again = parse_settings(settings_text(config), 'a file')
    assert again == config
    moved = replace(
        config.consistency, clips=(Path('elsewhere') / config.consistency.clips[0].name,)
    )
    assert changed_settings(config, replace(config, consistency=moved)) == []
    other = replace(config.consistency, clips=(Path('other'),), temporal=1.0)
    changed = changed_settings(config, replace(config, consistency=other))
    assert changed == ['consistency.clips', 'consistency.temporal']
    with pytest.raises(SourceError, match=r'the settings consistency\.dreaming are unknown'):
        parse_settings(settings_text(config).replace('"max_gap"', '"dreaming"'), 'a file')


def test_the_card_names_clips_teacher_and_options(config: TrainConfig) -> None:
    spoken = replace(config.distillation, cache=False)
    words = describe_recipe(replace(config, distillation=spoken))
    assert '--distillation.no-cache' in words
    assert '--distillation.teacher last.safetensors' in words  # and not where it lies
    assert '--consistency.temporal 0.5' in words
    assert f'--consistency.clips {config.consistency.clips[0].name}' in words
    assert '--distillation.multi-frame 0.5' in words
    sources = describe_sources(config, open_dataset(config, 'test'))
    described = [(source.name, source.use) for source in sources]
    assert described == [
        ('CamVid, SegNet split, train', 'training'),
        (f'video: {config.consistency.clips[0].name}', 'consistency'),
        ('CamVid, SegNet split, train', 'teacher, training'),
    ]


@pytest.mark.parametrize(
    ('place', 'shown'),
    [('hf:somebody/segformer', 'hf:somebody/segformer'), ('hf:/models/segformer', 'hf:segformer')],
)
def test_the_card_tells_no_paths_of_models(config: TrainConfig, place: str, shown: str) -> None:
    taught = replace(config, distillation=replace(config.distillation, teacher=(place,)))
    assert f'--distillation.teacher {shown}' in describe_recipe(taught)
    assert describe_sources(taught, open_dataset(config, 'test'))[-1].name == shown
