# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_ros.core.metrics import Confusion
from vidseg_training.config import TrainConfig
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.footage import WithFootage
from vidseg_training.distillation import (
    distillation_loss,
    SOFT_LABELS,
    soft_labels,
    Teacher,
)
from vidseg_training.fitting import run
from vidseg_training.networks.fddwnet import FDDWNet


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return a file of random weights in the published layout."""
    torch.manual_seed(0)
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': FDDWNet(len(CITYSCAPES)).state_dict()}, path)
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Return a video of 7 frames of 80x40; frame n is grey of level 30 n."""
    path = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (80, 40))
    for index in range(7):
        writer.write(np.full((40, 80, 3), 30 * index, np.uint8))
    writer.release()
    return path


def test_the_loss_is_the_cross_entropy_of_the_pixels_with_probabilities() -> None:
    logits = torch.tensor([[[[2.0, 0.0]], [[0.0, 1.0]]]])  # 1 2 1 2
    soft = torch.tensor([[[[51, 0]], [[204, 0]]]], dtype=torch.uint8)  # 0.2 and 0.8; none
    q = F.log_softmax(torch.tensor([2.0, 0.0]), 0)
    expected = -(0.2 * q[0] + 0.8 * q[1])
    torch.testing.assert_close(distillation_loss(logits, soft), expected)


def test_the_gradient_is_that_of_the_kl_divergence() -> None:
    logits = torch.randn(2, 5, 3, 4, requires_grad=True)
    soft = (torch.rand(2, 5, 3, 4).softmax(1) * 255).round().to(torch.uint8)
    target = soft.float() / 255
    distillation_loss(logits, soft).backward()
    mine = logits.grad
    logits.grad = None
    kl = F.kl_div(logits.log_softmax(1), target, reduction='sum') / target.sum()
    kl.backward()
    torch.testing.assert_close(mine, logits.grad)


def test_no_probabilities_give_zero_with_a_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = distillation_loss(logits, torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_frames_of_video_come_after_the_images_without_labels(
    camvid_folder: Path, video: Path
) -> None:
    labelled = CamVid(camvid_folder, 'train')
    images = WithFootage(labelled, [video, video], 3)
    assert len(images) == 6 + 2 * 3  # frames 0, 3, 6 of each
    np.testing.assert_array_equal(images[5][0], labelled[5][0])
    image, labels = images[7]
    assert image.shape == (48, 64, 3)
    assert abs(float(image.mean()) - 90) < 4
    assert (labels == 255).all()
    originals = list(images.originals())
    assert len(originals) == 12
    assert originals[7].shape == (40, 80, 3)
    np.testing.assert_array_equal(originals[5], labelled[5][0])


def test_an_unreadable_video_is_named(camvid_folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'drive.mp4').write_bytes(b'no video')
    with pytest.raises(SourceError, match=r'cannot read video .*drive\.mp4'):
        WithFootage(CamVid(camvid_folder, 'train'), [tmp_path / 'drive.mp4'], 1)


def test_a_teacher_that_cannot_be_read_is_named(camvid_folder: Path, tmp_path: Path) -> None:
    for call in (
        lambda path: Teacher(path, 96),
        lambda path: soft_labels(
            path, 96, WithFootage(CamVid(camvid_folder, 'train'), [], 1), tmp_path
        ),
    ):
        with pytest.raises(
            SourceError, match=r'cannot (read the weights|load the teacher) .*nothing\.pth'
        ):
            call(tmp_path / 'nothing.pth')


def test_soft_labels_are_made_once_and_kept(
    camvid_folder: Path, video: Path, weights: Path, tmp_path: Path
) -> None:
    images = WithFootage(CamVid(camvid_folder, 'train'), [video], 3)
    soft = soft_labels(weights, 96, images, tmp_path)
    said = np.stack([soft[index] for index in range(len(soft))])
    assert said.shape == (9, 48, 64, 11)
    assert np.abs(said.sum(axis=-1, dtype=int) - 255).max() <= 6  # rounding of 11 shares
    last = list(images.originals())[8]
    expected = Teacher(weights, 96).probabilities(last, (48, 64))
    np.testing.assert_array_equal(soft[8], expected)
    made = (tmp_path / SOFT_LABELS).stat().st_mtime_ns
    np.testing.assert_array_equal(soft_labels(weights, 96, images, tmp_path), soft)
    assert (tmp_path / SOFT_LABELS).stat().st_mtime_ns == made


def test_soft_labels_of_another_teacher_or_of_other_images_are_refused(
    camvid_folder: Path, video: Path, weights: Path, tmp_path: Path
) -> None:
    labelled = CamVid(camvid_folder, 'train')
    images = WithFootage(labelled, [video], 3)
    soft_labels(weights, 96, images, tmp_path)
    other = tmp_path / 'other.pth'
    torch.manual_seed(1)
    torch.save({'state_dict': FDDWNet(len(CITYSCAPES)).state_dict()}, other)
    namesake = video.rename(video.with_name('second.avi'))
    for teacher, height, seen in (
        (other, 96, images),
        (weights, 48, images),
        (weights, 96, WithFootage(labelled, [], 3)),
        (weights, 96, WithFootage(labelled, [namesake], 3)),
    ):
        with pytest.raises(SourceError, match='another teacher said, or of other images'):
            soft_labels(teacher, height, seen, tmp_path)


def test_the_teacher_treats_an_image_and_its_mirror_image_alike(
    camvid_folder: Path, weights: Path
) -> None:
    image = CamVid(camvid_folder, 'train')[0][0]
    teacher = Teacher(weights, 96)
    straight = teacher.probabilities(image, (48, 64))
    mirrored = teacher.probabilities(np.ascontiguousarray(image[:, ::-1]), (48, 64))
    assert np.abs(straight.astype(int) - mirrored[:, ::-1]).max() <= 1


def test_a_run_with_a_teacher_learns_from_video_alone(
    small_config: TrainConfig, video: Path, weights: Path, tmp_path: Path
) -> None:
    config = replace(
        small_config,
        epochs=1,
        teacher=weights,
        unlabelled=(video,),
        unlabelled_step=1,
        unlabelled_licence='CC0',
    )
    run(config, tmp_path / 'run')
    assert np.load(tmp_path / 'run' / SOFT_LABELS, mmap_mode='r').shape == (13, 48, 64, 11)
    lines = (tmp_path / 'run' / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    losses = [json.loads(line)['loss'] for line in lines if 'loss' in json.loads(line)]
    assert len(losses) == 6
    run(replace(small_config, epochs=1), tmp_path / 'plain')
    lines = (tmp_path / 'plain' / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    plain = [json.loads(line)['loss'] for line in lines if 'loss' in json.loads(line)]
    assert max(losses) > 1.3 * max(plain)  # labels and teacher
    assert min(losses) > 0  # frames without labels as well


def test_the_published_teacher_knows_more_on_enlarged_images(data_dir: Path) -> None:
    images = CamVid(data_dir / 'camvid', 'val')
    scores = []
    for height in (360, 720):
        teacher = Teacher(data_dir / 'weights' / 'fddwnet_cityscapes.pth', height)
        confusion = Confusion(len(CAMVID))
        for index in range(0, len(images), 20):
            image, truth = images[index]
            soft = teacher.probabilities(image, (360, 480))
            confusion.add(truth, soft.argmax(-1).astype(np.uint8))
        scores.append(100 * confusion.miou())
    assert scores[0] > 60
    assert scores[1] > scores[0] + 4
