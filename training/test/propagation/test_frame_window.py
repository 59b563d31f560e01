# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_training.propagation.clip import Clip, list_clips
from vidseg_training.propagation.frame_window import FrameWindow


def window(folder: Path, reach: int = 8) -> tuple[FrameWindow, Clip]:
    clip = list_clips(str(folder))[0].open(0)
    return FrameWindow(clip, reach, 16.0), clip


@pytest.mark.parametrize(
    ('source', 'distance', 'count', 'expected'),
    [
        (4, 1, 2, [5, 6]),
        (4, -1, 2, [3, 2]),
        (4, -2, 3, [2, 0]),  # the clip ends
        (8, 1, 1, []),
        (4, 3, 0, []),
    ],
)
def test_past_frames_are_as_far_apart_as_source_and_target(
    clip_folder: Path, source: int, distance: int, count: int, expected: list[int]
) -> None:
    frames = window(clip_folder)[0].past(source, distance, count)
    assert [frame.position for frame in frames] == expected


def test_past_frames_end_at_a_fault(clip_folder: Path) -> None:
    (clip_folder / 'drive_0012.png').unlink()
    here, _ = window(clip_folder)
    assert [frame.position for frame in here.past(4, -1, 3)] == [3]
    assert here.past(4, -4, 1) == []  # a cut could be in the gap
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    cv2.imwrite(str(clip_folder / 'drive_0016.png'), noise)
    assert [frame.position for frame in window(clip_folder)[0].past(4, 1, 3)] == [5]


def test_frames_are_decoded_once_and_forgotten_out_of_reach(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, clip = window(clip_folder, reach=2)
    read: list[int] = []
    original = clip.read
    monkeypatch.setattr(
        clip, 'read', lambda position: [read.append(position), original(position)][1]
    )
    for _ in range(2):
        assert here[3].position == 3
    assert here.step(3, 4) is None
    assert here.step(4, 3) is None
    assert read == [3, 4]
    here.move(5)
    assert here[3].position == 3
    assert read == [3, 4]
    here.move(6)
    assert here[3].position == 3
    assert read == [3, 4, 3]


def test_problems_have_names(clip_folder: Path) -> None:
    (clip_folder / 'drive_0012.png').unlink()
    (clip_folder / 'drive_0013.png').write_bytes(b'no image')
    here, _ = window(clip_folder)
    size = here[4].image.shape
    found = [here.problem(position, size) for position in (-1, 9, 2, 3, 4)]
    assert found == ['beyond the clip', 'beyond the clip', 'missing', 'unreadable', None]
    assert here.problem(4, (1, 2, 3)) == 'other size'
    assert here.step(2, 3) == 'missing'
    assert here.step(3, 4) == 'unreadable'
