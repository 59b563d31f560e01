# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Many bags: the same numbers however they are shared out, whatever happens to a worker."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
import json
import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.core.fleet import run_jobs
from vidseg_ros.evaluation.evaluate import evaluate_source, EvaluationSettings, SourceJob
from vidseg_ros.evaluation.results import write_results
from vidseg_ros.evaluation.source_evaluation import SourceResult
from vidseg_ros.inference.model_file import read_model

START_NS = 1_700_000_000_000_000_000
STEP_NS = 40_000_000
LABELS = '/truth'
VIDSEG = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from vidseg_ros.cli.main import main
raise SystemExit(main())
"""


def blocks(seed: int, size: int = 4) -> NDArray[np.uint8]:
    """Return (12 size, 16 size) uint8 ids, one class in each block of so many pixels."""
    ids = np.random.default_rng(seed).integers(0, 3, (12, 16), np.uint8)
    return ids.repeat(size, axis=0).repeat(size, axis=1)


def record(path: Path, frames: int, seed: int, size: int = 4) -> Path:
    """Write a bag whose frames show their ids as red, green and blue; every fourth pair lies."""
    with BagWriter(path) as bag:
        for index in range(frames):
            ids = blocks(seed + index // 2, size)
            stamp = {'stamp_ns': START_NS + index * STEP_NS, 'frame_id': 'front'}
            image = np.eye(3, dtype=np.uint8)[ids] * 255
            bag.write_image('/camera', image, encoding='rgb8', **stamp)
            truth = ids if index // 2 % 4 else np.zeros_like(ids)
            bag.write_image(LABELS, truth, encoding='mono8', **stamp)
    return path


@pytest.fixture
def drives(tmp_path: Path) -> list[Path]:
    """Return three bags of different lengths."""
    return [record(tmp_path / f'drive{n}', 5 + 4 * n, seed=100 * n) for n in range(3)]


@pytest.fixture
def jobs_in(drives: list[Path], tiny_model: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return what makes the jobs of the three bags for a folder of results."""
    classes = read_model(tiny_model).card.labels

    def make(name: str) -> list[SourceJob]:
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        settings = EvaluationSettings(
            models=(tiny_model,), classes=classes, threads=1, report=False
        )
        return [
            SourceJob(
                key=path.name,
                path=path,
                topic='/camera',
                labels=LABELS,
                settings=settings,
                out=out,
            )
            for path in drives
        ]

    return make


def merged(jobs: Sequence[SourceJob], results: Sequence[SourceResult | None]) -> Any:
    """Return the content of results.json without times."""
    known = [result for result in results if result is not None]
    assert len(known) == len(jobs)
    content = write_results(jobs[0].out, jobs[0].settings, known, [])
    content.pop('settings')
    return json.loads(json.dumps(content), object_hook=without_times)


def without_times(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != 'inference_ms'}


def rows(folder: Path) -> list[list[str]]:
    """Return the table of frames of a source without times."""
    lines = (folder / 'frames-a.csv').read_text().splitlines()
    return [cells[:2] + cells[3:] for cells in (line.split(',') for line in lines)]


def in_this_process(jobs: list[SourceJob]) -> Any:
    return merged(jobs, [evaluate_source(job) for job in jobs])


def test_two_workers_one_of_them_killed_give_the_numbers_of_one_process(
    jobs_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    killed_once = import_module('fleet_jobs').killed_once
    here, there = jobs_in('here'), jobs_in('there')
    expected = in_this_process(here)

    outcomes = run_jobs(killed_once, there, workers=2, threads=1)

    assert [(outcome.error, outcome.attempts) for outcome in outcomes] == [(None, 2)] * 3
    assert merged(there, [outcome.result for outcome in outcomes]) == expected
    for one, two in zip(here, there, strict=True):
        assert rows(one.folder) == rows(two.folder)
    scores = expected['overall']['a']
    assert sum(map(sum, scores['confusion'])) == (5 + 9 + 13) * 48 * 64
    assert 0.5 < scores['miou'] < 1  # a trivial score would hide a wrong sum
    assert 0 < scores['tc'] < 1


@pytest.mark.skipif(not find_spec('ray'), reason='Ray is not installed')
@pytest.mark.slow
def test_two_workers_of_ray_give_the_numbers_of_one_process(jobs_in: Callable[..., Any]) -> None:
    expected = in_this_process(jobs_in('here'))

    outcomes = run_jobs(evaluate_source, jobs_in('there'), workers=2, threads=1, ray='local')

    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert merged(jobs_in('there'), [outcome.result for outcome in outcomes]) == expected


def test_results_merge_in_any_order(jobs_in: Callable[..., Any]) -> None:
    jobs = jobs_in('out')
    results = [evaluate_source(job) for job in jobs]
    expected = merged(jobs, results)['overall']

    for seed in range(4):
        random.Random(seed).shuffle(results)  # noqa: S311 - an order, no secret
        assert merged(jobs, results)['overall'] == expected


def test_a_rerun_skips_what_is_done_and_does_what_has_changed(
    jobs_in: Callable[..., Any], drives: list[Path]
) -> None:
    first = run_jobs(evaluate_source, jobs_in('out'), workers=2, threads=1)
    before = [(job.folder / 'frames-a.csv').stat().st_mtime_ns for job in jobs_in('out')]
    shutil.rmtree(drives[1])
    record(drives[1], 7, seed=999)

    again = run_jobs(evaluate_source, jobs_in('out'), workers=2, threads=1)

    after = [(job.folder / 'frames-a.csv').stat().st_mtime_ns for job in jobs_in('out')]
    assert [new > old for old, new in zip(before, after, strict=True)] == [False, True, False]
    plain = [
        [outcome.result.to_dict() for outcome in run if outcome.result] for run in (first, again)
    ]
    assert plain[0][0] == plain[1][0]
    assert plain[0][2] == plain[1][2]
    assert (plain[0][1]['frames'], plain[1][1]['frames']) == (9, 7)


def test_of_a_truncated_mcap_what_can_be_read_is_evaluated_and_the_rest_reported(
    jobs_in: Callable[..., Any], drives: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(drives[2])
    record(drives[2], 13, seed=0, size=40)  # large enough for more than one chunk of MCAP
    (file,) = drives[2].glob('*.mcap')
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 6 // 10])

    outcomes = run_jobs(evaluate_source, jobs_in('out'))

    assert [outcome.error for outcome in outcomes] == [None] * 3
    result = outcomes[2].result
    assert result is not None
    assert 3 <= result.frames < 13
    assert result.labelled >= 3
    (problem,) = result.problems
    assert 'unfinished or damaged' in problem
    assert not caplog.messages, 'said once, among the problems'


@pytest.mark.parametrize('workers', [1, 2])
def test_ctrl_c_keeps_what_is_done(
    drives: list[Path], tiny_model: Path, tmp_path: Path, workers: int
) -> None:
    long = [record(tmp_path / f'long{n}', 3000, seed=n) for n in range(2)]
    out = tmp_path / 'out'
    command = [sys.executable, '-c', VIDSEG, 'evaluate', str(drives[0]), *map(str, long)]
    command += ['--model', str(tiny_model), '--topic', '/camera', '--jobs', str(workers)]
    run = subprocess.Popen(
        [*command, '--out', str(out)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        last = out / 'sources' / f'long{workers - 1}'  # once it begins, a result has arrived
        wait_for((last / 'frames-a.csv').exists)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of its processes
        _, said = run.communicate(timeout=30)
    finally:
        run.kill()
        run.wait()

    assert run.returncode == 130
    assert said.splitlines()[-2:] == [
        'vidseg: 1 of 3 sources are done and kept; the same command goes on with the others',
        'vidseg: interrupted',
    ]
    wait_for(lambda: not alive(run.pid))
    sources = {
        entry['key']: entry for entry in json.loads((out / 'results.json').read_text())['sources']
    }
    assert sources['drive0']['frames'] == 5
    assert sources['drive0']['problems'] == []
    for key in ('long0', 'long1'):
        assert sources[key]['models'] == {}
        assert sources[key]['problems'] == ['not done: the run was ended']


def alive(group: int) -> bool:
    """Whether any process of a group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition, not without end."""
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, 'it never came true'
        time.sleep(0.02)
