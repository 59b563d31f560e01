# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The table of engines: a new one is one file and one line here."""

from pathlib import Path
from typing import Final, Protocol

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.prediction import SegmentationEngine


class EngineConstructor(Protocol):
    """Opens a model file; engines that compute elsewhere than on the CPU ignore ``threads``."""

    def __call__(self, path: Path, /, *, threads: int = 0) -> SegmentationEngine:
        """Return the engine."""
        ...


ENGINES: Final[dict[str, EngineConstructor]] = {
    'onnxruntime': OnnxRuntimeEngine,
}
"""Constructor of each engine."""


def create_engine(kind: str, model: Path, *, threads: int = 0) -> SegmentationEngine:
    """Open a model file with the engine of a name.

    Args:
        kind: A key of `ENGINES`.
        model: The model file.
        threads: Threads of an inference on the CPU; 0: as many as there are cores.

    Raises:
        EngineError: If the name is not in the table, or the engine cannot load the model.
        ModelError: If the file breaks the model contract.
    """
    if kind not in ENGINES:
        msg = f'no engine {kind!r}; choose one of {", ".join(ENGINES)}'
        raise EngineError(msg)
    return ENGINES[kind](model, threads=threads)
