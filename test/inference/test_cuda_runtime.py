# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The seam to CUDA, over the fake, and its names in the real bindings."""

import ast
from importlib import import_module
from pathlib import Path
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference import cuda_runtime
from vidseg_ros.inference.cuda_runtime import (
    any_gpu_broken,
    DeviceMemory,
    Event,
    Gpu,
    GpuError,
    is_sticky,
    load_cuda,
    lost_gpu_in,
    MODULES,
    PinnedMemory,
    Stream,
)


def test_a_missing_cuda_python_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        EngineError, match=r'not installed; pip install "vidseg_.* pip install "cuda-python<13"$'
    ):
        load_cuda()


def test_the_older_place_of_cuda_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULES[0], None)
    monkeypatch.setitem(sys.modules, MODULES[1], 'the old one')
    assert load_cuda() == 'the old one'


def test_a_gpu_tells_what_it_is(fake_gpu: Any) -> None:
    fake_gpu.names = ['A', 'B']
    gpu = Gpu(1)
    assert (gpu.index, gpu.name, gpu.capability) == (1, 'B', '9.0')
    assert gpu.memory() == (1 << 30, 1 << 30)
    with pytest.raises(GpuError, match=r'GPU 2: cudaSetDevice gave cudaErrorInvalidDevice; there'):
        Gpu(2)


def test_a_machine_without_a_gpu(fake_gpu: Any) -> None:
    fake_gpu.failures['cudaGetDeviceCount'] = 'cudaErrorNoDevice'
    with pytest.raises(GpuError, match=r'no NVIDIA GPU is visible: check nvidia-smi') as caught:
        Gpu()
    assert not is_sticky(caught.value)
    assert not any_gpu_broken()


def test_a_driver_of_cuda_12_needs_an_older_cuda_python(fake_gpu: Any) -> None:
    fake_gpu.failures['cudaGetDeviceCount'] = 'cudaErrorInsufficientDriver'
    with pytest.raises(GpuError, match=r'needs driver 580 or .*: pip install "cuda-python<13"$'):
        Gpu()


HELD = """
from vidseg_ros.inference.cuda_runtime import abandon
class Held:
    def __del__(self): print('freed', flush=True)
"""


@pytest.mark.parametrize(
    ('keep', 'freed'), [('kept = [Held()]', 'freed\n'), ('abandon(Held())', '')]
)
def test_what_is_abandoned_is_never_freed(keep: str, freed: str) -> None:
    """What a module holds is, at the end of the interpreter."""
    root = Path(__file__).parents[2]
    command = [sys.executable, '-c', HELD + keep]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=root, timeout=60
    )
    assert done.stdout == freed


def test_bytes_go_there_and_back_in_the_order_of_the_stream(fake_gpu: Any) -> None:
    gpu = Gpu()
    stream, device = Stream(gpu), DeviceMemory(gpu, 6)
    there, back = PinnedMemory(gpu, (2, 3)), PinnedMemory(gpu, (2, 3))
    there.array[:] = [[1, 2, 3], [4, 5, 6]]
    back.array[:] = 0
    stream.upload(device, there)
    stream.download(back, device)
    assert not back.array.any(), 'nothing is done before somebody waits'
    stream.wait()
    np.testing.assert_array_equal(back.array, there.array)
    for thing in (stream, device, there, back):
        thing.free()
    assert not fake_gpu.leftovers


def test_events_take_the_time_between(fake_gpu: Any) -> None:
    gpu = Gpu()
    stream, first, last = Stream(gpu), Event(gpu), Event(gpu)
    stream.record(first)
    stream.record(last)
    with pytest.raises(GpuError, match='cudaErrorNotReady; please report it'):
        last.ms_since(first)
    stream.wait()
    assert last.ms_since(first) > 0
    for thing in (stream, first, last):
        thing.free()
    assert not fake_gpu.leftovers


def test_a_graph_does_the_same_again(fake_gpu: Any) -> None:
    gpu = Gpu()
    stream, device = Stream(gpu), DeviceMemory(gpu, 4)
    there, back = PinnedMemory(gpu, (4,)), PinnedMemory(gpu, (4,))
    stream.begin_capture()
    stream.upload(device, there)
    stream.download(back, device)
    graph = stream.end_capture()
    back.array[:] = 0
    stream.wait()
    assert not back.array.any(), 'recorded, not done'
    for value in (7, 8):
        there.array[:] = value
        stream.launch(graph)
        stream.wait()
        assert (back.array == value).all()
    graph.free()
    assert fake_gpu.calls['cudaGraphDestroy'] == fake_gpu.calls['cudaGraphExecDestroy'] == 1


def test_out_of_memory_says_what_to_do(fake_gpu: Any) -> None:
    gpu = Gpu()
    fake_gpu.free_bytes = 10
    with pytest.raises(GpuError, match=r'the GPU is out of memory: fewer cameras') as caught:
        DeviceMemory(gpu, 11)
    assert caught.value.name == 'cudaErrorMemoryAllocation'
    assert not fake_gpu.last_error, 'it is forgotten, else the next to look takes it for its own'
    DeviceMemory(gpu, 10).free()


def test_a_gpu_that_is_taken_can_be_had_later(fake_gpu: Any) -> None:
    fake_gpu.failures['cudaSetDevice'] = 'cudaErrorDevicesUnavailable'
    with pytest.raises(GpuError, match=r'Unavailable; the GPU is busy or reserved for another'):
        Gpu()
    del fake_gpu.failures['cudaSetDevice']
    assert Gpu().name == 'Fake GPU'


def test_an_illegal_address_is_for_ever(fake_gpu: Any) -> None:
    gpu = Gpu()
    stream, device, large = Stream(gpu), DeviceMemory(gpu, 4), PinnedMemory(gpu, (5,))
    stream.upload(device, large)
    with pytest.raises(GpuError, match=r'cudaErrorIllegalAddress; CUDA cannot be used again'):
        stream.wait()
    with pytest.raises(GpuError, match='cudaErrorIllegalAddress') as caught:
        Gpu()
    assert fake_gpu.sticky
    assert is_sticky(caught.value)
    assert any_gpu_broken()
    assert not gpu.lost, 'it answers: what it holds can be freed'


def test_a_gpu_that_never_answers(fake_gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_runtime, 'WAIT_S', 0.01)
    gpu = Gpu()
    stream, device, host = Stream(gpu), DeviceMemory(gpu, 4), PinnedMemory(gpu, (4,))
    fake_gpu.hangs = True
    stream.upload(device, host)
    with pytest.raises(GpuError, match=r'GPU 0 did not answer for 0 s') as caught:
        stream.wait()
    assert (caught.value.name, caught.value.sticky) == ('timeout', True)
    assert any_gpu_broken()
    assert gpu.lost
    calls = fake_gpu.calls.total()
    for ask in (device.free, host.free, stream.free, Gpu):
        with pytest.raises(GpuError, match='did not answer'):
            ask()
    assert fake_gpu.calls.total() == calls, 'it is not asked again'


@pytest.mark.parametrize(
    ('told', 'name'),
    [
        ('CUDA failure 700: an illegal memory access was encountered ', 'cudaErrorIllegalAddress'),
        ('CUDA failure 719: unspecified launch failure ', 'cudaErrorLaunchFailure'),
        ('CUDA failure 2: out of memory ', None),
        ('CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ', None),
        ('CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ', None),
        ('CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ', None),
        ('MYCUDA failure 700: ', None),
        ('CUDA failure 7000: ', None),
        ('Failed to allocate memory for requested buffer of size 700', None),
    ],
)
def test_what_onnx_runtime_tells_of_a_lost_gpu(
    monkeypatch: pytest.MonkeyPatch, told: str, name: str | None
) -> None:
    monkeypatch.setattr(cuda_runtime, '_broken_gpus', {})
    lost = lost_gpu_in(f'[ONNXRuntimeError] : 1 : FAIL : {told}; GPU=1 ; hostname=car ; ', 1)
    assert any_gpu_broken() == (name is not None)
    if name is None:
        assert lost is None
        return
    assert lost is not None
    assert is_sticky(lost)
    assert lost.name == name
    assert str(lost).endswith('hostname=car; ' + cuda_runtime._LOST)


def test_numbers_are_those_of_the_real_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULES[0], raising=False)
    errors = import_module(MODULES[0]).cudaError_t
    numbers = {name: number for name, number in cuda_runtime._STICKY.items() if number is not None}
    assert numbers == {name: int(getattr(errors, name)) for name in numbers}
    assert len(numbers) == len(cuda_runtime._STICKY) - 1


def test_every_name_exists_in_the_real_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuda-python can be imported without a GPU; only its calls need one."""
    monkeypatch.delitem(sys.modules, MODULES[0], raising=False)
    real = import_module(MODULES[0])
    source = Path(cuda_runtime.__file__).read_text()
    words = {
        word
        for node in ast.walk(ast.parse(source))
        for word in (
            [node.attr]
            if isinstance(node, ast.Attribute)
            else [node.value]
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            else []
        )
        if word.startswith('cuda') and word.isalnum()
    }
    assert len(words) > 30
    places = (real, real.cudaError_t, real.cudaMemcpyKind, real.cudaStreamCaptureMode)
    assert [w for w in sorted(words) if not any(hasattr(place, w) for place in places)] == []
