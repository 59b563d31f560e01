# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How long a model takes on an engine, once the two are known to say the same."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
import resource
import time
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.timing import LatencySummary, summarize
from vidseg_ros.evaluation.gpu_power import energy_counter
from vidseg_ros.inference.agreement import Agreement, compare, require, Sample, TOLERANCES
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.prediction import EngineInfo, SegmentationEngine
from vidseg_ros.inference.tensorrt_engine import TensorRtEngine
from vidseg_ros.inference.tensorrt_options import Shape

WARM_UP: Final = 5
"""Calls before those that are timed."""

_NS_PER_MS = 1e6

_Run = Callable[[Sequence[NDArray[np.uint8]]], object]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What was measured; latencies are those of one call with a frame of each camera."""

    engine: EngineInfo
    """What really ran."""
    cameras: int
    """Frames of one call."""
    size: tuple[int, int]
    """Height and width of the frames, px."""
    agreement: Agreement
    """With ONNX Runtime on the whole graph, frames unshrunk."""
    latency: LatencySummary
    """From frames in ordinary memory to label maps in ordinary memory."""
    pinned_latency: LatencySummary | None
    """The same from page-locked memory; None where the engine has none for such a batch."""
    stages: dict[str, LatencySummary] | None
    """Copy in, compute and copy out by events on the GPU, the network as a CUDA graph of its own
    where there are graphs; None where they cannot be separated."""
    enqueued_stages: dict[str, LatencySummary] | None
    """The same with the network enqueued layer by layer instead; None also where there are no
    graphs: `stages` are that then."""
    frames_per_second: float
    """Frames of all cameras, of `latency`'s calls one after the other."""
    host_peak_bytes: int
    """Most resident memory of the process so far, so with the comparison."""
    gpu_used_bytes: int | None
    """Memory of the GPU in use by all processes, after the run; None without a GPU."""
    power_w: float | None
    """Mean power of the GPU during `latency`'s calls; None where NVML does not say."""


def run_benchmark(  # noqa: PLR0913
    model: Path,
    kind: str,
    settings: EngineSettings,
    *,
    size: tuple[int, int],
    seconds: float,
    opened: Callable[[], None] = lambda: None,
) -> Benchmark:
    """Compare an engine with the model, then time it.

    Args:
        model: The model file.
        kind: Name of the engine, as for `create_engine`.
        settings: Of the engine; its samples (at least one) are brought to ``size`` and are
            compared and timed.
        size: Height and width of the frames, px.
        seconds: Least time for which calls are timed, s.
        opened: Called once the engine is open, and built where it was not: what shows progress
            until then must not run beside what is timed.

    Raises:
        ModelError: If the file breaks the contract, or the engine disagrees with it.
        EngineError: If there is no such engine, or it fails.
        ParameterError: If the engine does not allow the settings.
    """
    samples = [replace(item, image=_resized(item.image, size)) for item in settings.samples]
    settings = replace(settings, size=size, samples=samples)
    with closing(create_engine(kind, model, settings)) as engine:
        opened()
        agreement = _check(engine, model, samples)
        batches = _batches([item.image for item in samples], settings.cameras)
        gpu = engine if isinstance(engine, TensorRtEngine) else None
        count_energy = energy_counter(gpu.gpu_name) if gpu else None
        _warm_up(engine.infer, batches)
        energy_j, start_s = count_energy() if count_energy else 0.0, time.perf_counter()
        latencies = _time(engine.infer, batches, seconds)
        elapsed_s = time.perf_counter() - start_s
        energy_j = count_energy() - energy_j if count_energy else 0.0
        return Benchmark(
            engine=engine.info,
            cameras=settings.cameras,
            size=size,
            agreement=agreement,
            latency=summarize(latencies),
            pinned_latency=_pinned(gpu, batches[0], seconds) if gpu else None,
            stages=_stages(gpu, batches, len(latencies)) if gpu else None,
            enqueued_stages=(
                _stages(gpu, batches, len(latencies), recorded=False)
                if gpu and gpu.has_graphs
                else None
            ),
            frames_per_second=len(latencies) * settings.cameras / (sum(latencies) / 1e9),
            host_peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            gpu_used_bytes=gpu.gpu_memory_used() if gpu else None,
            power_w=energy_j / elapsed_s if count_energy else None,
        )


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if image.shape[:2] == size:
        return image
    resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _check(engine: SegmentationEngine, model: Path, samples: Sequence[Sample]) -> Agreement:
    with closing(OnnxRuntimeEngine(model, shrink=False)) as source:
        agreement = compare(engine, source, samples)
    tolerance = TOLERANCES.get(engine.card.precision, TOLERANCES['fp32'])
    require(agreement, tolerance, f'the benchmark of {engine.info.name}')
    return agreement


def _batches(images: Sequence[NDArray[np.uint8]], cameras: int) -> list[list[NDArray[np.uint8]]]:
    """Return as many batches as there are images, each beginning with another one."""
    count = len(images)
    return [
        [images[(first + camera) % count] for camera in range(cameras)] for first in range(count)
    ]


def _warm_up(run: _Run, batches: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
    for index in range(WARM_UP):
        run(batches[index % len(batches)])


def _time(run: _Run, batches: Sequence[Sequence[NDArray[np.uint8]]], seconds: float) -> list[int]:
    """Return the time of each call, ns, the batches in turn; at least one call."""
    latencies: list[int] = []
    end = time.perf_counter() + seconds
    while not latencies or time.perf_counter() < end:
        batch = batches[len(latencies) % len(batches)]
        start = time.perf_counter_ns()
        run(batch)
        latencies.append(time.perf_counter_ns() - start)
    return latencies


def _pinned(
    engine: TensorRtEngine, frames: Sequence[NDArray[np.uint8]], seconds: float
) -> LatencySummary | None:
    """Time calls whose frames are page-locked; a batch that runs one by one copies them anyway."""
    shape = Shape(len(frames), *frames[0].shape[:2])
    if not engine.batching.get(shape, shape.frames == 1):
        return None
    memory = engine.pinned_frames(shape)
    for target, frame in zip(memory, frames, strict=True):
        target[:] = frame
    batches = [list(memory)]
    _warm_up(engine.infer, batches)
    return summarize(_time(engine.infer, batches, seconds))


def _stages(
    engine: TensorRtEngine,
    batches: Sequence[Sequence[NDArray[np.uint8]]],
    calls: int,
    *,
    recorded: bool = True,
) -> dict[str, LatencySummary]:
    times = [
        engine.measure_stages(batches[index % len(batches)], recorded=recorded)
        for index in range(calls)
    ]
    names = ('copy_in', 'compute', 'copy_out')
    return {
        name: summarize([round(getattr(item, f'{name}_ms') * _NS_PER_MS) for item in times])
        for name in names
    }
