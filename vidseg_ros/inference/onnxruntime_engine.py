# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: on the CPU the embedded default, it runs everywhere; on CUDA to compare with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import onnxruntime

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.errors import EngineError
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference.cuda_runtime import abandon, any_gpu_broken, is_sticky, lost_gpu_in
from vidseg_ros.inference.model_file import CONFIDENCE, INPUT, LABELS, read_model
from vidseg_ros.inference.prediction import check_frames, EngineInfo, Prediction

CUDA: Final = 'CUDAExecutionProvider'
"""Name of ONNX Runtime's part for NVIDIA GPUs; only the package onnxruntime-gpu has it."""

FATAL_ONLY: Final = 4
"""Severity from which ONNX Runtime logs; what is less than fatal comes as an exception."""


class OnnxRuntimeEngine:
    """Runs a model file with ONNX Runtime.

    Frames are shrunk to the network size as uint8 before the upload, which makes the graph's own
    Resize an identity: quicker on a CPU, and at least 99 % of the labels stay the same.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 0,
        spinning: bool = True,
        shrink: bool = True,
        gpu: int | None = None,
    ) -> None:
        """Open a model file.

        Args:
            path: The model file.
            threads: Threads for one inference; 0 lets ONNX Runtime choose (all cores).
            spinning: Whether threads that wait for each other keep their core busy.
            shrink: Whether frames are shrunk before the graph; False leaves it to the graph, as
                an engine on a GPU does.
            gpu: Number of the GPU on which CUDA runs it; None: the CPU.

        Raises:
            ModelError: If the file breaks the model contract.
            GpuError: If the GPU is lost to this process.
            EngineError: If ONNX Runtime cannot load it, or has no CUDA here.
        """
        model = read_model(path)
        self.card: ModelCard = model.card
        self.has_confidence = model.has_confidence
        providers = _providers(gpu)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry('session.intra_op.allow_spinning', str(int(spinning)))
        options.log_severity_level = FATAL_ONLY
        try:
            self._session: onnxruntime.InferenceSession | None = onnxruntime.InferenceSession(
                str(path), options, providers=providers, enable_fallback=0
            )
        except Exception as error:
            msg = f'ONNX Runtime {onnxruntime.__version__} cannot load {path}: {error}'
            raise _failure(msg, gpu) from error
        if gpu is not None:
            _require_cuda(self._session, gpu)
        self.info = EngineInfo(
            name='onnxruntime' if gpu is None else 'onnxruntime-cuda',
            version=onnxruntime.__version__,
            device='CPU' if gpu is None else f'GPU {gpu}',
            precision=model.card.precision,
        )
        self._shrink, self._batch = shrink, np.empty((0, 0, 0, 3), np.uint8)
        self._gpu = gpu

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        """Segment frames of equal size; see `SegmentationEngine.infer`."""
        if self._session is None:
            msg = 'the engine is closed; open it again'
            raise EngineError(msg)
        height, width = check_frames(frames)
        size = self.card.input_size if self._shrink else (height, width)
        if self._batch.shape[:3] != (len(frames), *size):
            self._batch = np.empty((len(frames), *size, 3), np.uint8)
        for frame, target in zip(frames, self._batch, strict=True):
            resize_image(frame, size, target)
        wanted = [LABELS, CONFIDENCE] if confidence and self.has_confidence else [LABELS]
        try:
            outputs = self._session.run(wanted, {INPUT: self._batch})
        except Exception as error:
            msg = f'ONNX Runtime failed on {len(frames)} frames of {width}x{height}: {error}'
            failure = _failure(msg, self._gpu)
            if is_sticky(failure):
                self.close()
            raise failure from error
        return Prediction(labels=outputs[0], confidence=outputs[1] if len(outputs) > 1 else None)

    def close(self) -> None:
        """Free the session; a second call does nothing."""
        if self._gpu is not None and any_gpu_broken():
            abandon(self._session)  # to free its pinned memory would fail and abort the process
        self._session = None


def _failure(message: str, gpu: int | None) -> EngineError:
    """Return the error of ONNX Runtime, a `GpuError` if the GPU is lost to this process."""
    lost = None if gpu is None else lost_gpu_in(message, gpu)
    return EngineError(message) if lost is None else lost


def _providers(gpu: int | None) -> list[str | tuple[str, dict[str, Any]]]:
    """Return what may run the graph, the best first."""
    if gpu is None:
        return ['CPUExecutionProvider']
    if CUDA not in onnxruntime.get_available_providers():
        msg = (
            f'ONNX Runtime {onnxruntime.__version__} has no CUDA here; install onnxruntime-gpu in '
            'the place of onnxruntime'
        )
        raise EngineError(msg)
    return [(CUDA, {'device_id': gpu, 'use_tf32': 0}), 'CPUExecutionProvider']


def _require_cuda(session: onnxruntime.InferenceSession, gpu: int) -> None:
    """Refuse a session that goes on without CUDA, which ONNX Runtime does not say."""
    if CUDA not in session.get_providers():
        msg = (
            f'ONNX Runtime {onnxruntime.__version__} cannot use CUDA on GPU {gpu}; check the '
            'driver, and CUDA and cuDNN of the versions that onnxruntime-gpu asks for'
        )
        raise EngineError(msg)
