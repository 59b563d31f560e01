# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What an engine may want to know besides the model file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidseg_ros.inference.agreement import Sample
from vidseg_ros.inference.tensorrt_options import OnProgress


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Settings of an engine; each engine reads its own."""

    threads: int = 0
    """Threads of an inference on the CPU; 0: as many as there are cores."""
    spinning: bool = True
    """Whether threads that wait for each other in an inference on the CPU keep their core busy:
    quicker when nothing else runs, much slower when something does."""
    cameras: int = 1
    """Most frames of one call, 1 to 8: TensorRT builds a batch of that size."""
    size: tuple[int, int] | None = None
    """Height and width of the camera frames, px, that the GPU shall shrink; None: not known, the
    CPU shrinks them."""
    device: int = 0
    """Number of the GPU."""
    build: bool = True
    """Whether a TensorRT engine may be built (minutes) where none is in the cache."""
    rebuild: bool = False
    """Whether it is built even if there is one."""
    workspace_mib: int = 2048
    """Most memory that a layer of a TensorRT engine may use while it computes, MiB; an engine that
    was built with another limit serves as well."""
    cache: Path | None = None
    """Folder of built engines; None: the user's own."""
    samples: Sequence[Sample] = field(default=(), repr=False)
    """Frames on which a new engine is compared with ONNX Runtime; none: made-up streets."""
    on_progress: OnProgress = lambda _: True
    """Hears of the progress of a build; False cancels it."""
