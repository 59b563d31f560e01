# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.fleet import Outcome, run_jobs, threads_per_worker


def test_one_worker_is_this_process(toy_jobs: ModuleType) -> None:
    progress: list[tuple[int, int, int | None]] = []
    jobs = [toy_jobs.Toy(value) for value in (3, 1, 2)]

    outcomes = run_jobs(toy_jobs.square, jobs, on_progress=lambda *news: progress.append(news))

    assert [outcome.result for outcome in outcomes] == [
        (9, os.getpid()),
        (1, os.getpid()),
        (4, os.getpid()),
    ]
    assert [outcome.job for outcome in outcomes] == jobs
    assert progress == [(0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 2), (2, 1, 2), (2, 2, 2)]


def test_outcomes_of_two_workers_are_in_the_order_of_the_jobs(toy_jobs: ModuleType) -> None:
    seen: dict[int, Outcome[Any, Any]] = {}
    progress: list[tuple[int, int, int | None]] = []
    jobs = [toy_jobs.Toy(value) for value in range(3)]

    outcomes = run_jobs(
        toy_jobs.square,
        jobs,
        workers=2,
        on_progress=lambda *news: progress.append(news),
        on_result=lambda number, outcome: seen.update({number: outcome}),
    )

    assert [outcome.result[0] for outcome in outcomes if outcome.result] == [0, 1, 4]
    assert seen == dict(enumerate(outcomes))
    processes = {outcome.result[1] for outcome in outcomes if outcome.result}
    assert len(processes) == 3
    assert os.getpid() not in processes
    assert {(0, 1, 2), (1, 1, 2), (2, 1, 2)} <= set(progress)


def test_a_job_whose_worker_is_killed_is_done_again(toy_jobs: ModuleType, tmp_path: Path) -> None:
    jobs = [toy_jobs.Toy(5), toy_jobs.Toy(6, tmp_path, deaths=2), toy_jobs.Toy(7)]

    outcomes = run_jobs(toy_jobs.square, jobs, workers=2)

    assert [outcome.result[0] for outcome in outcomes if outcome.result] == [25, 36, 49]
    assert [outcome.attempts for outcome in outcomes] == [1, 3, 1]


def test_a_job_that_always_kills_its_worker_is_given_up(
    toy_jobs: ModuleType, tmp_path: Path
) -> None:
    jobs = [toy_jobs.Toy(6, tmp_path, deaths=9), toy_jobs.Toy(7)]

    killed, fine = run_jobs(toy_jobs.square, jobs, workers=2, retries=1)

    assert killed.result is None
    assert killed.attempts == 2
    assert killed.error == (
        'its worker died in each of 2 attempts, last: ended by SIGKILL; if the system ends it '
        'for want of memory, use fewer workers'
    )
    assert fine.result is not None
    assert fine.result[0] == 49


@pytest.mark.parametrize('workers', [1, 2])
def test_a_job_that_raises_ends_alone_and_is_not_done_again(
    toy_jobs: ModuleType, workers: int
) -> None:
    foreseen, surprise = run_jobs(
        toy_jobs.refuse, [toy_jobs.Toy(1), toy_jobs.Toy(2)], workers=workers
    )

    assert foreseen.error == 'no footage in bag 1'
    assert (foreseen.attempts, surprise.attempts) == (1, 1)
    assert surprise.error is not None
    assert surprise.error.startswith('unexpected error, please report it:\nTraceback')
    assert surprise.error.endswith('KeyError: 2\n')


def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(
    toy_jobs: ModuleType, tmp_path: Path
) -> None:
    done: list[int] = []

    def interrupt(_number: int, _done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    jobs = [toy_jobs.Toy(0), toy_jobs.Toy(2), toy_jobs.Toy(1, tmp_path), toy_jobs.Toy(3, tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(
            toy_jobs.sleep,
            jobs,
            workers=2,
            on_progress=interrupt,
            on_result=lambda number, _: done.append(number),
        )

    assert {0, 1} >= set(done)
    assert done
    started = [int(path.suffix[1:]) for path in tmp_path.glob('pid.*')]
    assert started
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_threads_of_opencv_are_limited_in_workers(toy_jobs: ModuleType) -> None:
    jobs = [toy_jobs.Toy(0), toy_jobs.Toy(1)]

    outcomes = run_jobs(toy_jobs.opencv_threads, jobs, workers=2, threads=1)

    assert [outcome.result for outcome in outcomes] == [1, 1]


@pytest.mark.parametrize(('workers', 'expected'), [(1, 6), (2, 3), (4, 1), (9, 1)])
def test_workers_share_the_cpus(
    monkeypatch: pytest.MonkeyPatch, workers: int, expected: int
) -> None:
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(6)))

    assert threads_per_worker(workers) == expected
    assert threads_per_worker(workers, 'local') == expected
    assert threads_per_worker(workers, 'ray://cluster:10001') == 1, 'its CPUs are not ours'


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'workers': 0}, 'workers is 0; use at least 1'),
        ({'retries': -1}, 'retries is -1; use at least 0'),
        ({'threads': 0}, 'threads is 0; use at least 1'),
    ],
)
def test_settings_out_of_range_are_refused(
    toy_jobs: ModuleType, wrong: dict[str, int], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        run_jobs(toy_jobs.square, [], **wrong)  # type: ignore[arg-type]


def test_no_jobs_have_no_outcomes(toy_jobs: ModuleType) -> None:
    assert run_jobs(toy_jobs.square, [], workers=2) == []
