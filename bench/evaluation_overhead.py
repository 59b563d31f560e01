# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does an evaluation with temporal consistency cost besides the engine, and do jobs add up?

Usage::

    python bench/evaluation_overhead.py DATA/dashcam/project_video_cut.mp4

Bare engine: frames that are decoded and in memory, one after the other through the engine.
Evaluation: `evaluate_source`, from its first frame done to its last; opening, warm-up and the
digest of the footage are in neither, and given as ``start_s``. Both use all CPUs. The pictures of
the report cost more; the same with them is ``with_report``.

Jobs: as many copies of the footage as there are workers, evaluated by ``run_jobs`` with one
thread each: with one worker, and with two processes. Whole wall times and CPU times, start of
processes included. Rounds take turns.

First the label maps must be the same, pixel for pixel: those of the bare engine, and those in the
bag that an evaluation exports. Then all ways of running must give the same counts.
"""

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
import resource
import shutil
import statistics
from tempfile import TemporaryDirectory
import time
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from report import finish, surroundings, Target

from vidseg_ros.bag_io import BagReader
from vidseg_ros.core.fleet import run_jobs
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.evaluation.evaluate import evaluate_source, EvaluationSettings, SourceJob
from vidseg_ros.evaluation.mcap_export import BAG
from vidseg_ros.evaluation.sources import open_source
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

MOST_OVER_BARE: Final = 1.35
LEAST_SPEEDUP: Final = 1.5
WORKERS: Final = 2

Images = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Run:
    """One evaluation of the footage."""

    start_s: float
    """Before its first frame was done, s."""
    frame_s: float
    """Mean time of a frame after the first, s."""
    counts: Any
    """Everything that was counted, without times."""


def main() -> int:
    """Compare; return 1 if label maps or counts differ, or a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('source', type=Path, help='bag, video or folder of images')
    parser.add_argument('--model', default=DEFAULT_MODEL, help='default: %(default)s')
    parser.add_argument('--frames', type=int, default=60, help='default: %(default)s')
    parser.add_argument('--rounds', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='JSON file for the result')
    arguments = parser.parse_args()
    result = surroundings('numpy', 'onnxruntime', 'av', 'rosbags')
    model = find_model(arguments.model)
    with (
        open_source(arguments.source) as source,
        closing(OnnxRuntimeEngine(model)) as engine,
        TemporaryDirectory(prefix='vidseg_bench_') as folder,
    ):
        order = engine.card.input_order
        images = [item.decode(order) for item in islice(source, arguments.frames)]
        settings = EvaluationSettings(
            models=(model,), classes=engine.card.labels, limit=arguments.frames, report=False
        )
        job = SourceJob(key='0', path=arguments.source, settings=settings, out=Path(folder))
        if not _equal(job, engine, images):
            print('the evaluation and the bare engine give different label maps: no times')
            return 1
        bare_s, runs, reported, walls, cpus = _race(job, engine, images, arguments.rounds)
    if any(run.counts != runs[0].counts for run in [*runs, *reported]):
        print('the counts depend on how the evaluation is run: no times')
        return 1
    over = [run.frame_s / bare for run, bare in zip(runs, bare_s, strict=False)]
    speedup = [one / many for one, many in zip(walls[1], walls[WORKERS], strict=True)]
    frames = WORKERS * len(images)  # of all jobs
    result |= {
        'question': 'time of a frame in an evaluation / in the bare engine; speed of two workers',
        'source': {'name': source.name, 'kind': source.kind, 'fps': source.fps},
        'frame_size': list(images[0].shape[:2]),
        'frames': len(images),
        'rounds': arguments.rounds,
        'model': arguments.model,
        'equal_label_maps': True,
        'equal_counts': True,
        'bare_ms': [1e3 * seconds for seconds in bare_s],
        'evaluation_ms': [1e3 * run.frame_s for run in runs[: len(bare_s)]],
        'with_report_ms': [1e3 * run.frame_s for run in reported],
        'start_s': [run.start_s for run in runs[: len(bare_s)]],
        'ratio': over,
        'wall_s_by_workers': walls,
        'speedup': speedup,
        'cpu_s_by_workers': cpus,
        'frames_per_second_of_two_workers': frames / statistics.median(walls[WORKERS]),
        'frames_per_core_hour': 3600 * frames / statistics.median(cpus[WORKERS]),
    }
    targets = [
        Target(
            what='time of a frame in an evaluation with TC / in the bare engine',
            value=statistics.median(over),
            limit=MOST_OVER_BARE,
            higher_is_better=False,
        ),
        Target(
            what='speed of two workers / of one, one thread each',
            value=statistics.median(speedup),
            limit=LEAST_SPEEDUP,
            higher_is_better=True,
        ),
    ]
    size = f'{images[0].shape[0]}p_{source.kind}'
    name = f'evaluation_overhead_{size}_{arguments.model}'
    return finish(result, targets, name=name, out=arguments.out)


def _equal(job: SourceJob, engine: OnnxRuntimeEngine, images: Images) -> bool:
    """Whether an evaluation sees exactly the label maps that the engine gives."""
    evaluate_source(replace(job, settings=replace(job.settings, mcap=True)))
    with BagReader(job.folder / BAG) as bag:
        seen = [image.label_map() for image in bag.images('/a/label_map')]
    expected = (
        resize_labels(engine.infer([image]).labels[0], image.shape[:2]) for image in images
    )
    return len(seen) == len(images) and all(map(np.array_equal, seen, expected))


def _race(
    job: SourceJob, engine: OnnxRuntimeEngine, images: Images, rounds: int
) -> tuple[list[float], list[Run], list[Run], dict[int, list[float]], dict[int, list[float]]]:
    """Take turns; return the engine's times of a frame, runs, wall and CPU times of jobs; s."""
    bare_s: list[float] = []
    runs: list[Run] = []
    reported: list[Run] = []
    more: list[Run] = []
    walls: dict[int, list[float]] = {1: [], WORKERS: []}
    cpus: dict[int, list[float]] = {1: [], WORKERS: []}
    copies = [
        replace(job, key=str(number), settings=replace(job.settings, threads=1))
        for number in range(WORKERS)
    ]
    for number in range(rounds):
        bare_s.append(_bare(engine, images))
        runs.append(_evaluate(job))
        settings = replace(job.settings, report=True)
        reported.append(_evaluate(replace(job, settings=settings)))
        for workers in (1, WORKERS):
            before_s = _cpu_s()
            seconds, counts = _run_jobs(copies, workers)
            walls[workers].append(seconds)
            cpus[workers].append(_cpu_s() - before_s)
            more += [Run(0, 0, count) for count in counts]
        print(f'round {number + 1} of {rounds}', flush=True)
    return bare_s, runs + more, reported, walls, cpus


def _bare(engine: OnnxRuntimeEngine, images: Images) -> float:
    """Return the mean time of a frame (s), the first not counted as in `_evaluate`."""
    engine.infer(images[:1])
    start_s = time.perf_counter()
    for image in images[1:]:
        engine.infer([image])
    return (time.perf_counter() - start_s) / (len(images) - 1)


def _evaluate(job: SourceJob) -> Run:
    shutil.rmtree(job.folder)  # what is done is not done again
    ends_s: list[float] = []
    start_s = time.perf_counter()
    result = evaluate_source(job, lambda _done, _total: ends_s.append(time.perf_counter()))
    return Run(
        start_s=ends_s[0] - start_s,
        frame_s=(ends_s[-1] - ends_s[0]) / (len(ends_s) - 1),
        counts=_counts(result.to_dict()),
    )


def _run_jobs(jobs: Sequence[SourceJob], workers: int) -> tuple[float, list[Any]]:
    """Return the wall time (s) and what each job counted."""
    shutil.rmtree(jobs[0].folder.parent)
    threads = cv2.getNumThreads()
    start_s = time.perf_counter()
    outcomes = run_jobs(evaluate_source, jobs, workers=workers, threads=1)
    seconds = time.perf_counter() - start_s
    cv2.setNumThreads(threads)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    assert len(results) == len(jobs), [outcome.error for outcome in outcomes]
    return seconds, [_counts(result.to_dict()) for result in results]


def _cpu_s() -> float:
    """Return the CPU time of this process and of those that it has waited for, s."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _counts(plain: dict[str, Any]) -> Any:
    """Return what does not depend on the machine, nor on the name of the copy."""
    tally = {name: value for name, value in plain['tallies']['a'].items() if name != 'times'}
    return plain['frames'], plain['duration_s'], tally


if __name__ == '__main__':
    raise SystemExit(main())
