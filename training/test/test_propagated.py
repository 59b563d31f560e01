# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_training.checkpoints import read_weights, WEIGHTS
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import ConsistencyConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.class_uniform import Centroid
from vidseg_training.data.label_statistics import class_weights
from vidseg_training.data.propagated import WithPropagated
from vidseg_training.data.sampling import AugmentedImages, Draw, EpochSampler, TrainingSet
from vidseg_training.export import load_run
from vidseg_training.fitting import run
from vidseg_training.provenance import describe_sources, licence_of


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Return a folder of one clip with samples at -2, -1, +1 and +2; red is 100 + 20 offset."""
    clip = tmp_path / 'samples' / 'drive'
    for kind in ('images', 'labels', 'confidence'):
        (clip / kind).mkdir(parents=True)
    lines: list[dict[str, object]] = [{'version': 1, 'mode': 'joint'}]
    for offset in (-2, -1, 1, 2):
        name = f'f_{offset:+03d}'
        image = np.full((96, 128, 3), (0, 0, 100 + 20 * offset), np.uint8)
        cv2.imwrite(str(clip / 'images' / f'{name}.jpg'), image)
        labels = np.full((96, 128), 2 + offset, np.uint8)
        labels[:, :64] = 255
        cv2.imwrite(str(clip / 'labels' / f'{name}.png'), labels)
        cv2.imwrite(str(clip / 'confidence' / f'{name}.png'), labels)
        lines.append({'name': name, 'source': 'f', 'offset': offset, 'coverage': 0.5})
    lines.append({'name': 'f_+03', 'source': 'f', 'offset': 3, 'skipped': 'scene cut'})
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    (clip / 'manifest.jsonl').write_text(text)
    return clip.parent


@pytest.mark.parametrize(
    ('offset', 'accumulate', 'expected'),
    [(1, False, [-1, 1]), (2, False, [-2, 2]), (2, True, [-2, -1, 1, 2])],
)
def test_samples_of_the_offset_follow_the_labelled_images(
    camvid_folder: Path, samples: Path, offset: int, *, accumulate: bool, expected: list[int]
) -> None:
    labelled = CamVid(camvid_folder, 'train')
    mixed = WithPropagated(labelled, samples, 'joint', offset, accumulate=accumulate)
    assert (mixed.real, len(mixed)) == (6, 6 + len(expected))
    assert mixed.names[:6] == labelled.names
    assert mixed.names[6:] == [f'drive/f_{k:+03d}' for k in expected]
    np.testing.assert_array_equal(mixed[5][0], labelled[5][0])
    for index, k in enumerate(expected, start=6):
        image, labels = mixed[index]
        assert image.shape == (48, 64, 3)  # as the labelled images
        np.testing.assert_allclose(image[0, 0], [100 + 20 * k, 0, 0], atol=3)
        np.testing.assert_array_equal(labels, np.repeat([[255] * 32 + [2 + k] * 32], 48, 0))


def test_training_reads_no_confidence(camvid_folder: Path, samples: Path) -> None:
    mixed = WithPropagated(CamVid(camvid_folder, 'train'), samples, 'joint', 1)
    for path in (samples / 'drive' / 'confidence').iterdir():
        path.unlink()
    assert mixed[6][1].max() == 255


def test_what_does_not_fit_is_refused(camvid_folder: Path, samples: Path) -> None:
    labelled = CamVid(camvid_folder, 'train')
    with pytest.raises(SourceError, match=r'no samples at ±3 in .*, there are ±1, ±2, ±3; make'):
        WithPropagated(labelled, samples, 'joint', 3)
    with pytest.raises(SourceError, match='there are none at all'):
        WithPropagated(labelled, samples / 'drive', 'joint', 1)
    with pytest.raises(SourceError, match=r'no samples at ±4 in .*, there are ±1, ±2, ±3'):
        WithPropagated(labelled, samples, 'joint', 4, accumulate=True)  # ±1 to ±3 are not all
    assert len(WithPropagated(labelled, samples, 'joint', 3, accumulate=True)) == 10
    with pytest.raises(ParameterError, match='drive was made by --mode joint, not label'):
        WithPropagated(labelled, samples, 'label', 1)
    path = samples / 'drive' / 'labels' / 'f_+01.png'
    cv2.imwrite(str(path), np.full((96, 128), 11, np.uint8))
    mixed = WithPropagated(labelled, samples, 'joint', 1)
    with pytest.raises(SourceError, match=r'has the ids \[11\], which are no class; .*--void 11'):
        mixed[7]
    cv2.imwrite(str(path), np.full((48, 64), 1, np.uint8))
    with pytest.raises(SourceError, match=r'f_\+01 of .*: its image and labels differ in size'):
        mixed[7]
    path.unlink()
    with pytest.raises(SourceError, match=r'cannot read .*f_\+01\.png; propagate again'):
        mixed[7]


def test_the_last_epochs_have_labelled_images_alone(
    small_config: TrainConfig, camvid_folder: Path, samples: Path
) -> None:
    config = replace(
        small_config,
        epochs=10,
        propagated_share=0.8,
        scale_range=(1, 1),
        crop_size=(48, 64),
        color_jitter=0,
    )
    mixed = WithPropagated(CamVid(camvid_folder, 'train'), samples, 'joint', 1)
    images = AugmentedImages(TrainingSet(mixed, real=mixed.real), config)
    early, late = (images[Draw(epoch, 0, 7)][1].unique().tolist() for epoch in (7, 8))
    assert early == [3, 255]  # sample +1
    assert late == np.unique(mixed[7 % 6][1]).tolist()
    uniform = replace(config, class_uniform=0.9, class_uniform_share=1.0, batch_size=1)
    sampler = EpochSampler(8, uniform, [[Centroid(1, 5, 6), Centroid(7, 5, 6)]], real=6)
    for epoch, expected in ((7, {1, 7}), (8, {1})):
        assert {
            draw.image for draw in sampler.samples(epoch) if draw.contain is not None
        } == expected


def losses_of(folder: Path) -> list[float]:
    lines = map(json.loads, (folder / 'log.jsonl').read_text().splitlines())
    return [line['loss'] for line in lines if 'loss' in line]


@pytest.mark.parametrize(('mode', 'relaxed'), [('joint', 0), ('label', 0), ('joint', 0.5)])
def test_a_run_learns_from_samples(
    small_config: TrainConfig,
    samples: Path,
    tmp_path: Path,
    mode: Literal['joint', 'label'],
    relaxed: float,
) -> None:
    manifest = samples / 'drive' / 'manifest.jsonl'
    manifest.write_text(manifest.read_text().replace('joint', mode))
    config = replace(
        small_config,
        epochs=1,
        propagation=mode,
        propagated=samples,
        propagated_licence='MIT',
        offset=2,
        accumulate=True,
        relaxed_share=relaxed,
    )
    run(config, tmp_path / 'run')
    trained, network, _ = load_run(tmp_path / 'run')
    mixed = WithPropagated(open_dataset(config, 'train'), samples, mode, 2, accumulate=True)
    weights = torch.from_numpy(class_weights(mixed, 1.1))
    torch.testing.assert_close(torch.tensor(trained.class_weights), weights)
    torch.testing.assert_close(
        network.state_dict()['head.1.bias'], trained.state['head.1.bias'] - weights.log()
    )
    assert read_weights(tmp_path / 'run' / WEIGHTS).class_weights == trained.class_weights
    losses = losses_of(tmp_path / 'run')
    assert len(losses) == 5  # 6 + 4 images, 2 a step
    if relaxed:
        run(replace(config, relaxed_share=0), tmp_path / 'strict')
        assert losses[0] < losses_of(tmp_path / 'strict')[0]


def test_samples_and_their_licence_are_named(
    small_config: TrainConfig, camvid_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match='propagation joint needs propagated and propagated'):
        replace(small_config, propagation='joint', propagated=tmp_path)
    with pytest.raises(ParameterError, match='offset must be above zero, not 0'):
        replace(small_config, offset=0)
    with pytest.raises(ParameterError, match='propagated_share is a share from 0 to 1, not 2'):
        replace(small_config, propagated_share=2)
    config = replace(
        small_config, propagation='joint', propagated=tmp_path, propagated_licence='MIT'
    )
    sources = describe_sources(config, CamVid(camvid_folder, 'test'))
    gone = f'samples propagated over video: {tmp_path.name}, motion unknown'
    assert sources[1].name == gone
    assert sources[1].licence == 'MIT'
    assert 'non-commercial' in licence_of(sources)
    with pytest.raises(ParameterError, match='propagation and teacher: a run has one of them'):
        run(replace(config, teacher=Path('weights.pth')), tmp_path / 'run')


def _carry_along(samples: Path, motion: str) -> None:
    """Say in the manifest of the samples what carried them."""
    path = samples / 'drive' / 'manifest.jsonl'
    first, *rest = path.read_text(encoding='utf-8').splitlines(keepends=True)
    header = {**json.loads(first), 'motion': motion}
    path.write_text(json.dumps(header) + '\n' + ''.join(rest), encoding='utf-8')


@pytest.mark.parametrize(
    ('motion', 'allowed'),
    [
        ('dis', False),
        ('dis_flow', False),
        ('reconstruction-0a1b2c3d-dis', False),
        ('reconstruction-0a1b2c3d', False),  # does not say what it starts from
        ('reconstruction-0a1b2c3d-farneback', True),
        ('prediction-0a1b2c3d-none', True),
        ('farneback', True),
    ],
)
def test_samples_carried_along_dis_do_not_train_what_dis_judges(  # noqa: PLR0913, PLR0917
    small_config: TrainConfig,
    samples: Path,
    moving_clip: Path,
    tmp_path: Path,
    motion: str,
    allowed: bool,  # noqa: FBT001  # from the table
) -> None:
    _carry_along(samples, motion)
    config = replace(
        small_config, epochs=1, propagation='joint', propagated=samples, propagated_licence='MIT'
    )
    name = describe_sources(config, open_dataset(config, 'test'))[1].name
    assert name == f'samples propagated over video: samples, motion {motion}'
    steady = ConsistencyConfig(temporal=1.0, clips=(moving_clip,), licence='CC0')
    if allowed:
        run(replace(config, consistency=steady), tmp_path / 'steady')
        return
    with pytest.raises(ParameterError, match=rf'carried along {motion}: .* --motion farneback'):
        run(replace(config, consistency=steady), tmp_path / 'steady')
    run(config, tmp_path / 'plain')
