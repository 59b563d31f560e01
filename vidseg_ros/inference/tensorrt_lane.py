# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One way through a TensorRT engine: buffers, stream and CUDA graph for frames of one shape.

Pinned camera frames -> one upload -> network -> one download of each label map. The addresses
never change, so the whole way is recorded once and launched as one CUDA graph.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
import logging

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.cuda_runtime import (
    abandon,
    DeviceMemory,
    Event,
    Gpu,
    Graph,
    PinnedMemory,
    Stream,
)
from vidseg_ros.inference.model_file import INPUT
from vidseg_ros.inference.tensorrt_api import LoadedPlan
from vidseg_ros.inference.tensorrt_options import Shape

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Time on the GPU of one call, by events of its stream between the stages."""

    copy_in_ms: float
    """Pinned frames to the GPU."""
    compute_ms: float
    """The network, with resizing and argmax."""
    copy_out_ms: float
    """Label maps (and confidence) to pinned memory."""


class Lane:
    """Runs frames of one shape; one call at a time may be under way."""

    def __init__(self, gpu: Gpu, plan: LoadedPlan, profile: int, shape: Shape) -> None:
        """Allocate the buffers and record the CUDA graph.

        Args:
            gpu: In use by the calling thread.
            plan: The engine.
            profile: Number of an optimisation profile of this shape that no other lane has.
            shape: Of the frames.

        Raises:
            GpuError: If the memory does not suffice or the GPU fails.
            EngineError: If TensorRT refuses.
        """
        self.shape = shape
        self._graph: Graph | None = None
        self._network: Graph | None = None
        try:
            self._set_up(gpu, plan, profile)
        except BaseException:
            if gpu.lost:
                abandon(self)
            raise

    def _set_up(self, gpu: Gpu, plan: LoadedPlan, profile: int) -> None:
        with ExitStack() as stack:
            self._stream = Stream(gpu)
            stack.callback(self._stream.free)
            stack.callback(self._drop_graphs)
            frames = (*self.shape, 3)
            self._context = plan.create_context(profile, self._stream.handle, {INPUT: frames})
            self.frames = self._pinned(gpu, stack, frames)
            self._input = self._device(gpu, stack, INPUT, self.frames.array.nbytes)
            self._outputs: dict[str, tuple[PinnedMemory, DeviceMemory]] = {}
            for name in plan.outputs:
                host = self._pinned(gpu, stack, self._context.output_shape(name))
                device = self._device(gpu, stack, name, host.array.nbytes)
                self._outputs[name] = host, device
            self._events = [Event(gpu) for _ in range(4)]
            for event in self._events:
                stack.callback(event.free)
            self.graph_problem = self._record_graph()
            """Why there is no CUDA graph; '' if it runs."""
            self._open = stack.pop_all()

    @staticmethod
    def _pinned(gpu: Gpu, stack: ExitStack, shape: tuple[int, ...]) -> PinnedMemory:
        memory = PinnedMemory(gpu, shape)
        stack.callback(memory.free)
        return memory

    def _device(self, gpu: Gpu, stack: ExitStack, name: str, size: int) -> DeviceMemory:
        memory = DeviceMemory(gpu, size)
        stack.callback(memory.free)
        self._context.bind(name, memory.address)
        return memory

    def fill(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Copy frames into the pinned buffer; one that lies there already is left as it is.

        Args:
            images: As many as the shape says, each (H, W, 3) uint8.
        """
        for image, target in zip(images, self.frames.array, strict=True):
            if image.ctypes.data != target.ctypes.data:
                resize_image(image, target.shape[:2], target)

    def start(self) -> None:
        """Put upload, network and download of the pinned frames on the stream."""
        if self._graph is not None:
            self._stream.launch(self._graph)
        else:
            self._enqueue()

    def finish(self) -> dict[str, NDArray[np.uint8]]:
        """Wait for the results.

        Returns:
            Views of pinned memory, (N, h, w) uint8 by name, valid until the next `start`.

        Raises:
            GpuError: If the GPU failed.
        """
        self._stream.wait()
        return {name: host.array for name, (host, _) in self._outputs.items()}

    def describe_layers(self) -> str:
        """Return what the engine inspector says of all layers, as JSON text."""
        return self._context.describe_layers()

    def measure(self, *, recorded: bool = True) -> StageTimes:
        """Run once and time the stages.

        Args:
            recorded: Whether the network runs as a CUDA graph of its own, where graphs work.
                Enqueued layer by layer, a small one takes as long as the host needs for that.

        Raises:
            GpuError: If the GPU failed.
            EngineError: If TensorRT refuses.
        """
        if self._graph is not None and self._network is None:
            self._network = self._capture(self._context.enqueue)
        begin, uploaded, computed, end = self._events
        self._stream.record(begin)
        self._stream.upload(self._input, self.frames)
        self._stream.record(uploaded)
        if recorded and self._network is not None:
            self._stream.launch(self._network)
        else:
            self._context.enqueue()
        self._stream.record(computed)
        self._download()
        self._stream.record(end)
        self._stream.wait()
        return StageTimes(
            copy_in_ms=uploaded.ms_since(begin),
            compute_ms=computed.ms_since(uploaded),
            copy_out_ms=end.ms_since(computed),
        )

    def close(self) -> None:
        """Free everything; a second call does nothing."""
        self._open.close()

    def _enqueue(self) -> None:
        self._stream.upload(self._input, self.frames)
        self._context.enqueue()
        self._download()

    def _download(self) -> None:
        for host, device in self._outputs.values():
            self._stream.download(host, device)

    def _record_graph(self) -> str:
        """Record and verify a CUDA graph; return why there is none.

        TensorRT must have run once before; what the graph gives is compared with that run.
        """
        pixels = np.random.default_rng(0).integers(0, 256, self.frames.array.shape, np.uint8)
        np.copyto(self.frames.array, pixels)
        self._enqueue()
        expected = {name: array.copy() for name, array in self.finish().items()}
        try:
            self._graph = self._capture(self._enqueue)
            for host, _ in self._outputs.values():
                host.array[:] = 255 - host.array
            self._stream.launch(self._graph)
            found = self.finish()
            if all(np.array_equal(found[name], expected[name]) for name in expected):
                return ''
            problem = 'it gives other results than the plain way'
        except EngineError as error:
            problem = str(error)
        self._drop_graphs()
        _logger.warning('no CUDA graph for %s, every call is enqueued: %s', self.shape, problem)
        # A GPU that is lost, not only unable to record, fails here again.
        self._enqueue()
        self.finish()
        return problem

    def _capture(self, enqueue: Callable[[], None]) -> Graph:
        self._stream.begin_capture()
        try:
            enqueue()
        except EngineError:
            with suppress(EngineError):
                self._stream.end_capture().free()
            raise
        return self._stream.end_capture()

    def _drop_graphs(self) -> None:
        graphs, self._graph, self._network = (self._graph, self._network), None, None
        for graph in graphs:
            if graph is not None:
                graph.free()
