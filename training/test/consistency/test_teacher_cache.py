# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
import errno
import json
import os
from pathlib import Path
import pickle

import numpy as np
from numpy.typing import NDArray
import pytest
import torch

from vidseg_ros.core.errors import OutputError, SourceError
from vidseg_training.consistency import teacher_cache
from vidseg_training.consistency.class_mapping import ClassMapping
from vidseg_training.consistency.teacher_cache import (
    _Draft,
    keep_probabilities,
    resize_probabilities,
    whole_image,
)
from vidseg_training.consistency.teachers import MappedTeacher

SHAPE = (3, 2, 2, 4)


def _answers(first: int) -> Iterator[NDArray[np.uint8]]:
    return (np.full(SHAPE[1:], index, np.uint8) for index in range(first, 3))


def _no_answers(_first: int) -> Iterator[NDArray[np.uint8]]:
    pytest.fail('the teacher is asked again')


def test_a_teacher_is_asked_once(tmp_path: Path) -> None:
    path = tmp_path / 'teacher.npy'
    said = keep_probabilities(path, {'teacher': 'x'}, SHAPE, _answers)
    assert [int(said[index][0, 0, 0]) for index in range(len(said))] == [0, 1, 2]
    again = keep_probabilities(path, {'teacher': 'x'}, SHAPE, _no_answers)
    np.testing.assert_array_equal(again, said)


def test_another_process_gets_the_path_and_not_the_answers(tmp_path: Path) -> None:
    shape = (3, 50, 60, 4)
    answers = (np.full(shape[1:], index, np.uint8) for index in range(3))
    said = keep_probabilities(tmp_path / 'teacher.npy', {}, shape, lambda _: answers)
    pickled = pickle.dumps(said)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled)[2], said[2])  # noqa: S301  # ours


def test_what_another_teacher_said_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'teacher.npy'
    keep_probabilities(path, {'teacher': 'x'}, SHAPE, _answers)
    for origin, shape in (({'teacher': 'y'}, SHAPE), ({'teacher': 'x'}, (2, *SHAPE[1:]))):
        with pytest.raises(SourceError, match='another teacher said, or of other images; choose'):
            keep_probabilities(path, origin, shape, _answers)
    (tmp_path / 'teacher.npy.json').unlink()
    with pytest.raises(SourceError, match='another teacher said'):
        keep_probabilities(path, {'teacher': 'x'}, SHAPE, _answers)


def _interrupted(_first: int) -> Iterator[NDArray[np.uint8]]:
    yield np.full(SHAPE[1:], 7, np.uint8)
    raise KeyboardInterrupt


def test_a_teacher_that_was_interrupted_goes_on_where_it_stood(tmp_path: Path) -> None:
    path = tmp_path / 'teacher.npy'
    with pytest.raises(KeyboardInterrupt):
        keep_probabilities(path, {'teacher': 'x'}, SHAPE, _interrupted)
    assert not path.exists()
    said = keep_probabilities(path, {'teacher': 'x'}, SHAPE, _answers)
    assert [int(said[index].max()) for index in range(3)] == [7, 1, 2]
    assert {each.name for each in tmp_path.iterdir()} == {'teacher.npy', 'teacher.npy.json'}


@pytest.mark.parametrize(
    'change', ['teacher', 'images', 'note', 'half a note', 'no file', 'no header', 'cut short']
)
def test_what_was_left_of_something_else_is_no_beginning(tmp_path: Path, change: str) -> None:
    path, origin, shape = tmp_path / 'teacher.npy', {'teacher': 'x'}, SHAPE
    with pytest.raises(KeyboardInterrupt):
        keep_probabilities(
            path, origin, (4, *SHAPE[1:]) if change == 'images' else SHAPE, _interrupted
        )
    partial, note = (tmp_path / f'teacher.npy.0.partial{end}' for end in ('', '.json'))
    if change == 'teacher':
        origin = {'teacher': 'y'}
    elif change == 'note':
        note.write_text('[]', encoding='utf-8')
    elif change == 'half a note':
        note.write_bytes(note.read_bytes()[:20])
    elif change == 'no file':
        partial.unlink()
    elif change == 'no header':
        partial.write_bytes(partial.read_bytes()[:60])
    elif change == 'cut short':
        partial.write_bytes(partial.read_bytes()[:-10])
    said = keep_probabilities(path, origin, shape, _answers)
    assert [int(said[index].max()) for index in range(3)] == [0, 1, 2]


def test_a_teacher_that_was_killed_has_lost_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a draft noted on its way is there without its end."""
    monkeypatch.setattr(teacher_cache, '_NOTED', 1)
    monkeypatch.setattr(_Draft, 'finish', lambda *_: pytest.fail('not yet'))

    def watched(first: int) -> Iterator[NDArray[np.uint8]]:
        for answer in _answers(first):
            yield answer
            note = (tmp_path / 'teacher.npy.0.partial.json').read_text(encoding='utf-8')
            noted.append(json.loads(note)['done'])

    noted: list[int] = []
    with pytest.raises(pytest.fail.Exception):
        keep_probabilities(tmp_path / 'teacher.npy', {}, SHAPE, watched)
    assert noted == [1, 2, 3]


def test_nothing_is_left_of_a_teacher_without_an_answer(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception):
        keep_probabilities(tmp_path / 'teacher.npy', {}, SHAPE, _no_answers)
    assert list(tmp_path.iterdir()) == []


def test_sizes_of_probabilities_by_hand() -> None:
    fine = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    assert resize_probabilities(fine, (1, 1)).item() == 0.5
    assert resize_probabilities(fine, (2, 2)) is fine
    coarse = torch.tensor([[[[0.0, 1.0]]]])
    wide = resize_probabilities(coarse, (1, 4))
    assert wide.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_a_teacher_that_says_nan_is_refused() -> None:
    class Broken:
        names, checksum = ('road', 'sky'), 'x'

        def probabilities(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 2, 5, 6), float('nan'), device=images.device)

    teacher = MappedTeacher(Broken(), ClassMapping.between(Broken.names, ('sky', 'car')))
    with pytest.raises(SourceError, match='the teacher says NaN or infinity'):
        whole_image(teacher, np.zeros((40, 48, 3), np.uint8), (20, 24))


def test_without_room_nothing_is_begun(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r'it needs 1907348 MiB, \d+ MiB are free'):
        keep_probabilities(tmp_path / 'said.npy', {}, (2, 10**6, 10**6, 1), _no_answers)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_meanwhile_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(OutputError, match=r'partial: No space left on device; make room'):
        keep_probabilities(tmp_path / 'said.npy', {}, (2, 3, 4, 1), _no_answers)
    assert list(tmp_path.iterdir()) == []


def test_a_whole_image_is_answered_in_bytes() -> None:
    class Half:
        names, checksum = ('road', 'sky'), 'x'

        def probabilities(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 2, 5, 6), 0.5, device=images.device)

    teacher = MappedTeacher(Half(), ClassMapping.between(Half.names, ('sky', 'car')))
    image = np.zeros((40, 48, 3), np.uint8)
    image.flags.writeable = False  # as data sets keep them
    said = whole_image(teacher, image, (20, 24))
    assert said.shape == (20, 24, 2)
    assert np.unique(said[..., 0]).tolist() == [128]
    assert said[..., 1].max() == 0
