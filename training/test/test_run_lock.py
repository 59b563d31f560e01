# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys

import pytest

from vidseg_ros.core.errors import OutputError, ParameterError
from vidseg_training.fitting import run
from vidseg_training.recipes.own import street_compact
from vidseg_training.run_lock import alone_in, LOCK

HOLDER = """
import sys, time
from pathlib import Path
from vidseg_training.run_lock import alone_in
with alone_in(Path(sys.argv[1])):
    print('holds it', flush=True)
    time.sleep(120)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator['subprocess.Popen[str]']:
    """Yield another process that trains in ``tmp_path / 'run'``."""
    command = [sys.executable, '-c', HOLDER, str(tmp_path / 'run')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'holds it\n'
        yield process
        process.kill()


def test_a_second_training_is_refused_until_the_first_is_killed(
    holder: 'subprocess.Popen[str]', tmp_path: Path
) -> None:
    folder = tmp_path / 'run'
    config = street_compact()
    with pytest.raises(ParameterError, match=f'another process trains in {folder}: wait for it'):
        run(config, folder)
    holder.kill()
    holder.wait(30)
    assert [path.name for path in folder.iterdir()] == [LOCK], 'what a killed one leaves'
    with alone_in(folder):
        pass
    assert not folder.exists()


def test_a_run_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    def refused() -> None:
        with alone_in(tmp_path / 'new'):
            msg = 'no'
            raise ParameterError(msg)

    with pytest.raises(ParameterError, match='no'):
        refused()
    assert not (tmp_path / 'new').exists()


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
