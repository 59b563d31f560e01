# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.evaluation.true_labels import LabelDirectory


def test_frames_are_spread_over_the_footage(tmp_path: Path) -> None:
    for number in range(24):
        cv2.imwrite(str(tmp_path / f'{number:02}.png'), np.full((4, 4, 3), (number, 0, 9)))
    (tmp_path / '03.png').write_bytes(b'damaged')
    taken = footage_samples(tmp_path, None, 'bgr8')
    assert [int(sample.image[0, 0, 0]) for sample in taken] == [0, 6, 9, 12, 15, 18, 21]
    assert all(sample.truth is None for sample in taken)
    assert footage_samples(tmp_path, None, 'rgb8')[1].image[0, 0].tolist() == [9, 0, 6]
    two = footage_samples(tmp_path, None, 'bgr8', most=2)
    assert [int(sample.image[0, 0, 0]) for sample in two] == [0, 12]


def test_the_topic_of_a_bag_can_be_chosen(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        for topic, value in (('/front', 10), ('/rear', 20)):
            image = np.full((4, 4, 3), value, np.uint8)
            bag.write_image(topic, image, encoding='rgb8', stamp_ns=1, frame_id='')
    (sample,) = footage_samples(tmp_path / 'bag', '/rear', 'rgb8')
    assert sample.image[0, 0, 0] == 20


def test_footage_without_a_good_frame(tmp_path: Path) -> None:
    (tmp_path / '0.png').write_bytes(b'damaged')
    with pytest.raises(SourceError, match=r'no frame of .* can be decoded .*neither JPEG nor PNG'):
        footage_samples(tmp_path, None, 'rgb8')


def test_true_labels_come_with_their_frames(tmp_path: Path) -> None:
    labels = LabelSet(names=('a', 'b'), colors=((0, 0, 0), (1, 1, 1)))
    for folder in ('frames', 'truth'):
        (tmp_path / folder).mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / 'frames' / f'{number}.png'), np.zeros((4, 4, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'truth' / '1.png'), np.array([[0, 1], [2, 1]], np.uint8))
    truth = LabelDirectory(tmp_path / 'truth', labels)
    first, second = footage_samples(tmp_path / 'frames', None, 'rgb8', truth)
    assert first.truth is None
    assert second.truth is not None
    assert second.truth.tolist() == [[0, 1], [255, 1]]


def test_labels_of_other_frames_are_refused(tmp_path: Path) -> None:
    labels = LabelSet(names=('a', 'b'), colors=((0, 0, 0), (1, 1, 1)))
    for folder, name in (('frames', '0.png'), ('truth', 'other.png')):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / name), np.zeros((4, 4), np.uint8))
    truth = LabelDirectory(tmp_path / 'truth', labels)
    message = r'not one of the 1 frames taken from .*frames has labels: .* named like the frames'
    with pytest.raises(SourceError, match=message):
        footage_samples(tmp_path / 'frames', None, 'rgb8', truth)
