# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A GPU that is none: the CUDA runtime and TensorRT as far as the two seams call them.

Memory is real memory with its bounds, work waits on its stream until somebody asks for it, a
captured stream records instead of working, and a network runs its ONNX in ONNX Runtime. Errors
can be ordered; those of the work itself are sticky, as on a GPU.
"""

from collections import Counter
from collections.abc import Callable
import ctypes
from enum import IntEnum
import json
from pathlib import Path
import time
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

NAMES = json.loads((Path(__file__).parent / 'inference' / 'tensorrt_names.json').read_text())

ERRORS = [
    'cudaSuccess',
    'cudaErrorInvalidValue',
    'cudaErrorMemoryAllocation',
    'cudaErrorInvalidDevice',
    'cudaErrorNoDevice',
    'cudaErrorIllegalAddress',
    'cudaErrorLaunchFailure',
    'cudaErrorNotReady',
    'cudaErrorDevicesUnavailable',
    'cudaErrorInsufficientDriver',
    'cudaErrorStreamCaptureUnsupported',
    'cudaErrorStreamCaptureInvalidated',
]


Error: Any = IntEnum('Error', ERRORS, start=0)  # of CUDA; the numbers are our own


class Failure(Exception):  # noqa: N818
    """Of work on the GPU."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.name)
        self.error = error


class Stream:
    def __init__(self, number: int) -> None:
        self.number = number
        self.pending: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.invalid = False

    def __int__(self) -> int:
        return self.number

    def add(self, work: Callable[[], None]) -> None:
        (self.pending if self.recording is None else self.recording).append(work)


class FakeGpu:
    """The state of the machine, and what a test may order.

    Attributes:
        failures: Error by name of the function that gives it, until it is removed.
        broken: Error of the next network that runs, sticky.
        refuses_capture: Whether TensorRT cannot be recorded.
        wrong_graph: Whether a graph forgets its last step.
        hangs: Whether work never ends.
        calls: How often each function was called.
        builds: How many plans were built.
        real_precision: Of all layers; None: as asked.
        noise: Share of the labels that the network gets wrong.
        batch_noise: The same, of frames in a batch.
        profile_noise: The same, of single profiles.
        noise_height: Only frames of this height have noise; None: all have.
        hides_types: Whether the inspector tells no formats, whatever it is asked with.
        context_pixels: Memory that each execution context took, as pixels of its frames.
        destroyed_contexts: How many execution contexts were destroyed.
        last_error: Of the last call that failed, until somebody asks for it.
    """

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self.broken = ''
        self.refuses_capture = self.wrong_graph = self.hangs = False
        self.calls: Counter[str] = Counter()
        self.builds = 0
        self.real_precision: str | None = None
        self.noise = self.batch_noise = 0.0
        self.profile_noise: dict[int, float] = {}
        self.noise_height: int | None = None
        self.hides_types = False
        self.context_pixels: list[int] = []
        self.destroyed_contexts = 0
        self.names = ['Fake GPU']
        self.free_bytes = 1 << 30
        self.sticky = self.last_error = Error.cudaSuccess
        self.device: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.streams: dict[int, Stream] = {}
        self.events = 0
        self.contexts: Counter[tuple[int, int]] = Counter()
        self.on_build: Callable[[], None] = lambda: None

    @property
    def leftovers(self) -> int:
        """How many buffers, streams and events have not been freed."""
        return len(self.device) + len(self.pinned) + len(self.streams) + self.events

    def at(self, places: dict[int, Any], address: int, size: int) -> int:
        """Check that so many bytes there are allocated."""
        for start, memory in places.items():
            if start <= address and address + size <= start + len(memory):
                return address
        raise Failure(Error.cudaErrorIllegalAddress)

    def read_device(self, address: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return a view of memory of the GPU, for work on it."""
        size = int(np.prod(shape))
        self.at(self.device, address, size)
        raw = (ctypes.c_uint8 * size).from_address(address)
        return np.frombuffer(raw, np.uint8).reshape(shape)

    def fail(self, name: str) -> NoReturn:
        """End the work that runs."""
        raise Failure(Error[name])


class FakeCuda:
    """Module ``cuda.bindings.runtime``."""

    cudaError_t = Error  # noqa: N815
    cudaStreamNonBlocking = 1  # noqa: N815
    cudaMemcpyKind = IntEnum(  # noqa: N815
        'cudaMemcpyKind', 'cudaMemcpyHostToDevice cudaMemcpyDeviceToHost'
    )
    cudaStreamCaptureMode = IntEnum(  # noqa: N815
        'cudaStreamCaptureMode', 'cudaStreamCaptureModeThreadLocal'
    )

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu
        for name, function in _functions(gpu).items():
            setattr(self, name, self._guarded(name, function))

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> tuple[Any, ...]:
            gpu = self._gpu
            gpu.calls[name] += 1
            if name == 'cudaGetErrorName':
                return Error.cudaSuccess, arguments[0].name.encode()
            if name == 'cudaGetLastError':
                last, gpu.last_error = gpu.sticky or gpu.last_error, Error.cudaSuccess
                return (last,)
            try:
                if gpu.sticky:
                    gpu.fail(gpu.sticky.name)
                if name in gpu.failures:
                    gpu.fail(gpu.failures[name])
                result = function(*arguments)
            except Failure as failure:
                if failure.error is not Error.cudaErrorNotReady:
                    gpu.last_error = failure.error
                return failure.error, None
            return (Error.cudaSuccess,) if result is None else (Error.cudaSuccess, result)

        def query(stream: Stream) -> tuple[Any, ...]:
            status, *_ = call(stream)
            return (status,)

        return query if name == 'cudaStreamQuery' else call


def _functions(gpu: FakeGpu) -> dict[str, Callable[..., Any]]:  # noqa: C901
    """Return the functions of the runtime API; None is success without a result."""

    def allocate(places: dict[int, Any], size: int) -> int:
        if any(stream.recording is not None for stream in gpu.streams.values()):
            raise Failure(Error.cudaErrorStreamCaptureUnsupported)
        if size > gpu.free_bytes:
            raise Failure(Error.cudaErrorMemoryAllocation)
        memory = (ctypes.c_uint8 * size)(*[0xA5] * min(size, 64))
        places[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def choose(index: int) -> None:
        if not 0 <= index < len(gpu.names):
            raise Failure(Error.cudaErrorInvalidDevice)

    def copy(target: int, source: int, size: int, kind: int, stream: Stream) -> None:
        up = kind == FakeCuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        to, of = (gpu.device, gpu.pinned) if up else (gpu.pinned, gpu.device)
        stream.add(
            lambda: ctypes.memmove(gpu.at(to, target, size), gpu.at(of, source, size), size)
        )

    def create_stream(_flags: int) -> Stream:
        number = 0x51 + max(gpu.streams, default=0)
        gpu.streams[number] = Stream(number)
        return gpu.streams[number]

    def query(stream: Stream) -> None:
        if stream.recording is not None:
            stream.invalid = True
            raise Failure(Error.cudaErrorStreamCaptureUnsupported)
        if not stream.pending:
            return
        if not gpu.hangs:
            try:
                stream.pending.pop(0)()
            except Failure as failure:
                gpu.sticky = failure.error
                raise
        raise Failure(Error.cudaErrorNotReady)

    def begin(stream: Stream, _mode: int) -> None:
        stream.recording, stream.invalid = [], False

    def end(stream: Stream) -> list[Callable[[], None]]:
        recorded, stream.recording = stream.recording, None
        if stream.invalid or recorded is None:
            raise Failure(Error.cudaErrorStreamCaptureInvalidated)
        return recorded[:-1] if gpu.wrong_graph else recorded

    def create_event() -> SimpleNamespace:
        gpu.events += 1
        return SimpleNamespace(at_s=None)

    def destroy_event(_event: Any) -> None:
        gpu.events -= 1

    def elapsed(first: Any, last: Any) -> float:
        if first.at_s is None or last.at_s is None:
            raise Failure(Error.cudaErrorNotReady)
        return 1000 * float(last.at_s - first.at_s)

    def launch(graph: list[Callable[[], None]], stream: Stream) -> None:
        stream.pending.extend(graph)

    return {
        'cudaGetErrorName': lambda _: None,
        'cudaGetLastError': lambda: None,
        'cudaGetDeviceCount': lambda: len(gpu.names),
        'cudaSetDevice': choose,
        'cudaGetDeviceProperties': lambda i: SimpleNamespace(
            name=gpu.names[i].encode(), major=9, minor=0
        ),
        'cudaMemGetInfo': lambda: (gpu.free_bytes, 1 << 30),
        'cudaMalloc': lambda size: allocate(gpu.device, size),
        'cudaFree': lambda address: _forget(gpu.device, address),
        'cudaMallocHost': lambda size: allocate(gpu.pinned, size),
        'cudaFreeHost': lambda address: _forget(gpu.pinned, address),
        'cudaMemcpyAsync': copy,
        'cudaStreamCreateWithFlags': create_stream,
        'cudaStreamDestroy': lambda stream: _forget(gpu.streams, int(stream)),
        'cudaStreamQuery': query,
        'cudaStreamBeginCapture': begin,
        'cudaStreamEndCapture': end,
        'cudaGraphInstantiateWithFlags': lambda graph, _flags: list(graph),
        'cudaGraphDestroy': lambda _graph: None,
        'cudaGraphExecDestroy': lambda _graph: None,
        'cudaGraphLaunch': launch,
        'cudaEventCreate': create_event,
        'cudaEventRecord': lambda event, stream: stream.add(
            lambda: setattr(event, 'at_s', time.perf_counter())
        ),
        'cudaEventElapsedTime': elapsed,
        'cudaEventDestroy': destroy_event,
    }


def _forget(places: dict[int, Any], key: int) -> None:
    if places.pop(key, None) is None:
        raise Failure(Error.cudaErrorInvalidValue)
