# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import gc
from multiprocessing import get_context
from pathlib import Path
import pickle
import tempfile

import numpy as np
import pytest

from vidseg_ros.core.errors import OutputError
from vidseg_training.data.frame_store import FrameStore


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files."""
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    return tmp_path


def _frames() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), np.uint8))


def _filled() -> FrameStore:
    store = FrameStore((6, 8))
    for frame in _frames():
        store.append(frame)
    return store


def test_frames_are_what_they_were(temporary: Path) -> None:
    store = FrameStore((6, 8))
    for count, frame in enumerate(_frames(), 1):
        store.append(frame)
        assert len(store) == count
        for index, expected in enumerate(_frames()[:count]):
            np.testing.assert_array_equal(store[index], expected)
    assert type(store[0]) is np.ndarray
    with pytest.raises(IndexError):
        store[5]
    assert list(temporary.iterdir()) == []  # nothing that a kill could leave behind


def test_another_process_reads_the_same_file(temporary: Path) -> None:
    """Spawned, as the processes that load data are."""
    store = _filled()
    assert len(pickle.dumps(store)) < 200
    with get_context('spawn').Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(store.__getitem__, (3,)), _frames()[3])
    again = pickle.loads(pickle.dumps(store))  # noqa: S301  # our own
    del store
    gc.collect()
    np.testing.assert_array_equal(again[4], _frames()[4])
    assert list(temporary.iterdir()) == []


def test_no_room_is_said(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = 'cannot keep the frames of videos .*: No space left on device; .* in TMPDIR'
    with monkeypatch.context() as patch, Path('/dev/full').open('r+b', 0) as full:
        patch.setattr(tempfile, 'TemporaryFile', lambda: full)
        with pytest.raises(OutputError, match=message):
            FrameStore((6, 8)).append(_frames()[0])
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary / 'nowhere'))
    with pytest.raises(OutputError, match='temporary files: No such file or directory; make room'):
        FrameStore((6, 8)).append(_frames()[0])


def test_without_frames_there_is_no_file(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a run without videos needs no folder for temporary files."""
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary / 'nowhere'))
    for store in (FrameStore((6, 8)), pickle.loads(pickle.dumps(FrameStore((6, 8))))):  # noqa: S301  # our own
        assert len(store) == 0
        with pytest.raises(IndexError):
            store[0]
