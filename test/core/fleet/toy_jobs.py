# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Jobs that tests give to workers, which import them from here."""

from dataclasses import dataclass
from importlib import import_module
import os
from pathlib import Path
import signal
from tempfile import TemporaryDirectory
import time

import cv2

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.fleet import Progress


@dataclass(frozen=True)
class Toy:
    """What a toy job does."""

    value: int
    folder: Path = Path()
    deaths: int = 0
    """How many attempts end by SIGKILL half way."""


def square(job: Toy, progress: Progress) -> tuple[int, int]:
    """Return the value squared and the id of the process, if the job lives to do so."""
    marks = [job.folder / f'{job.value}.{number}' for number in range(job.deaths)]
    progress(1, 2)
    for mark in marks:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    progress(2, 2)
    return job.value**2, os.getpid()


def where(job: Toy, _progress: Progress) -> str:
    """Return what the folder of a job is here."""
    return str(job.folder.absolute())


def refuse(job: Toy, _progress: Progress) -> None:
    """Raise: odd values what a user can mend, even ones what nobody expected."""
    if job.value % 2:
        msg = f'no footage in bag {job.value}'
        raise SourceError(msg)
    raise KeyError(job.value)


def sleep(job: Toy, progress: Progress) -> None:
    """Say which process this is by a file, and then hardly ever end; even values end at once."""
    if job.value % 2:
        (job.folder / f'pid.{os.getpid()}').touch()
        progress(0, None)
        time.sleep(600)


def go_on(job: Toy, progress: Progress) -> None:
    """Say which process this is by a file, and then report progress, hardly ever to end."""
    (job.folder / f'pid.{os.getpid()}').touch()
    for index in range(6000):
        progress(index, None)
        time.sleep(0.1)


def keep_a_file(job: Toy, _progress: Progress) -> None:
    """Keep a temporary folder, which says which process this is, hardly ever to end."""
    with TemporaryDirectory(prefix='pid', suffix=f'.{os.getpid()}', dir=job.folder):
        time.sleep(600)


def opencv_threads(_job: Toy, _progress: Progress) -> int:
    """Return how many threads OpenCV may use here."""
    return cv2.getNumThreads()


def ray_addresses(_job: Toy, _progress: Progress) -> list[str]:
    """Return the addresses of the machines of this worker's Ray cluster."""
    ray = import_module('ray')
    return [str(node['NodeManagerAddress']) for node in ray.nodes()]


def unpicklable(_job: Toy, _progress: Progress) -> object:
    """Return what cannot be sent to another process."""
    return lambda: None
