# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Runs a model file's graph that is not in a file: what a conversion measures on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
import onnxruntime

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.model_file import INPUT
from vidseg_ros.inference.onnxruntime_engine import FATAL_ONLY


class GraphSession:
    """A graph in ONNX Runtime on the CPU."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Open a graph.

        Args:
            model: A model file's graph; may have other outputs.

        Raises:
            EngineError: If ONNX Runtime cannot load it.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL_ONLY
        # Frees tensors that have many readers earlier than the default order does.
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=['CPUExecutionProvider']
            )
        except Exception as error:  # ONNX Runtime's and protobuf's errors share no base
            msg = f'ONNX Runtime {onnxruntime.__version__} cannot load the network: {error}'
            raise EngineError(msg) from error

    def run(self, outputs: Sequence[str], frame: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Return what the graph gives for one frame.

        Args:
            outputs: Names of what is wanted.
            frame: (H, W, 3) uint8 in the colour order of the card.

        Raises:
            EngineError: If ONNX Runtime fails.
        """
        try:
            found: list[NDArray[Any]] = self._session.run(list(outputs), {INPUT: frame[None]})
        except Exception as error:  # ONNX Runtime's errors share no base
            shape = 'x'.join(map(str, frame.shape))
            msg = f'ONNX Runtime cannot run the network on a frame of {shape}: {error}'
            raise EngineError(msg) from error
        return found
