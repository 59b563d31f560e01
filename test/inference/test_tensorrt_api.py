# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The seam to TensorRT, over the fake."""

from collections.abc import Callable
import json
import logging
from pathlib import Path
import sys
import threading
from typing import Any

import pytest

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference import tensorrt_api
from vidseg_ros.inference.cuda_runtime import Gpu, GpuError, OUT_OF_MEMORY, Stream
from vidseg_ros.inference.tensorrt_api import build_plan, load_tensorrt, LoadedPlan, PlanRefused
from vidseg_ros.inference.tensorrt_options import (
    BuildFlags,
    BuildOptions,
    flags_for,
    Precision,
    Progress,
    Shape,
)

NAMES = json.loads((Path(__file__).parent / 'tensorrt_names.json').read_text())
VERSIONS = list(NAMES)
SHAPES = (Shape(1, 12, 16), Shape(2, 12, 16))
NO_FLAGS = BuildFlags(network=(), on=(), off=(), tactics=())
versions = pytest.mark.parametrize('fake_gpu', VERSIONS, indirect=True)


def build(
    model: Path,
    precision: Precision = 'fp32',
    *,
    timing: bytes = b'',
    on_progress: Callable[[Progress], bool] = lambda _: True,
) -> tuple[bytes, bytes]:
    major, minor = load_tensorrt().__version__.split('.')[:2]
    flags = flags_for((int(major), int(minor)), precision)
    options = BuildOptions(precision=precision, shapes=SHAPES)
    return build_plan(model.read_bytes(), options, flags, timing, on_progress)


def test_a_missing_tensorrt_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(EngineError, match=r'^TensorRT is not installed; JetPack .* pip install'):
        load_tensorrt()


def test_libraries_that_do_not_load_are_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / 'tensorrt.py').write_text('raise ImportError("libnvinfer.so.10: cannot open")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'tensorrt', raising=False)
    with pytest.raises(EngineError, match=r'cannot be loaded \(libnvinfer\.so\.10: cannot open\)'):
        load_tensorrt()


@versions
@pytest.mark.parametrize('precision', ['fp16', 'int8'])
def test_flags_carry_the_precision_before_strong_typing(
    fake_gpu: Any, tiny_model: Path, precision: Precision
) -> None:
    plan, _ = build(tiny_model, precision)
    typed = tuple(map(int, load_tensorrt().__version__.split('.')[:2])) >= (10, 12)
    expected = 'FP32' if typed else precision.upper()  # the ONNX is fp32
    assert json.loads(plan)['precision'] == expected
    assert fake_gpu.builds == 1


@versions
def test_the_timing_cache_comes_back_and_a_foreign_one_is_dropped(
    fake_gpu: Any, tiny_model: Path
) -> None:
    assert build(tiny_model, timing=b'old')[1] == b'old+'
    assert build(tiny_model, timing=b'foreign')[1] == b'+'
    assert build(tiny_model, timing=b'damaged')[1] == b'+'
    assert fake_gpu.builds == 3


@versions
def test_cublas_and_cudnn_are_left_out_before_10_and_nothing_else(
    fake_gpu: Any, tiny_model: Path
) -> None:
    plan, _ = build(tiny_model)
    names = NAMES[load_tensorrt().__version__]['TacticSource']
    old = load_tensorrt().__version__.startswith('8.')
    left_out = {'CUBLAS', 'CUBLAS_LT', 'CUDNN'} if old else set()
    assert set(json.loads(plan)['tactics']) == set(names) - left_out
    assert fake_gpu.builds == 1


@pytest.mark.parametrize('fake_gpu', ['8.5.3.1'], indirect=True)
def test_tactic_sources_that_are_refused(fake_gpu: Any, tiny_model: Path) -> None:
    fake_gpu.failures['tactics'] = 'an invalid set'
    with pytest.raises(EngineError, match=r'refuses the tactic sources EDGE_MASK_CONVOLUTIONS, J'):
        build(tiny_model)
    assert not fake_gpu.builds


@pytest.mark.parametrize('fake_gpu', ['10.3.0'], indirect=True)
def test_progress_is_that_of_the_outermost_phase(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_api, '_TICK_S', 1e6)  # else the time is told as well
    heard: list[Progress] = []
    build(tiny_model, on_progress=lambda progress: not heard.append(progress))
    assert fake_gpu.builds == 1
    assert [(p.phase, p.share) for p in heard] == [
        ('Building engine', 0.0),
        ('Building engine', 0.5),
    ]
    assert all(p.elapsed_s >= 0 for p in heard)


@pytest.mark.parametrize('fake_gpu', ['8.5.3.1'], indirect=True)
def test_without_a_monitor_there_is_the_time(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_api, '_TICK_S', 0.001)
    heard: list[Progress] = []
    thrice = threading.Event()

    def hear(progress: Progress) -> bool:
        heard.append(progress)
        if len(heard) == 3:
            thrice.set()
        return True

    def slow() -> None:
        assert thrice.wait(15)

    fake_gpu.on_build = slow
    build(tiny_model, on_progress=hear)
    assert {(p.phase, p.share) for p in heard} == {('building the TensorRT engine', None)}
    times = [p.elapsed_s for p in heard]
    assert times == sorted(times)


@versions
def test_a_build_that_is_cancelled_gives_nothing(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_api, '_TICK_S', 0.001)
    asked = threading.Event()

    def cancel(_: Progress) -> bool:
        asked.set()
        return False

    def slow() -> None:
        assert asked.wait(15)

    fake_gpu.on_build = slow
    with pytest.raises(EngineError, match='built no fp32 engine: the build was cancelled'):
        build(tiny_model, on_progress=cancel)


@versions
def test_a_build_that_fails_says_what_tensorrt_logged(fake_gpu: Any, tiny_model: Path) -> None:
    fake_gpu.failures['build'] = 'Could not find any\n implementation for node conv'
    with pytest.raises(EngineError, match='Could not find any implementation for node conv'):
        build(tiny_model)


@versions
def test_a_build_without_memory_says_so_and_all_that_tensorrt_logged(
    fake_gpu: Any, tiny_model: Path
) -> None:
    memory = 'Error Code 2: OutOfMemory (Requested size was 3000 bytes.)'
    fake_gpu.failures['build'] = f'{memory}|{memory}|Could not find any implementation'
    with pytest.raises(
        GpuError,
        match=r'built no fp32 engine: the GPU is out of memory \(Error Code 2: OutOfMemory '
        r'\(Requested size was 3000 bytes\.\); Could not find any implementation\); fewer cameras',
    ) as caught:
        build(tiny_model)
    assert caught.value.name == OUT_OF_MEMORY


@versions
def test_a_model_that_cannot_be_read_says_why(fake_gpu: Any) -> None:
    options = BuildOptions(precision='fp32', shapes=SHAPES)
    with pytest.raises(EngineError, match=r'cannot read the model: In node 3: unsupported'):
        build_plan(b'unreadable', options, NO_FLAGS, b'', lambda _: True)
    assert fake_gpu.builds == 0


@pytest.mark.parametrize('kind', ['Builder', 'Runtime'])
def test_a_gpu_that_tensorrt_cannot_use(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plan, _ = build(tiny_model)

    def refuse(log: Any) -> None:
        log.log(1, 'CUDA initialization failure with error: 35')
        msg = 'pybind11::init(): factory function returned nullptr'
        raise TypeError(msg)

    monkeypatch.setattr(load_tensorrt(), kind, refuse)
    message = r'cannot use the GPU \(CUDA init.* error: 35\); check nvidia-smi'
    with pytest.raises(EngineError, match=message):
        build(tiny_model) if kind == 'Builder' else LoadedPlan(plan)
    assert fake_gpu.builds == 1


@versions
def test_a_plan_that_is_none(fake_gpu: Any) -> None:
    with pytest.raises(
        PlanRefused,
        match=r'refuses the plan: .*magic tag does not match; .* deserialization failed',
    ):
        LoadedPlan(b'garbage')
    assert not fake_gpu.leftovers


@versions
def test_a_plan_of_another_gpu(fake_gpu: Any, tiny_model: Path) -> None:
    plan, _ = build(tiny_model)
    fake_gpu.names = ['Another GPU']
    with pytest.raises(EngineError, match=r'refuses the plan: .*the plan has another gpu'):
        LoadedPlan(plan)


def test_warnings_of_tensorrt_are_logged(fake_gpu: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert not fake_gpu.builds
    log = tensorrt_api._make_log(load_tensorrt())
    with caplog.at_level(logging.WARNING):
        log.log(2, 'weights are large')
        log.log(3, 'a detail')
    assert [record.message for record in caplog.records] == ['TensorRT: weights are large']
    assert log.why() == 'it does not say why'


def test_of_many_errors_the_latest_are_told_once(fake_gpu: Any) -> None:
    assert not fake_gpu.builds
    log = tensorrt_api._make_log(load_tensorrt())
    lines = [f'line {number}' for number in range(20)]
    for line in (*lines, lines[-1]):
        log.log(1, line)
    assert log.why() == '; '.join(lines[-7:])
    assert log.why() == 'it does not say why'


@versions
def test_a_plan_that_finds_no_memory_is_not_refused(fake_gpu: Any, tiny_model: Path) -> None:
    plan, _ = build(tiny_model)
    fake_gpu.failures['load'] = 'Cuda Runtime (out of memory)'
    with pytest.raises(GpuError, match=r'the GPU is out of memory \(Error Code 1: Cuda') as caught:
        LoadedPlan(plan)
    assert caught.value.name == OUT_OF_MEMORY


@versions
def test_a_context_takes_memory_for_its_own_profile_where_it_can(
    fake_gpu: Any, tiny_model: Path
) -> None:
    plan = LoadedPlan(build(tiny_model)[0])
    stream = Stream(Gpu())
    one = plan.create_context(0, stream.handle, {'frames': (1, 12, 16, 3)})
    two = plan.create_context(2, stream.handle, {'frames': (2, 12, 16, 3)})
    old = load_tensorrt().__version__.startswith('8.')
    assert fake_gpu.context_pixels == ([384, 384] if old else [192, 384])
    assert one is not two
    stream.free()


@versions
def test_a_profile_that_finds_no_memory(fake_gpu: Any, tiny_model: Path) -> None:
    plan = LoadedPlan(build(tiny_model)[0])
    stream = Stream(Gpu())
    for said, kind in (('Error Code 2: OutOfMemory', GpuError), ('a bug', EngineError)):
        plan.engine.busy.clear()
        fake_gpu.failures['profile'] = said
        with pytest.raises(EngineError, match=f'cannot set up profile 0: .*{said}') as caught:
            plan.create_context(0, stream.handle, {'frames': (1, 12, 16, 3)})
        assert type(caught.value) is kind
    stream.free()


@versions
def test_layers_are_described_with_the_shapes_of_a_context(
    fake_gpu: Any, tiny_model: Path
) -> None:
    plan = LoadedPlan(build(tiny_model)[0])
    stream = Stream(Gpu())
    context = plan.create_context(0, stream.handle, {'frames': (1, 12, 16, 3)})
    assert 'Row major linear FP32' in context.describe_layers()
    assert 'N/A due to dynamic shapes' not in context.describe_layers()
    stream.free()
    assert not fake_gpu.leftovers


def test_a_context_that_cannot_be_had(fake_gpu: Any, tiny_model: Path) -> None:
    plan = LoadedPlan(build(tiny_model)[0])
    fake_gpu.failures['context'] = 'no memory'
    with pytest.raises(GpuError, match=r'no memory to run the plan \(it does not say why\): few'):
        plan.create_context(0, 0x51, {'frames': (1, 12, 16, 3)})


def test_memory_that_is_refused(fake_gpu: Any, tiny_model: Path) -> None:
    plan = LoadedPlan(build(tiny_model)[0])
    stream = Stream(Gpu())
    context = plan.create_context(0, stream.handle, {'frames': (1, 12, 16, 3)})
    fake_gpu.failures['address'] = 'not aligned'
    with pytest.raises(EngineError, match="TensorRT refuses the memory of 'frames': it does not"):
        context.bind('frames', 64)
    stream.free()
