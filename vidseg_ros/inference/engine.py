# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The table of engines: a new one is one file and one line here."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.prediction import SegmentationEngine

ENGINES: Final[dict[str, Callable[[Path, EngineSettings], SegmentationEngine]]] = {
    'onnxruntime': lambda model, settings: OnnxRuntimeEngine(
        model, threads=settings.threads, spinning=settings.spinning
    ),
}
"""What opens each engine, called with the model file and settings."""


def create_engine(
    kind: str, model: Path, settings: EngineSettings | None = None
) -> SegmentationEngine:
    """Open a model file with the engine of a name.

    Args:
        kind: A key of `ENGINES`.
        model: The model file.
        settings: What the engine may want to know; None is all defaults.

    Raises:
        EngineError: If the name is not in the table, or the engine cannot load the model.
        ModelError: If the file breaks the model contract.
    """
    if kind not in ENGINES:
        msg = f'no engine {kind!r}; choose one of {", ".join(ENGINES)}'
        raise EngineError(msg)
    return ENGINES[kind](model, settings or EngineSettings())
