# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import hashlib
from pathlib import Path
import pickle

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.clip_frames import ClipFrames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return frames 2, 3, 4, 6 of one sequence and 9 of another, 96x128; n has level n."""
    folder = tmp_path / 'drive'
    folder.mkdir()
    for name, level in (('a_2', 2), ('a_3', 3), ('a_4', 4), ('a_6', 6), ('b_9', 9)):
        cv2.imwrite(str(folder / f'{name}.png'), np.full((96, 128, 3), level, np.uint8))
    return folder


def _write_video(path: Path) -> Path:
    """Write 4 frames of 40x80; n has level 60 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (80, 40))
    for index in range(4):
        writer.write(np.full((40, 80, 3), 60 * index, np.uint8))
    writer.release()
    return path


def test_frames_of_all_clips_by_one_index(folder: Path, camvid_folder: Path) -> None:
    frames = ClipFrames([folder], CamVid(camvid_folder, 'train'))
    assert frames.size == (48, 64)
    assert [index for index in range(len(frames)) if not frames.has(index)] == [3]
    assert frames.bounds == [(0, 4)] * 5 + [(5, 5)]
    image, labels = frames[4]
    assert image.shape == (48, 64, 3)
    assert np.unique(image).tolist() == [6]
    assert labels.shape == (48, 64)
    assert np.unique(labels).tolist() == [255]


def test_frames_with_the_name_of_a_labelled_image_have_its_labels(camvid_folder: Path) -> None:
    labelled = CamVid(camvid_folder, 'train')
    frames = ClipFrames([camvid_folder / 'train'], labelled)
    assert all(frames.labelled(index) for index in range(6))
    np.testing.assert_array_equal(frames[4][0], labelled[4][0])
    np.testing.assert_array_equal(frames[4][1], labelled[4][1])


class _NamedByFolder:
    """Two images whose file names are the same, as in VSPW; labels are 1 and 2."""

    label_set = CAMVID
    names = ('one/7.jpg', 'two/7.jpg')

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 1 + index, np.uint8)


def test_of_a_folder_of_folders_each_is_a_clip(tmp_path: Path) -> None:
    for folder in ('one', 'two', 'three'):
        (tmp_path / folder / 'origin').mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / 'origin' / '7.png'), np.zeros((8, 8, 3), np.uint8))
        (tmp_path / folder / 'mask').mkdir()  # of VSPW; no clip
        cv2.imwrite(str(tmp_path / folder / 'mask' / '7.png'), np.zeros((8, 8), np.uint8))
    frames = ClipFrames([tmp_path], _NamedByFolder())
    assert frames.bounds == [(0, 0), (1, 1), (2, 2)]
    labels = [int(frames[index][1].max()) for index in range(3)]
    assert labels == [1, 255, 2]  # one, three, two


def test_other_clips_have_another_fingerprint(folder: Path, camvid_folder: Path) -> None:
    labelled = CamVid(camvid_folder, 'train')
    before = ClipFrames([folder], labelled).fingerprint
    assert ClipFrames([folder], labelled).fingerprint == before
    file = max(folder.glob('*.png'))
    file.rename(file.with_name(f'x{file.name}'))
    assert ClipFrames([folder], labelled).fingerprint != before


def test_clips_are_told_apart_by_what_they_show_and_not_by_where_they_are(
    camvid_folder: Path, tmp_path: Path
) -> None:
    """Two drives whose folders and files have the same names, as all of VSPW's."""
    labelled = CamVid(camvid_folder, 'train')
    texture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for drive, level in (('A', 1), ('B', 2)):
        for kind, packing in (('small', 9), ('large', 0)):  # all of the latter have one size
            folder = tmp_path / drive / kind
            folder.mkdir(parents=True)
            for index in range(3):
                picture, way = texture // (level + index), (cv2.IMWRITE_PNG_COMPRESSION, packing)
                cv2.imwrite(str(folder / f'{index}.png'), picture, way)
    for kind in ('small', 'large'):
        one, other = (ClipFrames([tmp_path / drive / kind], labelled) for drive in 'AB')
        assert one.names == other.names
        assert one.fingerprint != other.fingerprint
    both = ClipFrames([tmp_path / 'A'], labelled).fingerprint
    (tmp_path / 'A').rename(tmp_path / 'moved')
    assert ClipFrames([tmp_path / 'moved'], labelled).fingerprint == both
    (tmp_path / 'moved' / 'small').rename(tmp_path / 'moved' / 'little')
    assert ClipFrames([tmp_path / 'moved'], labelled).fingerprint != both
    before = ClipFrames([tmp_path / 'B' / 'small'], labelled).fingerprint
    file = tmp_path / 'B' / 'small' / '1.png'
    file.write_bytes(file.read_bytes() + b' ')  # in the middle of the clip
    assert ClipFrames([tmp_path / 'B' / 'small'], labelled).fingerprint != before
    file.unlink()
    file.symlink_to('nowhere')
    frames = ClipFrames([tmp_path / 'B' / 'small'], labelled)  # complains when it is read
    assert frames.fingerprint != before


def test_a_video_is_known_by_its_content(camvid_folder: Path, tmp_path: Path) -> None:
    """What a teacher said of videos in runs of the past counts on this very fingerprint."""
    video = _write_video(tmp_path / 'drive.avi')
    content = hashlib.sha256(video.read_bytes()).hexdigest()
    frames = ClipFrames([video], CamVid(camvid_folder, 'train'))
    assert frames.fingerprint == hashlib.sha256(f'{content} 0'.encode()).hexdigest()


def test_a_video_is_decoded_once_at_the_size_of_the_images(
    camvid_folder: Path, tmp_path: Path
) -> None:
    video = _write_video(tmp_path / 'drive.avi')
    frames = ClipFrames([video], CamVid(camvid_folder, 'train'))
    video.unlink()
    assert len(frames) == 4
    assert frames[2][0].shape == (48, 64, 3)
    assert frames[2][0].mean() == pytest.approx(120, abs=3)
    assert not frames.labelled(2)
    sent = pickle.dumps(frames)  # to each process that loads data
    assert len(sent) < 4 * 48 * 64 * 3 / 2
    again = pickle.loads(sent)  # noqa: S301  # our own
    np.testing.assert_array_equal(again[2][0], frames[2][0])


def test_frames_are_named_for_people(folder: Path, camvid_folder: Path, tmp_path: Path) -> None:
    _write_video(tmp_path / 'drive.avi')
    (tmp_path / 'many' / '7').mkdir(parents=True)
    folder.rename(tmp_path / 'many' / '7' / 'origin')  # as all clips of VSPW are called
    places = [tmp_path / 'drive.avi', tmp_path / 'many']
    frames = ClipFrames(places, CamVid(camvid_folder, 'train'))
    assert frames.describe((0, 1, 2)) == 'drive.avi 000000 000001 000002'
    assert frames.describe((5, 6)) == 'many/7/origin a_3 a_4'
    assert frames.describe((9,)) == 'many/7/origin b_9'


def test_a_damaged_image_is_named(folder: Path, camvid_folder: Path) -> None:
    (folder / 'a_3.png').write_bytes(b'no picture')
    frames = ClipFrames([folder], CamVid(camvid_folder, 'train'))
    with pytest.raises(SourceError, match='cannot read frame a_3 of the clip drive_a: remove it'):
        frames[1]


def test_a_missing_clip_is_named(camvid_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'no clip at .*nowhere'):
        ClipFrames([tmp_path / 'nowhere'], CamVid(camvid_folder, 'train'))
