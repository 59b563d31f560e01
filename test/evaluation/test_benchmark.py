# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vidseg_ros.core.errors import EngineError, ModelError
from vidseg_ros.evaluation import benchmark
from vidseg_ros.evaluation.benchmark import run_benchmark, WARM_UP
from vidseg_ros.inference.agreement import Sample
from vidseg_ros.inference.cuda_runtime import Gpu
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.prediction import Prediction
from vidseg_ros.inference.tensorrt_engine import TensorRtEngine
from vidseg_ros.inference.tensorrt_lane import StageTimes
from vidseg_ros.inference.tensorrt_options import Shape

SHORT = 0.001


def settings(*, cameras: int = 1, shape: tuple[int, int] = (12, 16)) -> EngineSettings:
    """Return settings with three one-coloured frames of the tiny model's classes."""
    images = [np.full((*shape, 3), color, np.uint8) for color in np.eye(3, dtype=np.uint8) * 200]
    return EngineSettings(cameras=cameras, samples=[Sample(image=image) for image in images])


def test_onnx_runtime_is_compared_and_timed(tiny_model: Path) -> None:
    found = run_benchmark(
        tiny_model, 'onnxruntime', settings(cameras=2), size=(48, 64), seconds=SHORT
    )
    assert found.engine.name == 'onnxruntime'
    assert (found.cameras, found.size) == (2, (48, 64))
    assert (found.agreement.frames, found.agreement.pixels) == (3, 1.0)
    assert found.latency.count >= 1
    assert found.latency.p50_ms is not None
    assert found.latency.max_ms is not None
    assert 0 < found.latency.p50_ms <= found.latency.max_ms
    assert found.host_peak_bytes > 2**20
    stages = (found.stages, found.enqueued_stages)
    nothing = (found.pinned_latency, *stages, found.gpu_used_bytes, found.power_w)
    assert nothing == (None,) * 5


def test_frames_per_second_are_those_of_all_cameras(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, '_time', lambda *_: [20_000_000, 30_000_000])
    found = run_benchmark(
        tiny_model, 'onnxruntime', settings(cameras=3), size=(12, 16), seconds=SHORT
    )
    assert found.frames_per_second == pytest.approx(2 * 3 / 0.05)
    assert (found.latency.p50_ms, found.latency.max_ms) == (25.0, 30.0)


def test_frames_change_from_call_to_call_and_have_the_size_asked_for(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[int, ...]]] = []
    infer = OnnxRuntimeEngine.infer

    def spy(self: OnnxRuntimeEngine, frames: Any, *, confidence: bool = False) -> Prediction:
        seen.append([(*frame.shape[:2], int(frame[0, 0].argmax())) for frame in frames])
        return infer(self, frames, confidence=confidence)

    monkeypatch.setattr(OnnxRuntimeEngine, 'infer', spy)
    run_benchmark(tiny_model, 'onnxruntime', settings(cameras=2), size=(24, 32), seconds=SHORT)
    compared, timed = seen[:6], seen[6:]
    assert [len(frames) for frames in compared] == [1] * 6
    assert len(timed) > WARM_UP
    assert [[color for *_, color in frames] for frames in timed[:4]] == [
        [0, 1],
        [1, 2],
        [2, 0],
        [0, 1],
    ]
    assert {frame[:2] for frames in seen for frame in frames} == {(24, 32)}


def test_an_engine_that_disagrees_is_not_timed(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = OnnxRuntimeEngine.infer

    def wrong(self: OnnxRuntimeEngine, frames: Any, *, confidence: bool = False) -> Prediction:
        found = infer(self, frames, confidence=confidence)
        return replace(found, labels=(found.labels + int(self._shrink)) % 3)

    monkeypatch.setattr(OnnxRuntimeEngine, 'infer', wrong)
    monkeypatch.setattr(benchmark, '_time', lambda *_: pytest.fail('it was timed'))
    with pytest.raises(ModelError, match=r'^the benchmark of onnxruntime is not kept: .* 0\.00%'):
        run_benchmark(tiny_model, 'onnxruntime', settings(), size=(12, 16), seconds=SHORT)


@pytest.mark.usefixtures('fake_gpu')
@pytest.mark.parametrize('cameras', [1, 2])
def test_tensorrt_tells_its_stages(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, cameras: int
) -> None:
    monkeypatch.setattr(Gpu, 'memory', lambda _: (3_000, 5_000))  # free and total
    asked: list[bool] = []
    measure = TensorRtEngine.measure_stages

    def spy(self: TensorRtEngine, frames: Any, *, recorded: bool = True) -> StageTimes:
        asked.append(recorded)
        return measure(self, frames, recorded=recorded)

    monkeypatch.setattr(TensorRtEngine, 'measure_stages', spy)
    found = run_benchmark(
        tiny_model, 'tensorrt', settings(cameras=cameras), size=(48, 64), seconds=SHORT
    )
    calls = found.latency.count
    assert asked == [True] * calls + [False] * calls
    assert found.engine.name == 'tensorrt'
    assert found.stages is not None
    assert found.enqueued_stages is not None
    for stages in (found.stages, found.enqueued_stages):
        assert list(stages) == ['copy_in', 'compute', 'copy_out']
        for stage in stages.values():
            assert stage.count == found.latency.count
            assert stage.p50_ms is not None
            assert stage.p50_ms >= 0
    assert found.gpu_used_bytes == 2_000


def test_without_graphs_there_is_one_way_to_time(fake_gpu: Any, tiny_model: Path) -> None:
    fake_gpu.refuses_capture = True
    found = run_benchmark(tiny_model, 'tensorrt', settings(), size=(48, 64), seconds=SHORT)
    assert found.stages is not None
    assert found.enqueued_stages is None


@pytest.mark.usefixtures('fake_gpu')
@pytest.mark.parametrize(
    ('cameras', 'quicker', 'pinned'), [(1, False, True), (2, True, True), (2, False, False)]
)
def test_pinned_frames_are_timed_where_they_are_not_copied(
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    cameras: int,
    *,
    quicker: bool,
    pinned: bool,
) -> None:
    monkeypatch.setattr(TensorRtEngine, '_is_quicker', lambda *_: quicker)
    asked: list[Shape] = []
    memory = TensorRtEngine.pinned_frames

    def spy(self: TensorRtEngine, shape: Shape) -> Any:
        asked.append(shape)
        return memory(self, shape)

    monkeypatch.setattr(TensorRtEngine, 'pinned_frames', spy)
    found = run_benchmark(
        tiny_model, 'tensorrt', settings(cameras=cameras), size=(48, 64), seconds=SHORT
    )
    assert (found.pinned_latency is not None) == pinned
    assert asked == [Shape(cameras, 48, 64)] * pinned


@pytest.mark.usefixtures('fake_gpu')
def test_power_is_energy_by_time(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call takes 10 ms and 2 J, what warms up twice that, stages 1 J; idle is 50 W."""
    gpu = SimpleNamespace(now_s=100.0, energy_j=7.0, calls=0, name='')

    def run_for(seconds: float, energy_j: float) -> None:
        gpu.now_s, gpu.energy_j = gpu.now_s + seconds, gpu.energy_j + energy_j

    def counter(name: str) -> Any:
        gpu.name, gpu.calls = name, 0
        return lambda: gpu.energy_j

    def infer(self: TensorRtEngine, frames: Any, *, confidence: bool = False) -> Prediction:
        gpu.calls += 1
        run_for(0.01, 4.0 if gpu.calls <= WARM_UP else 2.0)
        return plain_infer(self, frames, confidence=confidence)

    def clock() -> float:
        run_for(0.001, 0.05)
        return float(gpu.now_s)

    def measure(self: TensorRtEngine, frames: Any, *, recorded: bool = True) -> StageTimes:
        run_for(0.01, 1.0)
        return plain_measure(self, frames, recorded=recorded)

    plain_infer, plain_measure = TensorRtEngine.infer, TensorRtEngine.measure_stages
    monkeypatch.setattr(benchmark, 'energy_counter', counter)
    monkeypatch.setattr(TensorRtEngine, 'infer', infer)
    monkeypatch.setattr(TensorRtEngine, 'measure_stages', measure)
    times = SimpleNamespace(perf_counter=clock, perf_counter_ns=lambda: round(gpu.now_s * 1e9))
    monkeypatch.setattr(benchmark, 'time', times)
    found = run_benchmark(tiny_model, 'tensorrt', settings(), size=(12, 16), seconds=1)
    calls = found.latency.count
    assert calls > 80
    wall_s = calls * 0.011  # one look at the clock for each
    assert found.power_w == pytest.approx((calls * 2 + calls * 0.05) / wall_s, rel=0.01)
    assert gpu.name == 'Fake GPU'


def test_auto_says_what_it_took_and_why(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    found = run_benchmark(tiny_model, 'auto', settings(), size=(12, 16), seconds=SHORT)
    assert found.engine.name == 'onnxruntime'
    assert found.engine.note.startswith('not TensorRT: TensorRT is not installed')
    with pytest.raises(EngineError, match='TensorRT is not installed'):
        run_benchmark(tiny_model, 'tensorrt', settings(), size=(12, 16), seconds=SHORT)
