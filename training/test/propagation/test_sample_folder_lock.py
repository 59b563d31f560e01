# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Two processes do not write samples into one folder."""

from collections.abc import Callable
from contextlib import AbstractContextManager
import os
from pathlib import Path
import subprocess
import sys

import pytest

from vidseg_ros.core.errors import OutputError, ParameterError
from vidseg_training.folder_lock import LOCK, locked
from vidseg_training.propagation.propagate import propagate_clip, PropagationJob

Job = Callable[..., PropagationJob]

HOLDER = """
import sys, time
from pathlib import Path
from vidseg_training.folder_lock import locked
with locked(Path(sys.argv[1]), 'writes samples'):
    print('holds it', flush=True)
    time.sleep(120)
"""


def test_a_second_process_is_refused_until_the_first_ends_however(job: Job) -> None:
    this = job(offset=1)
    folder = this.out / 'drive'
    command = [sys.executable, '-c', HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'holds it\n'
        try:
            with pytest.raises(
                ParameterError, match=f'another process writes samples in {folder}: wait for it'
            ):
                propagate_clip(this)
            assert [path.name for path in folder.iterdir()] == [LOCK]
        finally:
            process.kill()
    assert propagate_clip(this).made == 2
    assert not (folder / LOCK).exists()


def test_samples_are_written_alone(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[Path, str]] = []
    there: list[bool] = []

    def watched(folder: Path, doing: str) -> AbstractContextManager[None]:
        held.append((folder, doing))
        return locked(folder, doing)

    monkeypatch.setattr('vidseg_training.propagation.propagate.locked', watched)
    this = job(offset=2, accumulate=True)
    propagate_clip(this, lambda _done, _total: there.append((this.out / 'drive' / LOCK).exists()))
    assert held == [(this.out / 'drive', 'writes samples')]
    assert there == [True]


def test_what_fails_before_there_are_samples_leaves_no_folder(job: Job) -> None:
    this = job(motion='raft')
    with pytest.raises(ParameterError, match="no motion source 'raft'"):
        propagate_clip(this)
    assert not this.out.exists()


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what makes a folder read-only, also for the one who may do anything."""

    def close(folder: Path) -> None:
        access, opened = os.access, os.open

        def no_access(path: Path, mode: int) -> bool:
            return access(path, mode) and not (
                mode & os.W_OK and Path(path).is_relative_to(folder)
            )

        def no_open(path: Path, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_CREAT and Path(path).is_relative_to(folder):
                raise OSError(30, 'Read-only file system')
            return opened(path, flags, mode)

        monkeypatch.setattr(os, 'access', no_access)
        monkeypatch.setattr(os, 'open', no_open)

    return close


def test_in_a_read_only_folder_samples_are_found_but_none_is_made(
    job: Job, read_only: Callable[[Path], None]
) -> None:
    this = job(offset=1)
    propagate_clip(this)
    read_only(this.out / 'drive')
    assert propagate_clip(this).kept == 2


def test_a_folder_that_cannot_be_made_is_named(job: Job) -> None:
    this = job(offset=1)
    this.out.write_bytes(b'')
    with pytest.raises(OutputError, match=r'cannot write to .*drive: Not a directory; choose'):
        propagate_clip(this)
