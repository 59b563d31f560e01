# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What happens in a worker, on whatever machine, and what it tells the machine that asked."""

from collections.abc import Callable
from dataclasses import dataclass
import time
import traceback
from typing import Any, Final, Protocol, TypeAlias

import cv2

from vidseg_ros.core.errors import VidsegError

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called by a job with how much is done and how much there is (None: not known)."""

REPORT_EVERY_S: Final = 0.2
"""A worker's progress is passed on at most this often, s."""


@dataclass(frozen=True)
class Progressed:
    """A job has come so far."""

    number: int
    done: int
    total: int | None


@dataclass(frozen=True)
class Finished:
    """A job is done; ``result`` is what its function returned."""

    number: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """A job's function raised; another attempt would do the same."""

    number: int
    error: str


@dataclass(frozen=True)
class Died:
    """The worker of a job is gone without an answer; another attempt may succeed."""

    number: int
    reason: str


Event: TypeAlias = Progressed | Finished | Failed | Died


class Workers(Protocol):
    """Whoever does jobs."""

    @property
    def slots(self) -> int:
        """How many jobs may be started and not ended at a time."""
        ...

    def start(self, number: int, job: Any) -> None:  # noqa: ANN401 - any picklable job
        """Begin a job."""
        ...

    def wait(self) -> list[Event]:
        """Wait for news of the jobs that are under way; may return none."""
        ...

    def close(self) -> None:
        """End whatever is under way."""
        ...


def limit_threads(threads: int | None) -> None:
    """Let OpenCV use so many threads in this process; None leaves it as it is."""
    if threads is not None:
        cv2.setNumThreads(threads)


def do_job(
    function: Callable[[Any, Progress], Any],
    number: int,
    job: Any,  # noqa: ANN401 - any picklable job
    progress: Progress,
) -> Finished | Failed:
    """Call a job's function; what it raises, short of a wish to end, becomes an event."""
    try:
        return Finished(number, function(job, progress))
    except VidsegError as error:
        return Failed(number, str(error))
    except Exception:  # noqa: BLE001 - one broken job must not end the others
        return Failed(number, f'unexpected error, please report it:\n{traceback.format_exc()}')


def seldom(progress: Progress) -> Progress:
    """Return a progress function that passes on the first call and then some, see the constant."""
    last_s = -REPORT_EVERY_S

    def report(done: int, total: int | None) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= REPORT_EVERY_S:
            last_s = now_s
            progress(done, total)

    return report
