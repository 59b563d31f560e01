# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_training.data.clips import describe_faults, read_scenes


def _copy(clip: Path, folder: Path) -> Path:
    shutil.copytree(clip, folder)
    return folder


def _replace(folder: Path, index: int, image: object) -> None:
    cv2.imwrite(str(folder / f'drive_{index:03}.png'), np.asarray(image, np.uint8))


def test_a_clip_without_faults_is_one_scene(moving_clip: Path) -> None:
    scenes, faults = read_scenes([str(moving_clip)], 72)
    assert [len(scene.frames) for scene in scenes] == [12]
    assert faults == {str(moving_clip): Counter()}
    expected = cv2.imread(str(moving_clip / 'drive_004.png'), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(scenes[0].frames[4], expected[..., ::-1])


def test_frames_are_shrunk_and_never_enlarged(moving_clip: Path) -> None:
    assert read_scenes([str(moving_clip)], 36)[0][0].frames[0].shape == (36, 48, 3)
    assert read_scenes([str(moving_clip)], 500)[0][0].frames[0].shape == (72, 96, 3)


def test_what_has_no_motion_is_left_out_and_counted(moving_clip: Path, tmp_path: Path) -> None:
    folder = _copy(moving_clip, tmp_path / 'clip')
    shutil.copy(folder / 'drive_001.png', folder / 'drive_002.png')
    _replace(folder, 5, np.zeros((72, 96, 3)))
    (folder / 'drive_009.png').write_bytes(b'no picture')
    scenes, faults = read_scenes([str(folder)], 72)
    # 0 1 3 4 | 6 7 8 | 10 11, of which the last is too short.
    assert [len(scene.frames) for scene in scenes] == [4, 3]
    assert faults[str(folder)] == Counter({'identical': 1, 'black': 1, 'unreadable': 1})
    assert describe_faults(faults[str(folder)]) == 'identical: 1, black: 1, unreadable: 1'


def test_windows_do_not_cross_a_cut_nor_a_missing_frame(moving_clip: Path, tmp_path: Path) -> None:
    folder = _copy(moving_clip, tmp_path / 'clip')
    other = np.random.default_rng(1).integers(0, 255, (72, 96, 3))
    for index in (4, 5, 6):  # another scene
        _replace(folder, index, np.roll(other, index, 1))
    (folder / 'drive_008.png').unlink()
    scenes, faults = read_scenes([str(folder)], 72)
    assert [len(scene.frames) for scene in scenes] == [4, 3, 3]
    assert faults[str(folder)] == Counter({'scene cut': 2, 'missing': 1})


def test_frames_of_another_size_are_another_scene(moving_clip: Path, tmp_path: Path) -> None:
    folder = _copy(moving_clip, tmp_path / 'clip')
    for index in range(7, 12):
        frame = cv2.imread(str(folder / f'drive_{index:03}.png'), cv2.IMREAD_COLOR)
        assert frame is not None
        _replace(folder, index, frame[:, :70])
    scenes, faults = read_scenes([str(folder)], 72)
    assert [len(scene.frames) for scene in scenes] == [7, 5]
    assert faults[str(folder)] == Counter({'other size': 1})


def test_a_frame_of_half_the_size_is_another_scene(moving_clip: Path, tmp_path: Path) -> None:
    folder = _copy(moving_clip, tmp_path / 'clip')
    frame = cv2.imread(str(folder / 'drive_004.png'), cv2.IMREAD_COLOR)
    assert frame is not None
    _replace(folder, 4, cv2.resize(frame, (48, 36), interpolation=cv2.INTER_AREA))
    scenes, faults = read_scenes([str(folder)], 72)
    assert [len(scene.frames) for scene in scenes] == [4, 7]
    assert faults[str(folder)] == Counter({'other size': 2})


def test_a_path_given_twice_counts_twice_and_is_read_once(moving_clip: Path) -> None:
    scenes, _ = read_scenes([str(moving_clip)] * 2, 72)
    assert len(scenes) == 2
    assert scenes[0].frames is scenes[1].frames


def test_nothing_to_learn_from_is_refused(moving_clip: Path, tmp_path: Path) -> None:
    for index in (0, 1):
        shutil.copy(moving_clip / f'drive_{index:03}.png', tmp_path)
    with pytest.raises(SourceError, match=r'no 3 consecutive frames .*\(all frames used\)'):
        read_scenes([str(tmp_path)], 72)
    with pytest.raises(SourceError, match='no clip at nowhere'):
        read_scenes(['nowhere.mp4'], 72)
