# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The table of engines: a new one is one file and one line here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from vidseg_ros.core.errors import EngineError, VidsegError
from vidseg_ros.inference.cuda_runtime import is_sticky
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.prediction import SegmentationEngine
from vidseg_ros.inference.tensorrt_api import TensorRtMissing
from vidseg_ros.inference.tensorrt_builder import open_tensorrt
from vidseg_ros.inference.tensorrt_options import BuildCancelled


def _open_onnxruntime(model: Path, settings: EngineSettings) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(model, threads=settings.threads, spinning=settings.spinning)


def _open_onnxruntime_cuda(model: Path, settings: EngineSettings) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(model, gpu=settings.device, shrink=False)


ENGINES: Final[dict[str, Callable[[Path, EngineSettings], SegmentationEngine]]] = {
    'onnxruntime': _open_onnxruntime,
    'onnxruntime-cuda': _open_onnxruntime_cuda,
    'tensorrt': open_tensorrt,
}
"""What opens each engine, called with the model file and settings."""

AUTO: Final = 'auto'
"""Stands for TensorRT where it works, else ONNX Runtime, which then notes why."""

_gpus_that_worked: set[int] = set()
"""On which `AUTO` has opened TensorRT in this process."""

CHOICES: Final = (AUTO, *ENGINES)
"""Names that `create_engine` takes."""


def create_engine(
    kind: str, model: Path, settings: EngineSettings | None = None
) -> SegmentationEngine:
    """Open a model file with the engine of a name.

    Args:
        kind: `AUTO` or a key of `ENGINES`.
        model: The model file.
        settings: What the engine may want to know; None is all defaults.

    Raises:
        ParameterError: If the settings are not allowed.
        BuildCancelled: If `EngineSettings.on_progress` said so; `AUTO` opens nothing else then.
        GpuError: If the GPU fails. With `AUTO` only one that has worked in this process before
            and cannot any more: in another process it may.
        EngineError: If the name is not in the table, or the engine cannot load the model.
        ModelError: If the file breaks the model contract, or a new engine disagrees with it.
    """
    settings = settings or EngineSettings()
    if kind == AUTO:
        return _create_best(model, settings)
    if kind not in ENGINES:
        msg = f'no engine {kind!r}; choose one of {", ".join((AUTO, *ENGINES))}'
        raise EngineError(msg)
    return ENGINES[kind](model, settings)


def _create_best(model: Path, settings: EngineSettings) -> SegmentationEngine:
    try:
        engine = ENGINES['tensorrt'](model, settings)
    except BuildCancelled:
        raise
    except VidsegError as error:
        if is_sticky(error) and settings.device in _gpus_that_worked:
            raise
        engine = _open_onnxruntime(model, settings)
        engine.info = replace(
            engine.info,
            note=f'not TensorRT: {error}',
            degraded=not isinstance(error, TensorRtMissing),
        )
    else:
        _gpus_that_worked.add(settings.device)
    return engine
