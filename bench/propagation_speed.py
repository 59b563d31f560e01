# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How fast are propagated samples made, and what of the time is not motion?

Usage::

    python bench/propagation_speed.py DATA [--motion dis farneback CHECKPOINT]

Frames of CamVid's dense clip, enlarged to 960x720 and 2048x1024, every fifth one labelled; samples
at ±1 to ±2, joint. For each source of motion and size, in a process of its own and with one
thread of OpenCV and PyTorch: frames a second of the bare motion estimate, the time of a whole job
over that of its calls of the motion source, the share of each stage (by `cProfile`: the stages are
few and long calls), and the peak of the memory. The job is done in three ways, in turn first:

* all in one thread, as by each of several workers; this gives the time of the motion calls and
  the shares, and what a sample costs in CPU time;
* with a second thread that writes samples: the time that passes where a second CPU is free, over
  the motion calls of the first way;
* with that and all threads that OpenCV and PyTorch take by themselves, as ``vidseg-train
  propagate`` works on one clip.

Then two clips by one worker and by two, one thread each.

First the samples must be the same: those of each way (but for a network with all threads, which
adds up in another order), and those of one worker and of two.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
import cProfile
from dataclasses import replace
from importlib import import_module
import multiprocessing
import os
from pathlib import Path
import pstats
import queue
import resource
import shutil
import statistics
import sys
from tempfile import TemporaryDirectory
import time
from typing import Any, Final

import cv2
import numpy as np
from report import finish, surroundings, Target

from vidseg_ros.core.fleet import run_jobs
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.malloc import keep_freed_memory
from vidseg_training.propagation.clip import list_clips
from vidseg_training.propagation.manifest import MANIFEST
from vidseg_training.propagation.motion import ClipFrame, FLOW_METHODS, open_motion
from vidseg_training.propagation.propagate import (
    propagate_clip,
    PropagationJob,
    PropagationSettings,
)

SIZES: Final = {'960x720': (960, 720), '2048x1024': (2048, 1024)}
MOST_OVER_MOTION: Final = 1.2
LEAST_SPEEDUP: Final = 1.6
LABEL_STEP: Final = 5

STAGES: Final = {
    'motion': ('backward_flow',),
    'decoding': ('read', 'fingerprint'),
    'cuts': ('thumbnail', 'find_break'),
    'occlusion': ('round_trip',),
    'warping': ('chain', 'carry_labels', 'warp_image'),
    'encoding and writing': ('_encode', 'write_atomically', 'sha256'),
}
"""Functions whose times, with all that they call, make a stage."""


def make_clip(data: Path, folder: Path, size: tuple[int, int], frames: int) -> None:
    """Write frames as JPEG, as cameras do, and every fifth label map as PNG."""
    for name in ('clip', 'labels'):
        (folder / name).mkdir(parents=True)
    files = sorted((data / 'camvid' / 'val').glob('*.png'))
    for index, file in enumerate(files[:frames]):
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        labels = cv2.imread(str(data / 'camvid' / 'valannot' / file.name), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert labels is not None
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / 'clip' / f'{index:04d}.jpg'), large)
        if index % LABEL_STEP == 2:
            ids = resize_labels(labels.astype(np.uint8), size[::-1])
            cv2.imwrite(str(folder / 'labels' / f'{index:04d}.png'), ids)


def make_job(folder: Path, motion: str, out: Path) -> PropagationJob:
    """Return the job of a clip."""
    settings = PropagationSettings(motion=_choice(motion), offset=2, accumulate=True)
    (clip,) = list_clips(str(folder / 'clip'))
    return PropagationJob(clip=clip, labels=folder / 'labels', settings=settings, out=out)


def _choice(motion: str) -> str | Path:
    return motion if motion in FLOW_METHODS else Path(motion)


def time_motion(folder: Path, motion: str, rounds: int) -> float:
    """Return the median time of a motion estimate of two frames that are in memory, s."""
    source = open_motion(_choice(motion))
    clip = list_clips(str(folder / 'clip'))[0].open(0)
    images = [clip.read(position) for position in range(3)]
    past, before, after = (
        ClipFrame(at, image) for at, image in enumerate(images) if image is not None
    )
    times_s = []
    for _ in range(rounds + 1):  # the first one warms up
        start_s = time.perf_counter()
        source.backward_flow(after, before, [past] * source.past_frames)
        times_s.append(time.perf_counter() - start_s)
    return statistics.median(times_s[1:])


def profile_job(job: PropagationJob) -> dict[str, Any]:
    """Do a job in one thread under the profiler; return samples, seconds in all and by stage."""
    profiler = cProfile.Profile()
    start_s = time.perf_counter()
    profiler.enable()
    summary = propagate_clip(replace(job, threads=1))
    profiler.disable()
    total_s = time.perf_counter() - start_s
    times_s: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    stages = {name: stage for stage, names in STAGES.items() for name in names}
    entries: Any = pstats.Stats(profiler)
    for (file, _, name), (*_, callers) in entries.stats.items():
        if name in stages and 'vidseg' in file:
            times_s[stages[name]] += sum(
                seconds for caller, (*_, seconds) in callers.items() if caller[2] not in stages
            )
    return {'samples': summary.made, 'one_thread_s': total_s, 'stages_s': times_s}


def time_job(job: PropagationJob, threads: int | None) -> float:
    """Return the seconds that a job takes with a second thread that writes.

    Args:
        job: What to do.
        threads: Of OpenCV and PyTorch; None: as many as they take by themselves.
    """
    limit_threads(threads)
    start_s = time.perf_counter()
    propagate_clip(job)
    seconds = time.perf_counter() - start_s
    limit_threads(1)
    return seconds


def limit_threads(threads: int | None) -> None:
    """Set the threads of OpenCV and, where it is loaded, PyTorch; None: one for each CPU."""
    cv2.setNumThreads(threads or os.cpu_count() or 1)
    torch = sys.modules.get('torch')
    if torch is not None:
        torch.set_num_threads(threads or os.cpu_count() or 1)


def do_round(folder: Path, motion: str, number: int) -> dict[str, Any]:
    """Do the job in each way, which of them is first changes; return `profile_job` and times."""
    ways: dict[str, Callable[[PropagationJob], Any]] = {
        'one': profile_job,
        'writing_beside_s': lambda job: time_job(job, 1),
        'all_threads_s': lambda job: time_job(job, None),
    }
    names = list(ways)[number % 3 :] + list(ways)[: number % 3]
    found = {name: ways[name](make_job(folder, motion, folder / name)) for name in names}
    manifests = {name: next((folder / name).glob(f'*/{MANIFEST}')).read_bytes() for name in names}
    for name in names:
        shutil.rmtree(folder / name)
    if motion not in FLOW_METHODS:
        # PyTorch adds up in another order with other threads: samples may differ by a grey level.
        del manifests['all_threads_s']
    if len(set(manifests.values())) > 1:
        msg = 'one thread and several make different samples: no times'
        raise SystemExit(msg)
    return {**found.pop('one'), **found}


def measure(folder: str, motion: str, rounds: int, answers: Any) -> None:
    """Measure one source at one size; runs in a process of its own."""
    keep_freed_memory(of_any_size=True)  # as the job does
    if motion not in FLOW_METHODS:
        import_module('torch')  # whose threads are limited here, before the job does it
    limit_threads(1)
    result = {'motion_s': time_motion(Path(folder), motion, rounds)}
    runs = [do_round(Path(folder), motion, number) for number in range(rounds)]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers.put(result | {'runs': runs, 'peak_mib': peak_mib})


def in_process(function: Callable[..., None], *arguments: object) -> Any:
    """Call a function in a fresh process and return its answer; end if it fails."""
    context = multiprocessing.get_context('spawn')
    answers = context.Queue()
    process = context.Process(target=function, args=(*arguments, answers))
    process.start()
    while True:
        ended = not process.is_alive()
        with suppress(queue.Empty):
            return answers.get(timeout=1)
        if ended:
            raise SystemExit(process.exitcode or 1)


def race(folder: Path, motion: str, rounds: int) -> dict[int, list[float]]:
    """Return wall times (s) of two clips by one worker and by two, whose samples are equal."""
    walls: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        manifests = []
        for workers, of_workers in walls.items():
            out = folder / f'race{number}_{workers}'
            job = make_job(folder, motion, out)
            jobs = [replace(job, clip=job.clip._replace(name=name), threads=1) for name in 'ab']
            start_s = time.perf_counter()
            outcomes = run_jobs(propagate_clip, jobs, workers=workers, threads=1)
            of_workers.append(time.perf_counter() - start_s)
            assert all(outcome.error is None for outcome in outcomes), outcomes
            manifests.append([(out / name / MANIFEST).read_bytes() for name in 'ab'])
            shutil.rmtree(out)
        if manifests[0] != manifests[1]:
            msg = 'one worker and two make different samples: no times'
            raise SystemExit(msg)
    return walls


def row(size: str, motion: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return what is published of a measurement; medians over the rounds."""
    runs = answer['runs']
    ratios = {
        name: statistics.median(run[name] / run['stages_s']['motion'] for run in runs)
        for name in ('one_thread_s', 'writing_beside_s')
    }
    best = min(runs, key=lambda run: run['one_thread_s'])
    shares = {stage: value / best['one_thread_s'] for stage, value in best['stages_s'].items()}
    return {
        'size': size,
        'motion': Path(motion).name,
        'motion_fps': 1 / answer['motion_s'],
        'samples_per_s': {
            'one thread': best['samples'] / best['one_thread_s'],
            'one that writes beside it': best['samples']
            / min(run['writing_beside_s'] for run in runs),
            'all threads': best['samples'] / min(run['all_threads_s'] for run in runs),
        },
        'job_over_motion': ratios['writing_beside_s'],
        'job_over_motion_one_thread': ratios['one_thread_s'],
        'shares': shares | {'rest': 1 - sum(shares.values())},
        'peak_mib': answer['peak_mib'],
    }


def targets_of(rows: Sequence[dict[str, Any]], walls: dict[int, list[float]]) -> list[Target]:
    """Return what has to be reached."""
    speedup = [one / two for one, two in zip(walls[1], walls[2], strict=True)]
    return [
        *(
            Target(
                what=f'{what} / its motion calls, {item["motion"]} at {item["size"]}',
                value=item[ratio],
                limit=MOST_OVER_MOTION,
                higher_is_better=False,
            )
            for item in rows
            for what, ratio in (
                ('a whole job, writing beside it,', 'job_over_motion'),
                ('a whole job in one thread', 'job_over_motion_one_thread'),
            )
        ),
        Target(
            what='speed of two workers / of one, one thread each',
            value=statistics.median(speedup),
            limit=LEAST_SPEEDUP,
            higher_is_better=True,
        ),
    ]


def main() -> int:
    """Measure; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('--motion', nargs='+', default=list(FLOW_METHODS))
    parser.add_argument('--frames', type=int, default=60, help='default: %(default)s')
    parser.add_argument('--rounds', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--sizes', nargs='+', choices=SIZES, default=list(SIZES))
    parser.add_argument('--out', type=Path, help='JSON file for the result')
    arguments = parser.parse_args()
    result = surroundings('numpy', 'torch')
    rows = []
    with TemporaryDirectory(prefix='vidseg_bench_') as work:
        for size in arguments.sizes:
            folder = Path(work, size)
            make_clip(arguments.data, folder, SIZES[size], arguments.frames)
            for motion in arguments.motion:
                answer = in_process(measure, str(folder), motion, arguments.rounds)
                rows.append(row(size, motion, answer))
                print(rows[-1], flush=True)
        walls = race(Path(work, arguments.sizes[0]), arguments.motion[0], arguments.rounds)
    result |= {
        'question': 'speed, memory and stages of propagation; speed of two workers',
        'clip': f'CamVid val, {arguments.frames} frames, enlarged; samples at ±1 and ±2, joint',
        'rounds': arguments.rounds,
        'equal_samples': True,
        'rows': rows,
        'wall_s_by_workers': walls,
    }
    return finish(result, targets_of(rows, walls), name='propagation_speed', out=arguments.out)


if __name__ == '__main__':
    raise SystemExit(main())
