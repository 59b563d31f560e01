# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.street import StreetClip
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import ConsistencyConfig
from vidseg_training.consistency.temporal_loss import photometric_weight
from vidseg_training.data import clip_triplets
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.clip_frames import ClipFrames
from vidseg_training.data.clip_triplets import (
    _AUGMENTATION,
    allowed_gaps,
    AugmentedTriplets,
    open_training_motion,
    TripletDraw,
    TripletSampler,
)
from vidseg_training.data.sampling import load_beside
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_weights import write_motion
from vidseg_training.networks.motion import MotionNet
from vidseg_training.propagation.motion import FlowMotion
from vidseg_training.propagation.scene_cuts import find_break, thumbnail


def _texture(shift: int = 0) -> np.ndarray:
    """Return a smooth random picture of 48x64, moved to the left by whole pixels."""
    noise = np.random.default_rng(1).uniform(0, 255, (48, 128, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    smooth = (smooth - smooth.min()) * 255 / (smooth.max() - smooth.min())
    return smooth[:, shift : shift + 64].astype(np.uint8)


def _write(folder: Path, pictures: list[np.ndarray]) -> Path:
    folder.mkdir()
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f'f_{index}.png'), picture[..., ::-1])
    return folder


@pytest.fixture
def config(small_config: TrainConfig) -> TrainConfig:
    clips = ConsistencyConfig(temporal=1.0, clips=(Path('drive'),), licence='CC0', batch=4)
    return replace(small_config, consistency=clips)


@pytest.fixture
def moving(tmp_path: Path, camvid_folder: Path) -> ClipFrames:
    """Return a clip of 7 frames in which everything moves 2 px to the left a frame."""
    folder = _write(tmp_path / 'moving', [_texture(2 * index) for index in range(7)])
    return ClipFrames([folder], CamVid(camvid_folder, 'train'))


def test_gaps_end_at_the_borders_of_a_clip_and_at_missing_frames(
    tmp_path: Path, camvid_folder: Path
) -> None:
    folder = _write(tmp_path / 'drive', [_texture()] * 8)
    (folder / 'f_5.png').unlink()
    frames = ClipFrames([folder, camvid_folder / 'train'], CamVid(camvid_folder, 'train'))
    gaps = dict(allowed_gaps(frames, 3, labelled_middle=False))
    assert gaps == {
        1: [1],
        2: [1, 2],
        3: [1, 3],
        4: [2, 3],
        9: [1],
        10: [1, 2],
        11: [1, 2],
        12: [1],
    }
    labelled = dict(allowed_gaps(frames, 1, labelled_middle=True))
    assert labelled == {9: [1], 10: [1], 11: [1], 12: [1]}


def test_clips_without_three_frames_are_refused(tmp_path: Path, camvid_folder: Path) -> None:
    labelled = CamVid(camvid_folder, 'train')
    short = ClipFrames([_write(tmp_path / 'short', [_texture()] * 2)], labelled)
    with pytest.raises(ParameterError, match='no clip has three frames in a row'):
        allowed_gaps(short, 3, labelled_middle=False)
    unlabelled = ClipFrames([_write(tmp_path / 'drive', [_texture()] * 5)], labelled)
    with pytest.raises(ParameterError, match='a labelled frame with both neighbours in a row'):
        allowed_gaps(unlabelled, 3, labelled_middle=True)


def test_the_processes_share_what_one_draws(config: TrainConfig) -> None:
    gaps = [(1, [1]), (2, [1, 2]), (3, [1, 2, 3])]
    whole = list(TripletSampler(gaps, 50, config).samples(0))
    parts = [list(TripletSampler(gaps, 50, config, (index, 2)).samples(0)) for index in range(2)]
    assert [*parts[0][:2], *parts[1][:2]] == whole[:4]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    sampler = TripletSampler(gaps, 50, config)
    assert list(sampler.samples(0, 30)) == whole[120:]
    assert list(sampler.samples(1, 30)) != whole[120:]
    counted = Counter(draw.gap for draw in whole if draw.frame == 3)
    assert min(counted[gap] for gap in (1, 2, 3)) > 10
    with pytest.raises(ParameterError, match=r'batch 4 is the joint one: .* multiple of the 3'):
        TripletSampler(gaps, 50, config, (0, 3))


def test_the_frames_of_a_triplet_are_augmented_alike(
    moving: ClipFrames, config: TrainConfig
) -> None:
    """Whatever scale, crop and mirror image: along its motion each frame explains the others."""
    triplets = AugmentedTriplets(moving, config)
    signs = set()
    for position in range(6):
        triplet = triplets[TripletDraw(0, position, 3, 1)]
        assert triplet.frames.shape == (3, 3, 32, 48)
        batch = type(triplet)(*(part[None] for part in triplet))
        for which in (0, 1):
            pair = batch.pair(which)
            assert pair.visible.float().mean() > 0.6
            assert photometric_weight(pair)[pair.visible].mean() > 0.9
        before, after = (triplet.motion[which, 0].median().item() for which in (0, 1))
        assert before * after < 0
        assert 1 < abs(after) < 4
        signs.add(after > 0)
    assert signs == {True, False}  # mirrored or not


def test_what_is_drawn_depends_on_its_place_in_the_run_only(
    moving: ClipFrames, config: TrainConfig
) -> None:
    first = AugmentedTriplets(moving, config)[TripletDraw(2, 5, 3, 2)]
    again = AugmentedTriplets(moving, config)[TripletDraw(2, 5, 3, 2)]
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    other = AugmentedTriplets(moving, config)[TripletDraw(2, 6, 3, 2)]
    assert not torch.equal(other.frames, first.frames)


@pytest.mark.parametrize('choice', ['dream', 'exact'])
def test_an_unknown_source_of_motion_is_refused_at_once(
    moving: ClipFrames, config: TrainConfig, choice: str
) -> None:
    dreaming = replace(config, consistency=replace(config.consistency, motion=choice))
    offered = f"motion '{choice}' is no motion to train with: give farneback, or the checkpoint"
    with pytest.raises(ParameterError, match=offered):
        AugmentedTriplets(moving, dreaming)


@pytest.mark.parametrize('choice', ['dis', 'exact', 'nowhere.safetensors'])
def test_only_what_may_train_is_offered(choice: str) -> None:
    with pytest.raises(ParameterError, match='is no motion to train with') as caught:
        open_training_motion(choice)
    told = str(caught.value).replace(repr(choice), '')
    assert 'farneback' in told
    assert 'dis' not in told
    assert 'exact' not in told


@pytest.mark.parametrize('flow', ['none', 'dis'])
def test_a_motion_network_may_train_unless_it_starts_from_dis(
    moving: ClipFrames, config: TrainConfig, tmp_path: Path, flow: Literal['none', 'dis']
) -> None:
    path = tmp_path / 'motion.safetensors'
    settings = MotionConfig(clips=('drive',), width=8, flow=flow)
    write_motion(path, MotionNet(width=8), settings, 0)
    learned = replace(config, consistency=replace(config.consistency, motion=str(path)))
    if flow == 'dis':
        with pytest.raises(ParameterError, match=r'motion\.safetensors starts from DIS'):
            AugmentedTriplets(moving, learned)
        return
    triplet = AugmentedTriplets(moving, learned)[TripletDraw(0, 0, 3, 1)]
    assert triplet.motion.abs().max() < 0.1  # untrained: nearly what it starts from, px
    write_motion(path, MotionNet('prediction', width=8), replace(settings, mode='prediction'), 0)
    with pytest.raises(ParameterError, match=r'predicts a frame from those before it'):
        AugmentedTriplets(moving, learned)


def test_the_gap_does_not_go_with_the_scale(moving: ClipFrames, config: TrainConfig) -> None:
    """One clip a step: the draw of a triplet and its augmentation have the same numbers."""
    alone = replace(config, consistency=replace(config.consistency, batch=1), scale_range=(1, 2))
    draws = list(TripletSampler([(3, [1, 2, 3])], 200, alone).samples(0))
    position = {gap: [] for gap in (1, 2, 3)}
    for draw in draws:
        seed = (alone.seed, draw.epoch, draw.position, _AUGMENTATION)
        position[draw.gap].append(np.random.default_rng(seed).uniform())
    means = [np.mean(found) for found in position.values()]
    assert max(means) - min(means) < 0.2  # it was 0.67
    assert AugmentedTriplets(moving, alone)[draws[0]].frames.shape[0] == 3


@pytest.mark.parametrize('scales', [(0.2, 0.4), (0.75, 2.0)])
def test_a_crop_lies_within_the_picture(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig, scales: tuple[float, float]
) -> None:
    white = _write(tmp_path / 'white', [np.full((48, 64, 3), 255, np.uint8)] * 3)
    frames = ClipFrames([white], CamVid(camvid_folder, 'train'))
    bright = replace(config, scale_range=scales, color_jitter=0.0, night=1.0)
    triplet = AugmentedTriplets(frames, bright)[TripletDraw(0, 0, 1, 1)]
    assert triplet.frames.min() == 255


@pytest.mark.parametrize('level', [0, 128])
def test_black_and_static_clips_are_nothing_special(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig, level: int
) -> None:
    folder = _write(tmp_path / 'still', [np.full((48, 64, 3), level, np.uint8)] * 3)
    frames = ClipFrames([folder], CamVid(camvid_folder, 'train'))
    triplet = AugmentedTriplets(frames, config)[TripletDraw(0, 0, 1, 1)]
    assert triplet.motion.abs().max() == 0
    assert triplet.visible.all()


def test_a_scene_that_stands_still_does_not_move(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig
) -> None:
    frames = ClipFrames(
        [_write(tmp_path / 'still', [_texture()] * 3)], CamVid(camvid_folder, 'train')
    )
    triplet = AugmentedTriplets(frames, config)[TripletDraw(0, 0, 1, 1)]
    assert triplet.motion.abs().max() < 0.05
    assert triplet.visible.float().mean() > 0.95, 'but for flow out of the picture at its border'


def test_across_a_scene_cut_nothing_is_visible(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig
) -> None:
    pictures = [_texture(), _texture(2), 255 - _texture(40)]
    frames = ClipFrames([_write(tmp_path / 'cut', pictures)], CamVid(camvid_folder, 'train'))
    triplet = AugmentedTriplets(frames, config)[TripletDraw(0, 0, 1, 1)]
    assert triplet.visible[0].float().mean() > 0.5
    assert not triplet.visible[1].any()


def test_with_nothing_between_two_frames_they_are_judged_once(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [_texture(), 255 - _texture(40), _texture()]
    frames = ClipFrames([_write(tmp_path / 'cut', pictures)], CamVid(camvid_folder, 'train'))
    judged = []

    def unlike(earlier: np.ndarray, later: np.ndarray) -> bool:
        judged.append((earlier, later))
        return True

    monkeypatch.setattr(clip_triplets, '_unlike', unlike)
    assert not AugmentedTriplets(frames, config)[TripletDraw(0, 0, 1, 1)].visible.any()
    assert len(judged) == 2


def test_loading_processes_have_the_frames_of_a_video(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig
) -> None:
    video = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*'MJPG'), 10, (64, 48))
    for index in range(3):
        writer.write(_texture(2 * index))
    writer.release()
    triplets = AugmentedTriplets(ClipFrames([video], CamVid(camvid_folder, 'train')), config)
    draw = TripletDraw(0, 0, 1, 1)
    loader = load_beside(triplets, 1, [draw], workers=1)
    for loaded, here in zip(next(iter(loader)), triplets[draw], strict=True):
        torch.testing.assert_close(loaded[0], here, rtol=0, atol=0)


@pytest.mark.parametrize('jitter', [0.0, 0.9])
def test_a_scene_cut_in_the_dark_is_one(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig, jitter: float
) -> None:
    """A sixth of the light, two drives: along their motion they differ by about 11 grey levels."""
    frames = [StreetClip(seed=7).frame(number).image // 6 for number in (0, 1)]
    frames.append(StreetClip(seed=8).frame(0).image // 6)
    clip = ClipFrames([_write(tmp_path / 'night', frames)], CamVid(camvid_folder, 'train'))
    jittered = replace(config, color_jitter=jitter)
    for position in range(4):
        triplet = AugmentedTriplets(clip, jittered)[TripletDraw(0, position, 1, 1)]
        assert triplet.visible[0].float().mean() > 0.5
        assert not triplet.visible[1].any()


def test_fast_driving_at_a_gap_is_no_cut(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig
) -> None:
    """Two frames apart nothing explains the picture, but each follows from the one before it."""
    pictures = [_texture(8 * index) for index in range(6)]
    assert find_break(thumbnail(pictures[0]), thumbnail(pictures[2])) == 'scene cut'
    folder, labelled = _write(tmp_path / 'fast', pictures), CamVid(camvid_folder, 'train')
    draw = TripletDraw(0, 0, 2, 2)
    triplet = AugmentedTriplets(ClipFrames([folder], labelled), config)[draw]
    assert triplet.visible.flatten(1).any(1).all()
    for index in (1, 3):
        (folder / f'f_{index}.png').unlink()
    triplet = AugmentedTriplets(ClipFrames([folder], labelled), config)[draw]
    assert not triplet.visible.any()  # nothing says that it is one scene


def test_a_picture_that_goes_black_is_a_cut(
    tmp_path: Path, camvid_folder: Path, config: TrainConfig
) -> None:
    pictures = [_texture() // 8, _texture() // 8, np.zeros((48, 64, 3), np.uint8)]
    frames = ClipFrames([_write(tmp_path / 'off', pictures)], CamVid(camvid_folder, 'train'))
    triplet = AugmentedTriplets(frames, config)[TripletDraw(0, 0, 1, 1)]
    assert triplet.visible[0].float().mean() > 0.5
    assert not triplet.visible[1].any()


def test_without_the_temporal_loss_no_motion_is_estimated(
    moving: ClipFrames, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames are the same, and what is hidden across a cut is counted as ever."""
    plain = replace(config, consistency=replace(config.consistency, temporal=0.0))
    draw = TripletDraw(0, 0, 3, 1)
    with_motion = AugmentedTriplets(moving, config)[draw]
    monkeypatch.setattr(FlowMotion, 'backward_flow', None)
    triplet = AugmentedTriplets(moving, plain)[draw]
    torch.testing.assert_close(triplet.frames, with_motion.frames, rtol=0, atol=0)
    assert with_motion.motion.abs().max() > 1
    assert triplet.motion.shape == with_motion.motion.shape
    assert not triplet.motion.any()
    assert triplet.visible.all()


def test_labels_and_the_teachers_word_go_with_their_frame(
    camvid_folder: Path, config: TrainConfig
) -> None:
    """The teacher says the level of the label in its first channel: equal after augmentation."""
    labelled = CamVid(camvid_folder, 'train')
    frames = ClipFrames([camvid_folder / 'train'], labelled)
    soft = np.stack([np.repeat(labelled[index][1][..., None], 2, -1) for index in range(6)])
    triplet = AugmentedTriplets(frames, config, soft)[TripletDraw(0, 0, 2, 2)]
    assert triplet.soft.shape == (3, 2, 32, 48)
    same = triplet.soft[:, 0].long() == triplet.labels
    assert same.float().mean() > 0.8  # the rest are borders, which are interpolated
    assert len(triplet.labels[1].unique()) > 1
