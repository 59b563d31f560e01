# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The seam to TensorRT, over the fake, and its names in the real bindings."""

import ast
from collections.abc import Callable
from importlib import util
import json
import logging
from pathlib import Path
import shutil
import subprocess
import sys
import threading
from typing import Any

import pytest

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference import tensorrt_api
from vidseg_ros.inference.cuda_runtime import Gpu, GpuError, Stream
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
NO_FLAGS = BuildFlags(network=(), on=(), off=(), no_tactic_sources=False)
versions = pytest.mark.parametrize('fake_gpu', VERSIONS, indirect=True)

INTERFACES = {
    'builder': 'Builder',
    'network': 'INetworkDefinition',
    'parser': 'OnnxParser',
    'config': 'IBuilderConfig',
    'profile': 'IOptimizationProfile',
    'cache': 'ITimingCache',
    '_runtime': 'Runtime',
    'engine': 'ICudaEngine',
    'context': 'IExecutionContext',
    '_context': 'IExecutionContext',
}
"""What the seam calls its objects, and which interface of TensorRT each is."""


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
    assert fake_gpu.builds == 2


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
    with pytest.raises(PlanRefused, match=r'refuses the plan: .*magic tag does not match'):
        LoadedPlan(b'garbage')
    assert not fake_gpu.leftovers


@versions
def test_a_plan_of_another_gpu(fake_gpu: Any, tiny_model: Path) -> None:
    plan, _ = build(tiny_model)
    fake_gpu.names = ['Another GPU']
    with pytest.raises(EngineError, match='refuses the plan: the plan has another gpu'):
        LoadedPlan(plan)


def test_warnings_of_tensorrt_are_logged(fake_gpu: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert not fake_gpu.builds
    log = tensorrt_api._make_log(load_tensorrt())
    with caplog.at_level(logging.WARNING):
        log.log(2, 'weights are large')
        log.log(3, 'a detail')
    assert [record.message for record in caplog.records] == ['TensorRT: weights are large']
    assert log.errors == []


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


def used_names() -> dict[str, set[str]]:
    """Return the attributes of TensorRT's objects in the source of the seam, by interface.

    Enumerations and classes are reached as ``trt.X.Y``, objects by the names of `INTERFACES`.
    """
    tree = ast.parse(Path(tensorrt_api.__file__).read_text())
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr.startswith('__'):
            continue
        owner = node.value
        if isinstance(owner, ast.Name | ast.Attribute):
            name = owner.id if isinstance(owner, ast.Name) else owner.attr
            kind = INTERFACES.get(name, name if name in NAMES['11.4.0.106'] else '')
            if kind:
                found.setdefault(kind, set()).add(node.attr)
    return found


ONLY_NEW = {('IBuilderConfig', 'progress_monitor')}  # asked for IProgressMonitor first


@pytest.mark.parametrize('version', VERSIONS)
def test_every_name_exists_in_the_real_bindings(version: str) -> None:
    """`tensorrt_names.json` was read off the bindings of each version."""
    used = used_names()
    assert sum(map(len, used.values())) > 30
    assert used['ICudaEngine'] >= {'get_tensor_name', 'create_execution_context'}
    assert used['MemoryPoolType'] == {'WORKSPACE'}
    major_minor = tuple(map(int, version.split('.')[:2]))
    for precision in ('fp32', 'fp16', 'int8'):
        flags = flags_for((major_minor[0], major_minor[1]), precision)  # type: ignore[arg-type]
        used.setdefault('BuilderFlag', set()).update(flags.on, flags.off)
        used.setdefault('NetworkDefinitionCreationFlag', set()).update(flags.network)
    missing = {
        (kind, name)
        for kind, names in used.items()
        for name in names
        if name not in NAMES[version].get(kind, [])
    }
    assert missing <= (ONLY_NEW if version.startswith('8.') else set())


@pytest.mark.parametrize('version', VERSIONS)
def test_the_fake_has_no_method_that_the_real_bindings_lack(version: str) -> None:
    source = (Path(__file__).parents[1] / 'fake_tensorrt.py').read_text()
    real = {
        'Network': 'INetworkDefinition',
        'OnnxParser': 'OnnxParser',
        'Profile': 'IOptimizationProfile',
        'TimingCache': 'ITimingCache',
        'BuilderConfig': 'IBuilderConfig',
        'Builder': 'Builder',
        'Runtime': 'Runtime',
        'Engine': 'ICudaEngine',
        'Inspector': 'EngineInspector',
        'Context': 'IExecutionContext',
    }
    classes = {n.name: n for n in ast.parse(source).body if isinstance(n, ast.ClassDef)}
    assert real.keys() <= classes.keys()
    for fake, kind in real.items():
        methods = {n.name for n in classes[fake].body if isinstance(n, ast.FunctionDef)}
        public = {name for name in methods if not name.startswith('_')}
        assert public <= set(NAMES[version][kind]), fake


def test_the_installed_bindings_are_those_of_the_newest_list() -> None:
    """The wheel of the bindings comes without libraries: it is read, not imported."""
    spec = util.find_spec('tensorrt_bindings')
    assert spec is not None, 'pip install -r requirements/test.txt'
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    binary = (folder / 'tensorrt.so').read_bytes()
    version = VERSIONS[-1]
    assert f'__version__ = "{version}"' in (folder / '__init__.py').read_text()
    absent = [
        (kind, name)
        for kind, names in used_names().items()
        for name in names
        if f'{name}\0'.encode() not in binary  # linkers keep the end of a longer text only once
    ]
    assert absent == []


@pytest.mark.skipif(shutil.which('cc') is None, reason='no C compiler for the empty libraries')
def test_the_newest_list_is_what_the_installed_bindings_say() -> None:
    spec = util.find_spec('tensorrt_bindings')
    assert spec is not None, 'pip install -r requirements/test.txt'
    assert spec.origin is not None
    script = Path(__file__).parents[1] / 'read_tensorrt_names.py'
    command = [sys.executable, str(script), str(Path(spec.origin).parent), '--stubs']
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    ((version, names),) = json.loads(done.stdout).items()
    assert version == VERSIONS[-1]
    assert names == NAMES[version]
