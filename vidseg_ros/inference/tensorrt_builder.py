# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Gets the TensorRT engine of a model file: out of the cache, or built, checked and kept."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
import hashlib
import logging
from pathlib import Path
import time
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
import onnx

from vidseg_ros.core.errors import EngineError, ModelError
from vidseg_ros.inference.agreement import compare, require, Sample, street_frames, TOLERANCES
from vidseg_ros.inference.cuda_runtime import Gpu
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.model_file import ModelFile, read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.tensorrt_api import build_plan, load_tensorrt, LoadedPlan, PlanRefused
from vidseg_ros.inference.tensorrt_cache import CachedPlan, PlanCache, PlanKey
from vidseg_ros.inference.tensorrt_engine import TensorRtEngine
from vidseg_ros.inference.tensorrt_layers import precision_complaint
from vidseg_ros.inference.tensorrt_options import (
    BuildFlags,
    BuildOptions,
    flags_for,
    parse_version,
    Precision,
    profile_shapes,
    Progress,
    Shape,
    slots_for,
)

_logger = logging.getLogger(__name__)


def open_tensorrt(path: Path, settings: EngineSettings) -> TensorRtEngine:
    """Open the TensorRT engine of a model file; it is built where the cache has none.

    A plan that suits but does not load is passed over, and replaced by the one that is built. What
    is built is compared with ONNX Runtime before it is kept.

    Args:
        path: The model file; its precision is that of the engine.
        settings: What to build, where, and who hears of it.

    Raises:
        ModelError: If the file breaks the model contract, or the new engine disagrees with it.
        ParameterError: If the settings cannot be built.
        GpuError: If the GPU fails, or its memory does not suffice.
        EngineError: If TensorRT or cuda-python is missing, TensorRT refuses the model, the cache
            cannot be used, the build is cancelled, or one is needed and not allowed.
    """
    return _Provision(path, settings).open()


def shapes_of(
    input_size: tuple[int, int], cameras: int, size: tuple[int, int] | None
) -> tuple[Shape, ...]:
    """Return what an engine is built for.

    Always one frame at network size, for frames of any other size; and for frames of the
    camera's size, or without one for those of network size, one and as many as there are cameras.

    Args:
        input_size: Height and width at which the network works, px.
        cameras: Number of cameras.
        size: Height and width of their frames, px; None if they are not known.
    """
    counts = (1, cameras) if cameras != 1 else (1,)
    camera_shapes = [Shape(count, *(size or input_size)) for count in counts]
    return tuple(dict.fromkeys([Shape(1, *input_size), *camera_shapes]))


class _Provision:
    """One model file on one GPU."""

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self._model: ModelFile = read_model(path)
        self._settings = settings
        self._version = str(load_tensorrt().__version__)
        card = self._model.card
        self._content = path.read_bytes()
        _refuse_uint8(self._content, path)
        self._options = BuildOptions(
            precision=cast('Precision', card.precision),
            shapes=shapes_of(card.input_size, settings.cameras, settings.size),
            slots=slots_for(settings.cameras),
            workspace_mib=settings.workspace_mib,
        )
        self._flags: BuildFlags = flags_for(parse_version(self._version), self._options.precision)
        self._gpu = Gpu(settings.device)
        self._key = PlanKey(
            model_sha256=hashlib.sha256(self._content).hexdigest(),
            tensorrt=self._version,
            gpu=self._gpu.name,
            capability=self._gpu.capability,
            precision=self._options.precision,
            shapes=self._options.shapes,
            slots=self._options.slots,
            options=tuple(map(str, self._flags)),
        )
        self._cache = PlanCache(settings.cache)
        self._refused = set[str]()

    def open(self) -> TensorRtEngine:
        engine = None if self._settings.rebuild else self._find()
        if engine is not None:
            return engine
        path = self._model.path
        if not self._settings.build:
            msg = f'no TensorRT engine of {path} is ready: run {self._command()}'
            raise EngineError(msg)
        with self._cache.lock(self._key, self._waiting()):
            engine = None if self._settings.rebuild else self._find()  # another process built it
            return engine or self._build()

    def _command(self) -> str:
        """Return the command that builds what is wanted."""
        size, cameras = self._settings.size, self._settings.cameras
        of_size = '' if size is None else f' --size {size[0]}x{size[1]}'
        of_cameras = '' if cameras == 1 else f' --frames {cameras}'
        return f'vidseg build-engine {self._model.path}{of_size}{of_cameras}'

    def _waiting(self) -> Callable[[], bool]:
        started_s = time.monotonic()
        phase = 'waiting for another process that builds this engine'
        return lambda: self._settings.on_progress(
            Progress(phase=phase, elapsed_s=time.monotonic() - started_s)
        )

    def _find(self) -> TensorRtEngine | None:
        """Return the engine out of the cache; None if there is none that loads."""
        while cached := self._cache.find(self._key, self._refused):
            try:
                engine = self._start(cached.plan, cached.key)
            except PlanRefused as error:
                # Not removed: meanwhile another process may have put a new one in its place.
                _logger.warning('%s is passed over, it does not load: %s', cached.path, error)
                self._refused.add(cached.sha256)
                continue
            engine.file = cached.path
            if self._settings.samples:
                self._check_again(engine, cached)
            return engine
        return None

    def _check_again(self, engine: TensorRtEngine, cached: CachedPlan) -> None:
        """Compare an engine out of the cache on the frames that are given now."""
        try:
            about = cached.about | self._check(engine, cached.key.shapes)
            stem = cached.path.stem.rpartition('-')[0]
            engine.file = self._cache.store(stem, cached.key, cached.plan, about)
        except BaseException as error:
            engine.close()
            if isinstance(error, ModelError) and self._settings.build:
                self._cache.remove(cached.path)
            raise

    def _start(self, plan: bytes, key: PlanKey) -> TensorRtEngine:
        profiles = profile_shapes(key.shapes, key.slots)
        return TensorRtEngine(self._model, LoadedPlan(plan), self._gpu, profiles, self._version)

    def _build(self) -> TensorRtEngine:
        started_s = time.monotonic()
        timing = self._cache.read_timing(self._key)
        plan, timing = build_plan(
            self._content, self._options, self._flags, timing, self._settings.on_progress
        )
        engine = self._start(plan, self._key)
        try:
            about = self._check(engine, self._options.shapes)
            about['workspace_mib'] = self._settings.workspace_mib
            about['build_s'] = round(time.monotonic() - started_s, 1)
            engine.file = self._cache.store(self._model.path.stem, self._key, plan, about)
            self._cache.store_timing(self._key, timing)
        except BaseException:
            engine.close()
            raise
        return engine

    def _check(self, engine: TensorRtEngine, shapes: tuple[Shape, ...]) -> dict[str, Any]:
        """Compare an engine with ONNX Runtime; return what its side-car says about it."""
        self._settings.on_progress(Progress(phase='comparing with ONNX Runtime', elapsed_s=0))
        given = self._settings.samples
        order = self._model.card.input_order
        frames = given or [Sample(image=image) for image in street_frames(order)]
        network, camera = Shape(1, *self._model.card.input_size), shapes[-1]
        tolerance, what = TOLERANCES[self._options.precision], f'the engine of {self._key.gpu}'
        with closing(OnnxRuntimeEngine(self._model.path, shrink=False)) as source:
            if camera[1:] != network[1:]:  # what frames of any other size run on
                require(compare(engine, source, _at_size(frames, network)), tolerance, what)
            samples = _at_size(frames, camera)
            require(agreement := compare(engine, source, samples), tolerance, what)
        for shape in shapes:
            images = [sample.image for sample in _at_size(frames, shape)]
            _check_ways(engine, images, shape.frames, tolerance.pixels)
        complaint = precision_complaint(engine.precisions, self._options.precision)
        if complaint:
            _logger.warning('%s', complaint)
        return {
            'agreement': asdict(agreement),
            'checked_on': 'given frames' if given else 'made-up streets',
            'real_precision': dict(engine.precisions),
            'batching': {str(tuple(shape)): quick for shape, quick in engine.batching.items()},
            'note': engine.info.note,
        }


def _refuse_uint8(content: bytes, path: Path) -> None:
    """Refuse an int8 file whose activations are uint8, as only ONNX Runtime has them."""
    graph = onnx.load_from_string(content).graph
    zeros = {
        node.input[2]
        for node in graph.node
        if node.op_type == 'QuantizeLinear' and len(node.input) == 3
    }
    uint8 = onnx.TensorProto.UINT8
    if any(tensor.name in zeros and tensor.data_type == uint8 for tensor in graph.initializer):
        msg = (
            f'{path} was made for ONNX Runtime, and TensorRT cannot read it; make another with '
            'vidseg convert --precision int8 --engine tensorrt'
        )
        raise EngineError(msg)


def _check_ways(
    engine: TensorRtEngine, images: Sequence[NDArray[np.uint8]], count: int, least: float
) -> None:
    """Compare every way to run so many frames with the one that was compared with the model.

    Which of them is the quickest may be another one whenever the engine is opened.
    """
    calls, same = range(0, len(images), count), dict[str, float]()
    for first in calls:
        batch = [images[(first + index) % len(images)] for index in range(count)]
        ways = engine.infer_every_way(batch)
        checked = next(iter(ways.values()))
        for way, labels in ways.items():
            same[way] = same.get(way, 0.0) + float((labels == checked).mean())
    for way, total in same.items():
        if (share := total / len(calls)) < least:
            frames = 'frames run' if count == 1 else f'{count} frames'
            msg = (
                f'{frames} {way} have {share:.2%} of the labels that they have one by one, '
                f'{least:.0%} are needed; build for fewer frames, or with --rebuild once more'
            )
            raise ModelError(msg)


def _at_size(samples: Sequence[Sample], shape: Shape) -> list[Sample]:
    """Bring frames to the size that the engine shrinks on the GPU."""
    size = (shape.width, shape.height)
    return [
        replace(
            sample,
            image=np.asarray(cv2.resize(sample.image, size, interpolation=cv2.INTER_LINEAR)),
        )
        for sample in samples
    ]
