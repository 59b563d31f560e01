# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from importlib import import_module
from importlib.util import find_spec
import os
from pathlib import Path
import sys
import time
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.fleet import run_jobs
from vidseg_ros.core.fleet.ray_cluster import _Surroundings, _work, RayWorkers
from vidseg_ros.core.fleet.worker import Event, Failed, Finished

needs_ray = pytest.mark.skipif(not find_spec('ray'), reason='Ray is not installed')


@needs_ray
@pytest.mark.slow
def test_two_workers_of_ray_one_of_them_killed(toy_jobs: ModuleType, tmp_path: Path) -> None:
    progress: list[tuple[int, int, int | None]] = []
    jobs = [toy_jobs.Toy(5), toy_jobs.Toy(6, tmp_path, deaths=1), toy_jobs.Toy(7)]

    outcomes = run_jobs(
        toy_jobs.square,
        jobs,
        workers=2,
        ray='local',
        on_progress=lambda *news: progress.append(news),
    )

    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert [outcome.result[0] for outcome in outcomes if outcome.result] == [25, 36, 49]
    assert [outcome.attempts for outcome in outcomes] == [1, 2, 1]
    assert os.getpid() not in {outcome.result[1] for outcome in outcomes if outcome.result}
    assert {(0, 1, 2), (1, 1, 2), (2, 1, 2)} <= set(progress)


@needs_ray
def test_relative_paths_mean_the_same_in_a_worker_that_was_started_elsewhere(
    toy_jobs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drivers, elsewhere = tmp_path / 'driver', tmp_path / 'elsewhere'
    for folder in (drivers, elsewhere):
        folder.mkdir()
    job = toy_jobs.Toy(4, Path())  # its folder is relative
    news = Mock()
    monkeypatch.chdir(elsewhere)
    event = _work(0, job, toy_jobs.where, news, _Surroundings(1, drivers))
    assert isinstance(event, Finished)
    assert event.result == str(drivers)
    nowhere = _Surroundings(1, tmp_path / 'not here')
    event = _work(0, job, toy_jobs.where, news, nowhere)
    assert isinstance(event, Failed)
    assert 'not here, where the command was given (No such file or directory)' in event.error
    event = _work(0, toy_jobs.Toy(4, drivers), toy_jobs.where, news, nowhere)
    assert isinstance(event, Finished)


@needs_ray
@pytest.mark.slow
def test_a_job_does_not_need_its_progress_to_be_heard(toy_jobs: ModuleType) -> None:
    workers = RayWorkers(toy_jobs.square, None, workers=1, threads=None)
    try:
        import_module('ray').kill(workers._news.actor)
        workers.start(3, toy_jobs.Toy(5))
        events: list[Event] = []
        deadline = time.monotonic() + 60
        while not events and time.monotonic() < deadline:
            events = workers.wait()
    finally:
        workers.close()

    (event,) = events
    assert isinstance(event, Finished)
    assert (event.number, event.result[0]) == (3, 25)


@needs_ray
@pytest.mark.slow
def test_progress_is_kept_on_the_machine_that_reads_it(
    toy_jobs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER', '0')  # read by the next line
    queues = import_module('ray.util.queue')
    wanted: list[dict[str, Any]] = []

    class Queue(queues.Queue):  # type: ignore[misc, name-defined]  # Ray is untyped here
        def __init__(self, *, actor_options: dict[str, Any]) -> None:
            wanted.append(actor_options)
            super().__init__(actor_options=actor_options)

    monkeypatch.setattr(queues, 'Queue', Queue)
    workers = RayWorkers(toy_jobs.square, None, workers=1, threads=None)
    try:
        ray = import_module('ray')
        here = ray.get_runtime_context().get_node_id()
        place = wanted[0]['scheduling_strategy']
        assert (place.node_id, place.soft) == (here, False)
        asked = workers._news.actor.__ray_call__.remote(
            lambda _: ray.get_runtime_context().get_node_id()
        )
        assert ray.get(asked, timeout=60) == here, 'and it runs there'
    finally:
        workers.close()


def test_without_ray_the_message_says_what_to_install(
    toy_jobs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'ray', None)

    with pytest.raises(ParameterError, match=r"no Ray here.*pip install 'vidseg_ros\[ray\]'"):
        run_jobs(toy_jobs.square, [toy_jobs.Toy(1)], ray='local')


def test_a_cluster_that_is_not_there_is_named(toy_jobs: ModuleType) -> None:
    with pytest.raises(ParameterError, match=r'cannot reach a Ray cluster at 127\.0\.0\.1:1: '):
        run_jobs(toy_jobs.square, [toy_jobs.Toy(1)], ray='127.0.0.1:1')


@needs_ray
@pytest.mark.slow
def test_a_cluster_started_here_listens_on_loopback_only(toy_jobs: ModuleType) -> None:
    (outcome,) = run_jobs(toy_jobs.ray_addresses, [toy_jobs.Toy(1)], ray='local')

    assert outcome.result == ['127.0.0.1']


def test_ray_that_would_listen_to_others_is_not_started(
    toy_jobs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'ray', ModuleType('ray'))
    monkeypatch.delenv('RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER', raising=False)

    with pytest.raises(ParameterError, match='would listen to others; set RAY_ENABLE'):
        run_jobs(toy_jobs.square, [toy_jobs.Toy(1)], ray='local')
