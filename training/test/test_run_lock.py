# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Iterator
from dataclasses import replace
import errno
import fcntl
from pathlib import Path
import subprocess
import sys
from typing import NoReturn

import pytest

from vidseg_ros.core.errors import OutputError, ParameterError
from vidseg_training import run_lock
from vidseg_training.config import TrainConfig
from vidseg_training.cross_validation import cross_validate
from vidseg_training.fitting import run
from vidseg_training.folder_lock import LOCK
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_training import train_motion
from vidseg_training.recipes.own import street_compact
from vidseg_training.run_lock import alone_in

HOLDER = """
import sys, time
from pathlib import Path
from vidseg_training.run_lock import alone_in
with alone_in(Path(sys.argv[1])):
    print('holds it', flush=True)
    time.sleep(120)
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder in which another process trains."""
    folder = tmp_path / 'held'
    command = [sys.executable, '-c', HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'holds it\n'
        yield folder
        process.kill()


def kitti() -> TrainConfig:
    """Return a recipe with folds."""
    return replace(street_compact(), dataset='kitti')


@pytest.mark.parametrize(
    'train',
    [
        lambda folder: run(street_compact(), folder),
        lambda folder: cross_validate(kitti(), folder),
        lambda folder: train_motion(MotionConfig(clips=('street:1@64x96',), height=64), folder),
    ],
)
def test_a_second_training_is_refused(held: Path, train: Callable[[Path], object]) -> None:
    with pytest.raises(ParameterError, match=f'another process trains in {held}: wait for it'):
        train(held)


def test_a_killed_training_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, '-c', HOLDER, str(tmp_path / 'run')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'holds it\n'
        process.kill()
    assert [path.name for path in (tmp_path / 'run').iterdir()] == [LOCK]
    with alone_in(tmp_path / 'run'):
        pass
    assert not list((tmp_path / 'run').iterdir())


def test_only_what_a_refused_run_has_made_is_removed(tmp_path: Path) -> None:
    def refused(folder: Path) -> None:
        with alone_in(folder):
            msg = 'no'
            raise ParameterError(msg)

    (tmp_path / 'theirs').mkdir()
    for name in ('theirs', 'new'):
        with pytest.raises(ParameterError, match='no'):
            refused(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ['theirs']


def test_what_was_written_stays(tmp_path: Path) -> None:
    with alone_in(tmp_path / 'run'):
        (tmp_path / 'run' / 'last.ckpt').touch()
    assert [path.name for path in (tmp_path / 'run').iterdir()] == ['last.ckpt']


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match='choose another --out'), alone_in(tmp_path / 'file'):
        pass
    (tmp_path / 'run' / LOCK).mkdir(parents=True)
    with pytest.raises(OutputError, match='cannot write to'), alone_in(tmp_path / 'run'):
        pass


def test_one_process_of_a_run_locks_for_all(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, 'process_index', lambda: 1)
    with alone_in(held):
        assert (held / LOCK).exists()
    assert (held / LOCK).exists()


def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lockf(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'lockf', lockf)
    with alone_in(tmp_path):
        assert 'No locks available): see to it yourself' in caplog.text


def test_a_lock_that_its_owner_removes_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockf, path = fcntl.lockf, tmp_path / LOCK
    removed: list[Path] = []

    def late(descriptor: int, how: int) -> None:
        if not removed:
            path.unlink()
            removed.append(path)
        lockf(descriptor, how)

    monkeypatch.setattr(fcntl, 'lockf', late)
    with alone_in(tmp_path):
        assert path.exists(), 'else a third one would lock another file'
