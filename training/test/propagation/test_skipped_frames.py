# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frames at which no sample is made, and the reasons."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest

from vidseg_training.cli import main
from vidseg_training.propagation.manifest import read_manifest, sample_file
from vidseg_training.propagation.propagate import propagate_clip, PropagationJob

Job = Callable[..., PropagationJob]


def records_of(job: PropagationJob) -> dict[str, dict[str, Any]]:
    return read_manifest(job.out / 'drive' / 'manifest.jsonl')[1]


def skips(job: PropagationJob) -> Counter[str]:
    summary = propagate_clip(job)
    assert summary.made == 8 - summary.skipped.total()
    return summary.skipped


def test_a_missing_frame_ends_the_way_to_those_beyond(job: Job, clip_folder: Path) -> None:
    (clip_folder / 'drive_0016.png').unlink()
    this = job(offset=4, accumulate=True)
    assert skips(this) == {'missing': 3}  # +2, +3, +4
    reasons = {name: record.get('skipped') for name, record in records_of(this).items()}
    assert reasons['drive_0014_+01'] is None
    assert reasons['drive_0014_+03'] == 'missing'


def test_an_unreadable_frame_is_counted(job: Job, clip_folder: Path) -> None:
    (clip_folder / 'drive_0012.png').write_bytes(b'no image')
    assert skips(job(offset=4, accumulate=True)) == {'unreadable': 3}


@pytest.mark.parametrize('is_folder', [False, True])
def test_a_frame_whose_file_cannot_be_read_is_counted_too(
    job: Job, clip_folder: Path, *, is_folder: bool
) -> None:
    frame = clip_folder / 'drive_0012.png'
    data = frame.read_bytes()
    frame.unlink()
    if is_folder:
        frame.mkdir()
    else:
        frame.symlink_to(clip_folder / 'gone')
    this = job(offset=4, accumulate=True)
    assert skips(this) == {'unreadable': 3}
    if is_folder:
        frame.rmdir()
    else:
        frame.unlink()
    frame.write_bytes(data)
    assert propagate_clip(this).made == 3, 'once it can be read there are samples'


def test_an_unreadable_labelled_frame_has_no_samples(job: Job, clip_folder: Path) -> None:
    (clip_folder / 'drive_0014.png').write_bytes(b'no image')
    assert skips(job(offset=4, accumulate=True)) == {'unreadable': 8}


def test_a_frame_of_another_size_is_counted(job: Job, clip_folder: Path) -> None:
    cv2.imwrite(str(clip_folder / 'drive_0017.png'), np.full((20, 30, 3), 90, np.uint8))
    assert skips(job(offset=4, accumulate=True)) == {'other size': 2}


def test_a_black_frame_is_counted(job: Job, clip_folder: Path) -> None:
    cv2.imwrite(str(clip_folder / 'drive_0013.png'), np.zeros((40, 60, 3), np.uint8))
    assert skips(job(offset=4, accumulate=True)) == {'black': 4}


def test_a_scene_cut_ends_the_way(job: Job, clip_folder: Path) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (40, 60, 3), np.uint8)
    cv2.imwrite(str(clip_folder / 'drive_0017.png'), noise)
    assert skips(job(offset=4, accumulate=True)) == {'scene cut': 2}


def test_a_repeated_frame_has_no_sample_but_those_beyond_have(job: Job, clip_folder: Path) -> None:
    (clip_folder / 'drive_0016.png').write_bytes((clip_folder / 'drive_0015.png').read_bytes())
    assert skips(job(offset=4, accumulate=True)) == {'identical': 1}


def test_an_offset_beyond_the_clip_is_counted(job: Job) -> None:
    assert propagate_clip(job(offset=5)).skipped == {'beyond the clip': 2}


@pytest.fixture
def label(tiny_clip: ModuleType, label_folder: Path) -> Callable[[int], Path]:
    """Return what writes the label map of a frame."""

    def write(frame: int) -> Path:
        path = label_folder / f'drive_{10 + frame:04d}.png'
        cv2.imwrite(str(path), tiny_clip.cut_out(tiny_clip.scene()[1], frame))
        return path

    return write


def test_frames_that_are_all_labelled_are_no_neighbours_of_each_other(
    job: Job,
    tiny_clip: ModuleType,
    label: Callable[[int], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in a data set that has the labelled frames alone, a second apart."""

    def asked(*_: object) -> NoReturn:
        raise AssertionError

    for frame in range(tiny_clip.FRAMES):
        label(frame)
    summary = propagate_clip(this := job(motion=asked, offset=1))
    assert (summary.labelled, summary.made) == (9, 0)
    assert summary.skipped == {'labelled itself': 16, 'beyond the clip': 2}
    assert propagate_clip(this).skipped == summary.skipped
    words = ['propagate', this.clip.path, '--labels', str(this.labels)]
    assert main([*words, '--out', str(this.out / 'other')]) == 2
    said = capsys.readouterr().err
    assert 'not one sample was made: 2 beyond the clip, 16 labelled itself' in said


def test_beyond_a_labelled_frame_samples_are_made(
    job: Job, tiny_clip: ModuleType, label: Callable[[int], Path]
) -> None:
    label(6)
    this = job(offset=4, accumulate=True)
    summary = propagate_clip(this)
    assert summary.skipped == {'labelled itself': 2, 'beyond the clip': 2}
    records = records_of(this)
    assert records['drive_0014_+02']['skipped'] == 'labelled itself'
    assert records['drive_0016_-02']['skipped'] == 'labelled itself'
    found = cv2.imread(
        str(this.out / 'drive' / sample_file('labels', 'drive_0014_+03')), cv2.IMREAD_UNCHANGED
    )
    assert found is not None
    truth = tiny_clip.cut_out(tiny_clip.scene()[1], 7)
    np.testing.assert_array_equal(found[:, :-6], truth[:, :-6])


def test_a_label_map_comes_and_goes(job: Job, label: Callable[[int], Path]) -> None:
    this = job(offset=1)
    assert propagate_clip(this).made == 2
    path = label(5)
    assert propagate_clip(this).skipped == {'labelled itself': 2}
    path.unlink()
    summary = propagate_clip(this)
    assert (summary.made, summary.kept) == (1, 1)
    assert not summary.skipped
