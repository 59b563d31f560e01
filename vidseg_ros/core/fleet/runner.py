# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Run one function over many jobs: here, in processes of this machine, or on a Ray cluster."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
import os
from typing import Final, Generic, TypeVar

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.fleet.processes import ProcessWorkers
from vidseg_ros.core.fleet.ray_cluster import RayWorkers
from vidseg_ros.core.fleet.worker import (
    Died,
    do_job,
    Failed,
    Finished,
    limit_threads,
    Progress,
    Progressed,
    Workers,
)

LOCAL: Final = 'local'
"""Instead of an address of a Ray cluster: a new one on this machine."""

JobT = TypeVar('JobT')
ResultT = TypeVar('ResultT')


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[JobT, ResultT]):
    """How a job ended."""

    job: JobT
    """The job."""
    result: ResultT | None
    """What the function returned; None after an error."""
    error: str | None
    """Why there is no result, for people; None if there is one."""
    attempts: int
    """How often it was started: more than once if workers died."""


OnProgress = Callable[[int, int, int | None], None]
OnResult = Callable[[int, Outcome[JobT, ResultT]], None]


def run_jobs(  # noqa: PLR0913 - each has a default that is right for one machine
    function: Callable[[JobT, Progress], ResultT],
    jobs: Sequence[JobT],
    *,
    workers: int = 1,
    ray: str | None = None,
    retries: int = 2,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult[JobT, ResultT] | None = None,
) -> list[Outcome[JobT, ResultT]]:
    """Call ``function(job, progress)`` for every job.

    The results do not depend on where the jobs run nor on the order in which they end. A job whose
    function raises is not tried again and does not disturb the others; one whose worker died
    (killed, out of memory, a lost machine) is. With one worker and without Ray all happens in
    this process.

    Args:
        function: A function of a module (processes and Ray find it by its name).
        jobs: Picklable; with Ray, their paths must be valid on every machine.
        workers: Processes on this machine, or CPUs of ``ray='local'`` over ``threads``.
        ray: Address of a running Ray cluster, ``local`` to start one here, None for none.
        retries: Further attempts for a job whose worker died.
        threads: Threads of OpenCV in each worker, and CPUs that Ray reserves for it; None
            leaves OpenCV alone and reserves one.
        on_progress: Called with the job's number from 0, how much of it is done, and how much
            there is (None: not known).
        on_result: Called with the job's number and its outcome as soon as it has ended.

    Returns:
        One outcome per job, in the order of the jobs.

    Raises:
        ParameterError: If ``workers`` or ``threads`` is below 1, ``retries`` below 0, or there is
            no usable Ray.
        KeyboardInterrupt: After Ctrl-C, with all workers ended; so for any other exception.
    """
    _check(workers, retries, threads)
    tell = on_progress or _ignore
    if ray is None and workers == 1:
        limit_threads(threads)
        return [_run_here(function, *item, tell, on_result) for item in enumerate(jobs)]
    pool: Workers
    if ray is None:
        pool = ProcessWorkers(function, workers, threads)
    else:
        pool = RayWorkers(function, None if ray == LOCAL else ray, workers, threads)
    with closing(pool):
        return _run_on(pool, jobs, retries, tell, on_result)


def threads_per_worker(workers: int, ray: str | None = None) -> int:
    """Return how many threads each of several workers should use.

    Args:
        workers: How many share this machine.
        ray: As of `run_jobs`; at an address there is one thread, for the machines there need not
            have as many CPUs as this one.
    """
    if ray not in {None, LOCAL}:
        return 1
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _run_here(
    function: Callable[[JobT, Progress], ResultT],
    number: int,
    job: JobT,
    tell: OnProgress,
    on_result: OnResult[JobT, ResultT] | None,
) -> Outcome[JobT, ResultT]:
    event = do_job(function, number, job, lambda done, total: tell(number, done, total))
    outcome: Outcome[JobT, ResultT] = _outcome(job, event, attempts=1)
    if on_result is not None:
        on_result(number, outcome)
    return outcome


def _run_on(
    pool: Workers,
    jobs: Sequence[JobT],
    retries: int,
    tell: OnProgress,
    on_result: OnResult[JobT, ResultT] | None,
) -> list[Outcome[JobT, ResultT]]:
    waiting = deque(range(len(jobs)))
    attempts = [0] * len(jobs)
    outcomes: dict[int, Outcome[JobT, ResultT]] = {}
    while len(outcomes) < len(jobs):
        while waiting and len(jobs) - len(outcomes) - len(waiting) < pool.slots:
            number = waiting.popleft()
            attempts[number] += 1
            pool.start(number, jobs[number])
        for event in pool.wait():
            number = event.number
            if isinstance(event, Progressed):
                tell(number, event.done, event.total)
            elif isinstance(event, Died) and attempts[number] <= retries:
                waiting.appendleft(number)
            else:
                outcomes[number] = _outcome(jobs[number], event, attempts[number])
                if on_result is not None:
                    on_result(number, outcomes[number])
    return [outcomes[number] for number in range(len(jobs))]


def _outcome(job: JobT, event: Finished | Failed | Died, attempts: int) -> Outcome[JobT, ResultT]:
    if isinstance(event, Finished):
        return Outcome(job=job, result=event.result, error=None, attempts=attempts)
    error = event.error if isinstance(event, Failed) else _death(event, attempts)
    return Outcome(job=job, result=None, error=error, attempts=attempts)


def _death(event: Died, attempts: int) -> str:
    return (
        f'its worker died in each of {attempts} attempts, last: {event.reason}; if the system '
        'ends it for want of memory, use fewer workers'
    )


def _check(workers: int, retries: int, threads: int | None) -> None:
    least = {
        'workers': (workers, 1),
        'retries': (retries, 0),
        'threads': (1 if threads is None else threads, 1),
    }
    for name, (value, limit) in least.items():
        if value < limit:
            msg = f'{name} is {value}; use at least {limit}'
            raise ParameterError(msg)


def _ignore(_number: int, _done: int, _total: int | None) -> None:
    """Take progress that nobody asked for."""
