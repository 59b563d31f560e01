# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest
import torch

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.street import StreetClip
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.settings import DistillationConfig
from vidseg_training.data.augment import (
    augment,
    picture_extent,
    resize_and_crop,
    rotate,
    Sample,
)
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.class_uniform import Centroid
from vidseg_training.data.sampling import (
    AugmentedImages,
    Draw,
    EpochSampler,
    RestOfRun,
    TrainingSet,
)
from vidseg_training.data.street import Street


def test_camvid_void_becomes_ignore(camvid_folder: Path) -> None:
    images = CamVid(camvid_folder, 'train')
    assert len(images) == 6
    seen: set[int] = set()
    for index in range(len(images)):
        image, labels = images[index]
        assert image.shape == (48, 64, 3)
        red = image[..., 0][labels != 255]
        np.testing.assert_array_equal(red, labels[labels != 255] * 7)  # RGB, not BGR
        seen |= set(np.unique(labels).tolist())
    assert 255 in seen
    assert 11 not in seen


def test_real_camvid_has_the_published_split(data_dir: Path) -> None:
    sizes = {split: len(CamVid(data_dir / 'camvid', split)) for split in ('train', 'val', 'test')}
    assert sizes == {'train': 367, 'val': 101, 'test': 233}


def test_a_missing_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='expected the CamVid folder'):
        CamVid(tmp_path, 'train')


def test_a_missing_label_map_is_named(camvid_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(camvid_folder, tmp_path / 'camvid')
    (folder / 'trainannot' / '003.png').unlink()
    with pytest.raises(SourceError, match=r'003\.png \(1 missing\)'):
        CamVid(folder, 'train')


def test_files_that_cannot_be_learned_from_are_named(camvid_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(camvid_folder, tmp_path / 'camvid')
    images = CamVid(folder, 'train')
    whole = (folder / 'train' / '002.png').read_bytes()
    for damaged in (b'no picture', b'', whole[:-20], whole[: len(whole) // 2]):
        (folder / 'train' / '002.png').write_bytes(damaged)
        with pytest.raises(SourceError, match=r'cannot read the image .*002\.png: '):
            images[2]
    (folder / 'train' / '002.png').unlink()
    with pytest.raises(SourceError, match=r'cannot read the image .*002\.png: .*No such file'):
        images[2]
    mask = folder / 'trainannot' / '003.png'
    whole = mask.read_bytes()
    for damaged in (b'no picture', whole[: len(whole) // 2]):
        mask.write_bytes(damaged)
        with pytest.raises(SourceError, match=r'cannot read the mask .*003\.png'):
            images[3]
    cv2.imwrite(str(mask), np.zeros((48, 60), np.uint8))
    with pytest.raises(SourceError, match=r'003\.png differs in size from its image: 60x48'):
        images[3]
    labels = np.full((48, 64), 255, np.uint8)
    labels[0, :3] = (12, 3, 200)
    cv2.imwrite(str(mask), labels)
    with pytest.raises(SourceError, match=r'003\.png has the ids \[12, 200\], which are neither'):
        images[3]


def test_street_frames_are_shrunk_like_the_engine_does() -> None:
    frame = StreetClip(seed=2000).frame(0)
    image, labels = Street('val', (96, 160))[0]
    expected = cv2.resize(frame.image, (160, 96), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(labels, resize_labels(frame.labels, (96, 160)))


def test_image_and_labels_stay_together(small_config: TrainConfig, camvid_folder: Path) -> None:
    """The red channel of the test images tells the class, wherever the crop went."""
    images = CamVid(camvid_folder, 'train')
    config = replace(small_config, color_jitter=0.0, scale_range=(0.5, 2.0))
    for seed in range(20):
        image, labels = images[seed % 6]
        soft = np.repeat((labels * 7)[..., None], 11, axis=-1)  # wraps at 255, as red does not
        soft[labels == 255] = 0
        image, labels, soft_crop = augment(
            Sample(image, labels, soft), config, np.random.default_rng(seed)
        )
        assert image.shape == (32, 48, 3)
        valid = labels != 255
        assert soft_crop is not None
        assert soft_crop.shape == (32, 48, 11)
        assert (np.abs(soft_crop[..., 5].astype(int) - labels * 7)[valid] <= 1).mean() > 0.8
        # resizing blends block edges, jitter of strength 0 is exact
        agree = np.abs(image[..., 0].astype(int) - labels * 7)[valid] <= 1
        assert agree.mean() > 0.8


def test_small_images_are_padded_with_ignore(small_config: TrainConfig) -> None:
    image, labels = np.full((8, 8, 3), 9, np.uint8), np.zeros((8, 8), np.uint8)
    config = replace(small_config, scale_range=(1.0, 1.0))
    soft = np.full((8, 8, 11), 23, np.uint8)
    padded, ids, probabilities = resize_and_crop(
        Sample(image, labels, soft), config, np.random.default_rng(0)
    )
    assert probabilities is not None
    assert (probabilities[:8, :8] == 23).all()
    assert probabilities.sum() == soft.sum()
    assert (ids[:8, :8] == 0).all()
    assert (ids == 255).sum() == 32 * 48 - 64
    assert padded[8:].max() == 0


@pytest.mark.parametrize('degrees', [-30.0, 10.0])
def test_a_turned_sample_keeps_picture_labels_and_teacher_together(degrees: float) -> None:
    labels = np.zeros((80, 120), np.uint8)
    labels[20:30, 70:90] = 9
    image = cv2.cvtColor(20 * labels, cv2.COLOR_GRAY2RGB).astype(np.uint8) + np.uint8(50)
    soft = np.zeros((40, 60, 11), np.uint8)
    soft[10:15, 35:45, 9] = 255
    turned, point = rotate(Sample(image, labels, soft), degrees, (25, 80))
    assert point is not None
    assert turned.labels[point] == 9
    inside = turned.labels != 255
    np.testing.assert_array_equal(np.unique(turned.labels), [0, 9, 255])
    assert turned.image[~inside].mean() < 10  # black, but for the seam
    sure = cv2.erode((turned.labels == 9).astype(np.uint8), np.ones((3, 3)))
    assert sure.sum() > 100
    assert (turned.image[sure == 1] == 230).all()
    assert turned.soft is not None
    small = sure[::2, ::2] == 1
    assert (turned.soft[small, 9] > 100).all()
    assert (turned.soft.sum((0, 1)) > 0).tolist() == [number == 9 for number in range(11)]
    # Counter-clockwise: what is right of the middle goes up.
    assert (np.nonzero(turned.labels == 9)[0].mean() < 25) == (degrees > 0)


def test_a_wanted_pixel_that_a_turn_drives_out_stays_at_the_border() -> None:
    sample = Sample(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8))
    _, point = rotate(sample, 20.0, (0, 59))
    assert point is not None
    assert point[0] == 0
    assert 0 <= point[1] <= 59
    assert rotate(sample, 20.0)[1] is None


def test_half_of_the_samples_are_turned(small_config: TrainConfig) -> None:
    size = (60, 80)
    sample = Sample(np.full((*size, 3), 200, np.uint8), np.zeros(size, np.uint8))
    config = replace(
        small_config, color_jitter=0.0, scale_range=(1.0, 1.0), crop_size=size, rotation=20.0
    )
    corners = np.array(
        [
            (augment(sample, config, np.random.default_rng(s)).labels == 255).mean()
            for s in range(200)
        ]
    )
    assert 0.4 < (corners == 0).mean() < 0.65  # a turn of less than a degree opens none
    assert 0.1 < corners.max() < 0.3


def test_only_the_asked_share_of_samples_is_blurred(small_config: TrainConfig) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    sample = Sample(noise, np.arange(48 * 64).reshape(48, 64).astype(np.uint8))
    plain = replace(small_config, color_jitter=0.0, scale_range=(1.0, 1.0))
    config = replace(plain, blur=0.4)
    spreads = []
    for seed in range(200):
        made, as_it_was = (
            augment(sample, settings, np.random.default_rng(seed)) for settings in (config, plain)
        )
        np.testing.assert_array_equal(made.labels, as_it_was.labels)
        spreads.append(made.image.std() / as_it_was.image.std())
    blurred = np.array(spreads) < 0.98  # those of less than a third of a pixel do nothing
    assert 0.2 < blurred.mean() < 0.45
    assert min(spreads) < 0.4


def test_only_the_asked_share_of_samples_is_darkened(small_config: TrainConfig) -> None:
    sample = Sample(np.full((48, 64, 3), 200, np.uint8), np.zeros((48, 64), np.uint8))
    config = replace(small_config, color_jitter=0.0, scale_range=(1.0, 1.0), night=0.3)
    means = np.array(
        [augment(sample, config, np.random.default_rng(s)).image.mean() for s in range(200)]
    )
    assert ((means > 195) | (means < 150)).all()
    assert 0.2 < (means < 150).mean() < 0.4


def test_samples_depend_on_seed_epoch_and_position_only(
    small_config: TrainConfig, camvid_folder: Path
) -> None:
    images = CamVid(camvid_folder, 'train')
    first, second = (AugmentedImages(TrainingSet(images), small_config) for _ in range(2))
    second[Draw(0, 3, 3)]
    draw = Draw(epoch=1, position=2, image=2)
    torch.testing.assert_close(first[draw], second[draw])
    assert [part.dtype for part in first[draw]] == [torch.uint8] * 3, 'bytes travel fastest'
    assert not torch.equal(first[draw][0], first[Draw(2, 2, 2)][0])
    uniform = [first[Draw(1, position, 2, (20, 30))][0] for position in (2, 3)]
    assert not torch.equal(*uniform)


def test_the_sampler_continues_in_the_middle_of_an_epoch(small_config: TrainConfig) -> None:
    sampler = EpochSampler(11, small_config)
    whole = list(sampler.samples(4))
    assert len(whole) == len(sampler) == 10
    assert [draw.position for draw in whole] == list(range(10))
    assert {draw.epoch for draw in whole} == {4}
    assert len({draw.image for draw in whole}) == 10
    assert list(sampler.samples(4, 3)) == whole[6:]
    assert sampler.joint_batch(4, 3) == whole[6:8]
    assert [draw.image for draw in sampler.samples(5)] != [draw.image for draw in whole]


def test_the_rest_of_a_run_is_one_epoch_after_the_other(small_config: TrainConfig) -> None:
    sampler = EpochSampler(11, small_config)
    rest = RestOfRun(sampler, epochs=6)
    rest.epoch, rest.first_batch = 4, 3
    assert list(rest) == [*sampler.samples(4, 3), *sampler.samples(5)]
    rest.epoch = 6
    assert not list(rest)


def test_the_last_epochs_are_not_class_uniform(small_config: TrainConfig) -> None:
    config = replace(small_config, epochs=10, class_uniform=1.0, class_uniform_share=0.8)
    sampler = EpochSampler(8, config, [[Centroid(3, 5, 6)]])
    assert [draw[2:] for draw in sampler.samples(7)] == [(3, (5, 6))] * 8
    assert {draw.contain for draw in sampler.samples(8)} == {None}


def test_the_extent_of_a_picture_goes_where_the_picture_goes(small_config: TrainConfig) -> None:
    """A white picture is its own extent: black in the corners of its turn and beyond it."""
    white, labels = np.full((48, 64, 3), 255, np.uint8), np.full((48, 64), 255, np.uint8)
    config = replace(small_config, color_jitter=0.0, scale_range=(0.4, 1.0), rotation=20.0)
    shares = []
    for seed in range(20):
        sample = Sample(white, labels, picture_extent(labels))
        image, _, extent = augment(sample, config, np.random.default_rng(seed))
        assert extent is not None
        np.testing.assert_array_equal(extent, image[..., :1])
        shares.append((extent > 0).mean())
    assert min(shares) < 0.6
    assert max(shares) > 0.9


@pytest.mark.parametrize(('cache', 'channels'), [(True, 0), (False, 1)])
def test_a_teacher_that_is_asked_anew_learns_where_the_picture_is(
    small_config: TrainConfig,
    camvid_folder: Path,
    cache: bool,  # noqa: FBT001  # from the table
    channels: int,
) -> None:
    asked = DistillationConfig(teacher=('run',), cache=cache, pixel=1.0)
    images = TrainingSet(CamVid(camvid_folder, 'train'))
    plain = AugmentedImages(images, small_config)[Draw(1, 2, 2)]
    ours = AugmentedImages(images, replace(small_config, distillation=asked))[Draw(1, 2, 2)]
    torch.testing.assert_close(ours[:2], plain[:2], rtol=0, atol=0)
    assert ours[2].shape == (channels, 32, 48)


@pytest.mark.parametrize('corner', [(0, 0), (0, 63), (47, 0), (47, 63), (20, 30)])
def test_a_crop_contains_the_pixel_asked_for(
    small_config: TrainConfig, corner: tuple[int, int]
) -> None:
    labels = np.zeros((48, 64), np.uint8)
    labels[corner] = 1
    sample = Sample(np.zeros((48, 64, 3), np.uint8), labels)
    config = replace(small_config, scale_range=(1.0, 2.0), crop_size=(16, 16))
    for seed in range(50):
        crop = resize_and_crop(sample, config, np.random.default_rng(seed), corner)
        assert crop.labels.shape == (16, 16)
        assert (crop.labels == 1).any()
