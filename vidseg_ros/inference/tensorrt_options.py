# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a TensorRT engine is built with: shapes, precision, and the flags of each version."""

from collections.abc import Callable
from dataclasses import dataclass
import re
from typing import Final, get_args, Literal, NamedTuple

from vidseg_ros.core.errors import EngineError, ParameterError

Precision = Literal['fp32', 'fp16', 'int8']
"""Arithmetic of a model file, and of the engine built from it."""

OLDEST: Final = (8, 5)
STRONGLY_TYPED: Final = (10, 12)
"""Version since which weak typing is deprecated; 11 knows nothing else."""

MOST_CAMERAS: Final = 8
SLOTS: Final = 2
"""Sets of buffers for frames one by one: one is filled while the other computes."""

OWN_TACTICS: Final = ('EDGE_MASK_CONVOLUTIONS', 'JIT_CONVOLUTIONS')
"""Of TacticSource, what TensorRT 8 uses by default besides cuBLAS and cuDNN."""


class Shape(NamedTuple):
    """Frames of one call."""

    frames: int
    """Number of frames."""
    height: int
    """px."""
    width: int
    """px."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a build is."""

    phase: str
    """What it does."""
    elapsed_s: float
    """Time since its start, seconds."""
    share: float | None = None
    """Share of the phase that is done, 0 to 1; None where TensorRT does not tell (before 10)."""

    def __str__(self) -> str:
        """Return it for people."""
        share = '' if self.share is None else f' {self.share:.0%}'
        return f'{self.phase}{share}, {self.elapsed_s:.0f} s'


class BuildCancelled(EngineError):  # noqa: N818  # no error: somebody wanted it so
    """A build, or the wait for one, was cancelled."""


OnProgress = Callable[[Progress], bool]
"""Hears of progress, from any thread; False cancels (as soon as TensorRT asks, 10 and later)."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a plan is made with, besides model, GPU and version.

    Raises:
        ParameterError: If a value is not allowed.
    """

    precision: Precision
    """That of the model file."""
    shapes: tuple[Shape, ...]
    """What the engine takes, each with an optimisation profile of its own."""
    slots: int = SLOTS
    """Optimisation profiles of each shape of a single frame."""
    workspace_mib: int = 2048
    """Most memory that a layer may use while it computes, MiB."""

    def __post_init__(self) -> None:
        """Check the values."""
        if self.precision not in get_args(Precision):
            msg = (
                f'precision {self.precision!r} cannot be built, choose from '
                f'{", ".join(get_args(Precision))}; give a model file of one of them'
            )
            raise ParameterError(msg)
        if not self.shapes or len(set(self.shapes)) != len(self.shapes):
            msg = f'shapes must be one or more, each once, not {self.shapes}'
            raise ParameterError(msg)
        for shape in self.shapes:
            if not 1 <= shape.frames <= MOST_CAMERAS or min(shape) < 1:
                msg = (
                    f'{shape} cannot be built: 1 to {MOST_CAMERAS} frames of at least one pixel; '
                    'correct --frames or --size'
                )
                raise ParameterError(msg)
        if self.workspace_mib < 1:
            msg = f'workspace must be 1 MiB or more, not {self.workspace_mib}'
            raise ParameterError(msg)


class BuildFlags(NamedTuple):
    """Names of TensorRT's flags; all of them go into the key of the cache."""

    network: tuple[str, ...]
    """Of NetworkDefinitionCreationFlag."""
    on: tuple[str, ...]
    """Of BuilderFlag, set."""
    off: tuple[str, ...]
    """Of BuilderFlag, cleared."""
    tactics: tuple[str, ...]
    """Of TacticSource, all others are left out; none: as TensorRT has it."""


def parse_version(text: str) -> tuple[int, int]:
    """Return major and minor of a version such as ``10.13.3.9``.

    Raises:
        EngineError: If it is none, or older than `OLDEST`.
    """
    match = re.match(r'(\d+)\.(\d+)', text)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version < OLDEST:
        msg = f'TensorRT {text} is too old; install {".".join(map(str, OLDEST))} or later'
        raise EngineError(msg)
    return version


def flags_for(version: tuple[int, int], precision: Precision) -> BuildFlags:
    """Choose the flags with which a version builds a precision.

    Since 10.12 the precision is in the ONNX alone, and a flag for it is refused (11) or without
    effect; before, TensorRT takes lower precisions only where a flag allows them. Before 10,
    cuBLAS and cuDNN are on by default, and these networks need neither.

    Args:
        version: Major and minor of TensorRT.
        precision: Of the model file.
    """
    typed = version >= STRONGLY_TYPED
    allowed = {'fp32': (), 'fp16': ('FP16',), 'int8': ('FP16', 'INT8')}[precision]
    network = ('EXPLICIT_BATCH',) if version < (10, 0) else ()
    return BuildFlags(
        network=('STRONGLY_TYPED',) if typed else network,
        on=() if typed else allowed,
        off=('TF32',) if precision == 'fp32' else (),
        tactics=OWN_TACTICS if version < (10, 0) else (),
    )


def slots_for(cameras: int) -> int:
    """Return how many sets of buffers single frames have: one camera's never overlap."""
    return 1 if cameras == 1 else SLOTS


def profile_shapes(shapes: tuple[Shape, ...], slots: int) -> tuple[Shape, ...]:
    """Return the shape of each optimisation profile, in order.

    Single frames have one for each slot: until TensorRT 8.6 two execution contexts cannot use
    the same profile at a time.

    Args:
        shapes: What the engine takes.
        slots: Sets of buffers for single frames.
    """
    return tuple(shape for shape in shapes for _ in range(slots if shape.frames == 1 else 1))
