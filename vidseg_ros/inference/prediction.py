# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every engine takes, returns and says about itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import EngineError
from vidseg_ros.core.model_card import ModelCard


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What an engine really runs on."""

    name: str
    """Name of the runtime, such as ``onnxruntime``."""
    version: str
    """Version of the runtime."""
    device: str
    """Device, such as ``CPU``."""
    precision: str
    """Arithmetic of the network, such as ``fp32``."""
    note: str = ''
    """What its user should know, such as why another engine was not taken; '' if nothing."""
    degraded: bool = False
    """Whether a better engine is installed but could not be used; ``note`` says why."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Result of one call, owned by the caller: no engine writes into it again."""

    labels: NDArray[np.uint8]
    """(N, h, w) uint8 ids at network size."""
    confidence: NDArray[np.uint8] | None
    """(N, h, w) uint8, 255 = certain; None if not asked for or not in the model."""


class SegmentationEngine(Protocol):
    """Runs one model file; belongs to one thread at a time. `contextlib.closing` closes it."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    @property
    def info(self) -> EngineInfo:
        """Runtime, device and precision."""
        ...

    @property
    def has_confidence(self) -> bool:
        """Whether the model has the optional output."""
        ...

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        """Segment frames of equal size.

        Args:
            frames: N images (H, W, 3) uint8 in the card's colour order, any H and W. Only read,
                and not kept. They may be views, with padding between rows or with channels that
                lie in memory the other way round: `vidseg_ros.core.color_image.resize_image`
                shrinks both without a copy.
            confidence: Whether the confidence is wanted.

        Raises:
            EngineError: If the frames are none, of unequal size or not uint8 (H, W, 3), the
                engine is closed, or the runtime fails.
        """
        ...

    def close(self) -> None:
        """Free everything; a second call does nothing."""
        ...


def check_frames(frames: Sequence[NDArray[np.uint8]]) -> tuple[int, int]:
    """Check what `SegmentationEngine.infer` was given; return height and width in pixels.

    Raises:
        EngineError: If the frames are none, of unequal size or not uint8 (H, W, 3).
    """
    if len(frames) == 0:
        msg = 'no frames to segment; give at least one'
        raise EngineError(msg)
    shape = frames[0].shape
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            msg = f'a frame must be uint8 (H, W, 3), not {frame.dtype} {frame.shape}'
            raise EngineError(msg)
        if frame.shape != shape:
            msg = f'frames of one call must have one size, found {shape} and {frame.shape}'
            raise EngineError(msg)
    return shape[0], shape[1]
