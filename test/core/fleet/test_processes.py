# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable
from contextlib import closing
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import ModuleType

import pytest

from vidseg_ros.core.fleet import run_jobs
from vidseg_ros.core.fleet.processes import ProcessWorkers
from vidseg_ros.core.fleet.worker import Died

PROGRAM = """
from pathlib import Path
import sys
from vidseg_ros.core.fleet import run_jobs
sys.path.insert(0, sys.argv[1])
from toy_jobs import go_on, Toy
run_jobs(go_on, [Toy(1, Path(sys.argv[2])), Toy(2, Path(sys.argv[2]))], workers=2)
"""


@pytest.mark.usefixtures('toy_jobs')
def test_workers_end_by_themselves_when_their_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, '-c', PROGRAM, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as parent:
        try:
            wait_for(lambda: len(pids(tmp_path)) == 2)
        finally:
            parent.kill()
        _, said = parent.communicate(timeout=30)  # ends when the last worker has closed it

    assert 'Traceback' not in said
    wait_for(lambda: not any(Path(f'/proc/{pid}').exists() for pid in pids(tmp_path)))


def test_a_result_that_cannot_be_sent_is_no_hang(toy_jobs: ModuleType) -> None:
    (outcome,) = run_jobs(toy_jobs.unpicklable, [toy_jobs.Toy(1)], workers=2, retries=0)

    assert outcome.error is not None
    assert outcome.error.startswith('its worker died in each of 1 attempts, last: exit status 1')


def test_workers_that_are_ended_remove_their_temporary_files(
    toy_jobs: ModuleType, tmp_path: Path
) -> None:
    workers = ProcessWorkers(toy_jobs.keep_a_file, slots=2, threads=1)
    with closing(workers):
        for number in range(2):
            workers.start(number, toy_jobs.Toy(number, tmp_path))
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        os.kill(int(next(tmp_path.iterdir()).suffix[1:]), signal.SIGTERM)  # as a service manager
        (event,) = workers.wait()
        assert isinstance(event, Died)
        assert event.reason == 'ended by SIGTERM'
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def pids(folder: Path) -> list[int]:
    return [int(path.suffix[1:]) for path in folder.glob('pid.*')]


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, 'it never came true'
        time.sleep(0.02)
