# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""TensorRT on a GPU: the engine of a vehicle."""

from collections.abc import Callable, Sequence
from contextlib import suppress
import logging
from pathlib import Path
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.cuda_runtime import abandon, Gpu, GpuError
from vidseg_ros.inference.model_file import CONFIDENCE, LABELS, ModelFile
from vidseg_ros.inference.prediction import check_frames, EngineInfo, Prediction
from vidseg_ros.inference.tensorrt_api import LoadedPlan
from vidseg_ros.inference.tensorrt_lane import Lane, StageTimes
from vidseg_ros.inference.tensorrt_layers import count_precisions, describe_precision
from vidseg_ros.inference.tensorrt_options import Shape

_logger = logging.getLogger(__name__)

_ROUNDS: Final = 5
"""Runs of each kind when batches are compared with single frames; the quickest counts."""


class TensorRtEngine:
    """Runs a plan that was built from a model file.

    Frames of a size it was built for go to the GPU as they are and are shrunk there; others are
    shrunk to the network size on the CPU first. Several frames run as one batch where there is
    one of that size and it was the quicker way when the engine was opened; else one by one, the
    copies of one beside the computation of the other.
    """

    def __init__(
        self,
        model: ModelFile,
        plan: LoadedPlan,
        gpu: Gpu,
        profiles: tuple[Shape, ...],
        version: str,
    ) -> None:
        """Set up buffers and CUDA graphs, and measure how several frames run best.

        Args:
            model: The model file that the plan was built from.
            plan: On this GPU.
            gpu: In use by the calling thread.
            profiles: Shape of each optimisation profile of the plan, the last one that of the
                cameras; one frame at network size is among them.
            version: Of TensorRT.

        Raises:
            GpuError: If memory does not suffice or the GPU fails.
            EngineError: If TensorRT refuses.
        """
        self.card, self.has_confidence = model.card, model.has_confidence
        self.file: Path | None = None
        """The plan in the cache, once it is there; beside it lies what is known about it."""
        self._gpu, self._lanes = gpu, dict[Shape, list[Lane]]()
        self._plan: LoadedPlan | None = plan  # it must outlive its execution contexts
        self._sizes_told: set[tuple[int, int]] = set()
        assert Shape(1, *self.card.input_size) in profiles
        try:
            for profile, shape in enumerate(profiles):
                lane = Lane(gpu, plan, profile, shape)
                self._lanes.setdefault(shape, []).append(lane)
            self.batching = {
                shape: self._is_quicker(shape) for shape in self._lanes if shape.frames > 1
            }
            """By shape of a batch, whether it is quicker than one frame after the other."""
            self.precisions = count_precisions(self._lane(profiles[-1]).describe_layers())
            """Number of layers by their real precision."""
        except BaseException:
            self.close()
            raise
        problems = {lane.graph_problem for lanes in self._lanes.values() for lane in lanes} - {''}
        self.has_graphs = not problems
        """Whether every lane runs as a CUDA graph."""
        self.info = EngineInfo(
            name='tensorrt',
            version=version,
            device=f'{gpu.name} (GPU {gpu.index})',
            precision=describe_precision(self.precisions),
            note=f'no CUDA graph: {"; ".join(sorted(problems))}' if problems else '',
        )

    @property
    def gpu_name(self) -> str:
        """Name of the GPU, as CUDA says it."""
        return self._gpu.name

    def gpu_memory_used(self) -> int:
        """Return the memory of the GPU that all processes use, bytes.

        Raises:
            EngineError: If the GPU fails.
        """
        self._gpu.use()
        free, total = self._gpu.memory()
        return total - free

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        """Segment frames of equal size; see `SegmentationEngine.infer`."""
        if not self._lanes:
            msg = 'the engine is closed; open it again'
            raise EngineError(msg)
        height, width = check_frames(frames)
        self._gpu.use()
        if Shape(1, height, width) not in self._lanes:
            frames = self._shrink(frames, (height, width))
            height, width = self.card.input_size
        shape = Shape(len(frames), height, width)
        wanted = [LABELS, CONFIDENCE] if confidence and self.has_confidence else [LABELS]
        size = (len(frames), *self.card.input_size)
        results = {name: np.empty(size, np.uint8) for name in wanted}
        if self.batching.get(shape):
            self._run_batch(shape, frames, results)
        else:
            self._run_one_by_one(self._lanes[shape._replace(frames=1)], frames, results)
        return Prediction(labels=results[LABELS], confidence=results.get(CONFIDENCE))

    def infer_every_way(self, frames: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
        """Segment frames in each of the ways that `infer` may take, now or when opened again.

        Each set of buffers has an optimisation profile and with it kernels of its own.

        Args:
            frames: (H, W, 3) uint8, as many and as large as the engine was built for.

        Returns:
            (N, h, w) uint8 label maps, by the way in words: first ``one by one``, then the same in
            other buffers, last ``in one batch``.

        Raises:
            EngineError: If the engine is closed, was not built for the shape, or fails.
        """
        height, width = check_frames(frames)
        self._gpu.use()
        shape = Shape(len(frames), height, width)
        self._lane(shape)
        ways: dict[str, NDArray[np.uint8]] = {}
        for number, lane in enumerate(self._lanes[shape._replace(frames=1)], 1):
            found = np.empty((len(frames), *self.card.input_size), np.uint8)
            self._run_one_by_one([lane], frames, {LABELS: found})
            ways['one by one' if number == 1 else f'one by one in buffers {number}'] = found
        if shape.frames > 1:
            found = np.empty_like(found)
            self._run_batch(shape, frames, {LABELS: found})
            ways['in one batch'] = found
        return ways

    def pinned_frames(self, shape: Shape) -> NDArray[np.uint8]:
        """Return memory from which frames reach the GPU without a copy on the host.

        What is written there and then given to `infer`, in order, is not copied before.

        Args:
            shape: One that the engine was built for.

        Returns:
            (N, H, W, 3) uint8, the engine's own; valid until `close`.

        Raises:
            EngineError: If the engine is closed or was not built for the shape.
        """
        return self._lane(shape).frames.array

    def measure_stages(
        self, frames: Sequence[NDArray[np.uint8]], *, recorded: bool = True
    ) -> StageTimes:
        """Run frames as one batch and time the stages on the GPU, one after the other.

        Args:
            frames: (H, W, 3) uint8, as many and as large as the engine was built for.
            recorded: Whether the network runs as a CUDA graph, where graphs work.

        Raises:
            EngineError: If the engine is closed, was not built for the shape, or fails.
        """
        height, width = check_frames(frames)
        self._gpu.use()
        lane = self._lane(Shape(len(frames), height, width))
        lane.fill(frames)
        return lane.measure(recorded=recorded)

    def close(self) -> None:
        """Free everything; a second call does nothing, and a lost GPU is no error here."""
        lanes, self._lanes = self._lanes, {}
        if self._gpu.lost:
            abandon(lanes, self._plan)
            return
        with suppress(GpuError):
            self._gpu.use()
        for lane in (lane for group in lanes.values() for lane in group):
            with suppress(GpuError):
                lane.close()
        self._plan = None

    def _lane(self, shape: Shape) -> Lane:
        if shape not in self._lanes:
            built = ', '.join(map(str, self._lanes)) or 'nothing any more, it is closed'
            msg = f'the engine was not built for {shape}, but for {built}'
            raise EngineError(msg)
        return self._lanes[shape][0]

    def _shrink(
        self, frames: Sequence[NDArray[np.uint8]], size: tuple[int, int]
    ) -> list[NDArray[np.uint8]]:
        """Shrink frames as ONNX Runtime's engine does."""
        if size not in self._sizes_told:
            self._sizes_told.add(size)
            _logger.warning(
                'frames of %dx%d are shrunk on the CPU; for the GPU: vidseg build-engine --size '
                '%dx%d',
                *reversed(size),
                *size,
            )
        return [resize_image(frame, self.card.input_size) for frame in frames]

    def _run_batch(
        self,
        shape: Shape,
        frames: Sequence[NDArray[np.uint8]],
        results: dict[str, NDArray[np.uint8]],
    ) -> None:
        (lane,) = self._lanes[shape]
        lane.fill(frames)
        lane.start()
        found = lane.finish()
        for name, array in results.items():
            np.copyto(array, found[name])

    def _run_one_by_one(
        self,
        lanes: Sequence[Lane],
        frames: Sequence[NDArray[np.uint8]],
        results: dict[str, NDArray[np.uint8]],
    ) -> None:
        busy: list[tuple[int, Lane]] = []

        def collect() -> None:
            index, lane = busy.pop(0)
            found = lane.finish()
            for name, array in results.items():
                np.copyto(array[index], found[name][0])

        for index, frame in enumerate(frames):
            if len(busy) == len(lanes):
                collect()
            lane = lanes[index % len(lanes)]
            lane.fill([frame])
            lane.start()
            busy.append((index, lane))
        while busy:
            collect()

    def _is_quicker(self, batch: Shape) -> bool:
        """Measure it with frames in ordinary memory: those of a caller are copied either way."""
        frames = [frame.copy() for frame in self._lanes[batch][0].frames.array]
        size = (batch.frames, *self.card.input_size)
        results = {LABELS: np.empty(size, np.uint8)}
        single = self._lanes[batch._replace(frames=1)]
        return _best_s(lambda: self._run_batch(batch, frames, results)) < _best_s(
            lambda: self._run_one_by_one(single, frames, results)
        )


def _best_s(run: Callable[[], None]) -> float:
    best = float('inf')
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
