# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The thin seam to CUDA: the only module that calls cuda-python.

Memory, streams, events and graphs of one GPU. Every failing call raises `GpuError`, which says
what it means for the user. See the CUDA Runtime API reference for what each call does.
"""

from contextlib import suppress
import ctypes
from importlib import import_module
import re
import time
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import EngineError

MODULES: Final = ('cuda.bindings.runtime', 'cuda.cudart')
"""Where cuda-python keeps the runtime API: since 12.6, and before."""

WAIT_S: Final = 10.0
"""Longest wait for work on the GPU; one that never answers must not hang a vehicle, seconds."""

_POLL_S: Final = 20e-6

OUT_OF_MEMORY: Final = 'cudaErrorMemoryAllocation'
_TIMEOUT: Final = 'timeout'

_broken_gpus: dict[int, str] = {}
"""GPUs of which this process can make no more use, and the name of the error that said so."""

_ADVICE: Final = {
    OUT_OF_MEMORY: 'the GPU is out of memory: fewer cameras in one batch, a smaller '
    'model, or end what else uses the GPU',
    'cudaErrorDevicesUnavailable': 'the GPU is busy or reserved for another process: see '
    'nvidia-smi for what runs there and for the compute mode',
    'cudaErrorNoDevice': 'no NVIDIA GPU is visible: check nvidia-smi (and --gpus of a container)',
    'cudaErrorInsufficientDriver': 'the NVIDIA driver is missing or older than cuda-python: '
    'cuda-python 13 needs driver 580 or later (CUDA 13); with a driver of CUDA 12, as in JetPack '
    '6: pip install "cuda-python<13"',
    'cudaErrorInvalidDevice': 'there is no GPU of that number: check nvidia-smi',
}
_STICKY: Final[dict[str, int | None]] = {
    'cudaErrorAssert': 710,
    'cudaErrorECCUncorrectable': 214,
    'cudaErrorHardwareStackError': 714,
    'cudaErrorIllegalAddress': 700,
    'cudaErrorIllegalInstruction': 715,
    'cudaErrorInvalidAddressSpace': 717,
    'cudaErrorInvalidPc': 718,
    'cudaErrorLaunchFailure': 719,
    'cudaErrorLaunchTimeout': 702,
    'cudaErrorMisalignedAddress': 716,
    'cudaErrorUnknown': 999,
    _TIMEOUT: None,
}
"""After these every call fails, until the process ends; their names and CUDA's numbers."""

_TOLD: Final = re.compile(r'\bCUDA failure (\d+): ')
"""How ONNX Runtime tells an error of CUDA; "CUDNN failure 8: " and the like have other numbers."""

_LOST: Final = 'CUDA cannot be used again in this process: restart it, and check dmesg for Xid'


class GpuError(EngineError):
    """CUDA or TensorRT failed on the GPU.

    Attributes:
        name: CUDA's name of the error, such as ``cudaErrorIllegalAddress``.
        sticky: Whether every further call fails too, until the process ends.
    """

    def __init__(self, name: str, message: str) -> None:
        """Remember the name beside the message for people."""
        super().__init__(message)
        self.name, self.sticky = name, name in _STICKY


def is_sticky(error: BaseException) -> TypeGuard[GpuError]:
    """Return whether an error means that only another process can use the GPU."""
    return isinstance(error, GpuError) and error.sticky


def lost_gpu_in(message: str, index: int) -> GpuError | None:
    """Return the sticky error that ONNX Runtime tells of; None: it tells of none.

    Args:
        message: Such as "… CUDA failure 700: an illegal memory access was encountered ; GPU=0 …".
        index: Number of the GPU that it used.
    """
    numbers = {int(number) for number in _TOLD.findall(message)}
    name = next((name for name, number in _STICKY.items() if number in numbers), None)
    if name is None:
        return None
    _broken_gpus.setdefault(index, name)
    return GpuError(name, f'{message.rstrip(" ;")}; {_LOST}')


def any_gpu_broken() -> bool:
    """Return whether there was such an error, even if nobody was told of it."""
    return bool(_broken_gpus)


def load_cuda() -> Any:  # noqa: ANN401  # a foreign module without types
    """Return cuda-python's module of the runtime API.

    Raises:
        EngineError: If cuda-python is not installed.
    """
    for name in MODULES:
        with suppress(ImportError):
            return import_module(name)
    msg = (
        'cuda-python is not installed; pip install "vidseg_ros[tensorrt]", and with a driver of '
        'CUDA 12, as in JetPack 6: pip install "cuda-python<13"'
    )
    raise EngineError(msg)


def abandon(*things: object) -> None:
    """Keep for ever what a GPU holds that does not answer: to free it might never return.

    Not even the end of the interpreter, which destroys what modules hold, calls a destructor.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(things))


class Gpu:
    """One GPU; its methods may be called from any thread after `use` there."""

    def __init__(self, index: int = 0) -> None:
        """Choose a GPU and look at it.

        Args:
            index: Its number, as CUDA counts.

        Raises:
            EngineError: If cuda-python is not installed.
            GpuError: If there is no such GPU.
        """
        self._cuda, self.index = load_cuda(), index
        self.call('cudaGetDeviceCount')
        self.use()
        properties = self.call('cudaGetDeviceProperties', index)
        name = properties.name
        self.name: str = name.decode() if isinstance(name, bytes) else str(name)
        self.capability: str = f'{properties.major}.{properties.minor}'

    def call(self, function: str, *arguments: object) -> Any:  # noqa: ANN401  # as CUDA says
        """Call a function of the runtime API; return its result without the status.

        Raises:
            GpuError: If the status is not success, or the GPU is lost.
        """
        if self.lost:
            raise self.give_up()
        status, *results = getattr(self._cuda, function)(*arguments)
        if status != self._cuda.cudaError_t.cudaSuccess:
            self._raise(function, status)
        return results[0] if len(results) == 1 else tuple(results)

    def _raise(self, function: str, status: Any) -> None:  # noqa: ANN401  # an enum of CUDA
        self._cuda.cudaGetLastError()  # forgets it: TensorRT would take it for one of its own
        _, raw = self._cuda.cudaGetErrorName(status)
        name = raw.decode() if isinstance(raw, bytes) else str(raw)
        if name in _STICKY:
            _broken_gpus.setdefault(self.index, name)
        advice = _LOST if name in _STICKY else _ADVICE.get(name, 'please report it, with the log')
        msg = f'GPU {self.index}: {function} gave {name}; {advice}'
        raise GpuError(name, msg)

    @property
    def lost(self) -> bool:
        """Whether it did not answer once.

        Whatever is asked of it, even to free memory, might never return: so nothing is.
        """
        return _broken_gpus.get(self.index) == _TIMEOUT

    def give_up(self) -> GpuError:
        """Note that it does not answer; return the error that says so."""
        _broken_gpus[self.index] = _TIMEOUT
        msg = f'GPU {self.index} did not answer for {WAIT_S:.0f} s; {_LOST}'
        return GpuError(_TIMEOUT, msg)

    def use(self) -> None:
        """Make it the GPU of the calling thread."""
        self.call('cudaSetDevice', self.index)

    def memory(self) -> tuple[int, int]:
        """Return free and total memory, bytes."""
        free, total = self.call('cudaMemGetInfo')
        return int(free), int(total)


class DeviceMemory:
    """Memory on a GPU."""

    def __init__(self, gpu: Gpu, size: int) -> None:
        """Allocate ``size`` bytes.

        Raises:
            GpuError: If there are not so many.
        """
        self._gpu = gpu
        self.address: int = int(gpu.call('cudaMalloc', size))

    def free(self) -> None:
        """Give it back."""
        self._gpu.call('cudaFree', self.address)


class PinnedMemory:
    """Page-locked memory of the host: the GPU reads and writes it without a copy in between.

    Attributes:
        array: uint8 view of it, valid until `free`.
    """

    def __init__(self, gpu: Gpu, shape: tuple[int, ...]) -> None:
        """Allocate room for a uint8 array.

        Raises:
            GpuError: If the memory cannot be had.
        """
        self._gpu = gpu
        size = int(np.prod(shape))
        self.address: int = int(gpu.call('cudaMallocHost', size))
        raw = (ctypes.c_uint8 * size).from_address(self.address)
        self.array: NDArray[np.uint8] = np.ctypeslib.as_array(raw).reshape(shape)

    def free(self) -> None:
        """Give it back; the array must not be used any more."""
        self._gpu.call('cudaFreeHost', self.address)


class Event:
    """A moment in the work of a stream."""

    def __init__(self, gpu: Gpu) -> None:
        """Create it."""
        self._gpu = gpu
        self.handle = gpu.call('cudaEventCreate')

    def ms_since(self, earlier: 'Event') -> float:
        """Return milliseconds from an earlier event; both must have happened."""
        return float(self._gpu.call('cudaEventElapsedTime', earlier.handle, self.handle))

    def free(self) -> None:
        """Destroy it."""
        self._gpu.call('cudaEventDestroy', self.handle)


class Graph:
    """Work that was recorded from a stream and can be launched as one."""

    def __init__(self, gpu: Gpu, recorded: object) -> None:
        """Make a recording launchable; it is given up."""
        self._gpu = gpu
        try:
            self.handle = gpu.call('cudaGraphInstantiateWithFlags', recorded, 0)
        finally:
            gpu.call('cudaGraphDestroy', recorded)

    def free(self) -> None:
        """Destroy it."""
        self._gpu.call('cudaGraphExecDestroy', self.handle)


class Stream:
    """Work of a GPU in order."""

    def __init__(self, gpu: Gpu) -> None:
        """Create one that does not wait for others."""
        self._gpu, self._cuda = gpu, load_cuda()
        flag = self._cuda.cudaStreamNonBlocking
        self._stream = gpu.call('cudaStreamCreateWithFlags', flag)
        self.handle = int(self._stream)
        """For TensorRT."""

    def upload(self, target: DeviceMemory, source: PinnedMemory) -> None:
        """Copy all of ``source`` to the GPU, later."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        size = source.array.nbytes
        self._gpu.call('cudaMemcpyAsync', target.address, source.address, size, kind, self._stream)

    def download(self, target: PinnedMemory, source: DeviceMemory) -> None:
        """Fill all of ``target`` from the GPU, later."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        size = target.array.nbytes
        self._gpu.call('cudaMemcpyAsync', target.address, source.address, size, kind, self._stream)

    def record(self, event: Event) -> None:
        """Let an event happen when all work so far is done."""
        self._gpu.call('cudaEventRecord', event.handle, self._stream)

    def begin_capture(self) -> None:
        """Record what follows instead of doing it."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._gpu.call('cudaStreamBeginCapture', self._stream, mode)

    def end_capture(self) -> Graph:
        """Return what was recorded since `begin_capture`."""
        return Graph(self._gpu, self._gpu.call('cudaStreamEndCapture', self._stream))

    def launch(self, graph: Graph) -> None:
        """Do what was recorded, later."""
        self._gpu.call('cudaGraphLaunch', graph.handle, self._stream)

    def wait(self) -> None:
        """Wait until all work is done.

        Raises:
            GpuError: If the work failed, or the GPU does not answer for `WAIT_S`.
        """
        deadline = time.monotonic() + WAIT_S
        while True:
            (status,) = self._cuda.cudaStreamQuery(self._stream)
            if status == self._cuda.cudaError_t.cudaSuccess:
                return
            if status != self._cuda.cudaError_t.cudaErrorNotReady:
                self._gpu._raise('cudaStreamQuery', status)  # noqa: SLF001  # the same seam
            if time.monotonic() > deadline:
                raise self._gpu.give_up()
            time.sleep(_POLL_S)

    def free(self) -> None:
        """Destroy it."""
        self._gpu.call('cudaStreamDestroy', self._stream)
