# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a run learns from neighbouring frames and from a teacher; all of it is off by default."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, Literal, TypeAlias

from vidseg_ros.core.errors import ParameterError

Gradient: TypeAlias = Literal['both', 'current']
"""Through which prediction the temporal loss teaches: both, or this frame's alone, the neighbour's
being its target."""


_TERMS: Final = ('pixel', 'pair', 'pair_frames', 'multi_frame')
_OF_CLIPS: Final = ('pair_frames', 'multi_frame')


def _check_weights(settings: object, names: tuple[str, ...]) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) < inf:  # NaN is not either
            msg = f'{name} is a weight, a number from zero up, not {getattr(settings, name)}'
            raise ParameterError(msg)


@dataclass(frozen=True, kw_only=True)
class ConsistencyConfig:
    """What neighbouring frames of a clip have to say to each other; they need no labels."""

    temporal: float = 0.0
    """Weight of the temporal loss (`vidseg_training.consistency.temporal_loss`)."""
    gradient: Gradient = 'both'
    """Whether both frames of a pair learn from the temporal loss, or this one alone."""
    picture_error: float = 9.6
    """Error of the carried picture, grey levels, mean over the colours, at which a pixel counts
    1/e in it; less is stricter. 9.6 is as strict as the released code of Liu et al. with a grey
    error: it sums over three colours and squares, in units of 57.6, one standard deviation of
    the networks' input; their text, which does not square, has 19.2."""
    equivariance: float = 0.0
    """Weight of the same loss under a camera that is moved by hand, on the labelled images
    (`vidseg_training.consistency.equivariance`); it needs no clips, and its motion is exact, so
    that `picture_error` is not for it."""
    ramp: float = 0.0
    """Share of the run, from its start, in which these two weights rise to their full values:
    there is little to agree on yet (as Tarvainen and Valpola, NeurIPS 2017, do)."""
    clips: tuple[Path, ...] = ()
    """Videos, and folders of images that are numbered as the frames of a video."""
    licence: str = ''
    """Licence of the clips, for the model card."""
    batch: int = 2
    """Clips a step, three frames each (t-k, t, t+k), over all devices together."""
    max_gap: int = 3
    """Largest k in frames; drawn uniformly from 1."""
    labelled_middle: bool = False
    """Whether t is a labelled frame: one with the file name of an image of the data set."""
    motion: str = 'farneback'
    """Source of motion: ``farneback`` or the checkpoint of a motion network
    (`vidseg_training.propagation.motion`). Not ``dis``, with which steadiness is measured."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If a value is out of range or does not go with the others.
        """
        _check_weights(self, ('temporal', 'equivariance'))
        if self.batch < 1 or self.max_gap < 1:
            msg = f'batch and max_gap must be 1 or more, not {self.batch} and {self.max_gap}'
            raise ParameterError(msg)
        if not 0 <= self.ramp <= 1:
            msg = f'ramp is a share from 0 to 1, not {self.ramp}'
            raise ParameterError(msg)
        if not 0 < self.picture_error < inf:
            msg = f'picture_error is a number above zero, grey levels, not {self.picture_error}'
            raise ParameterError(msg)
        if self.motion == 'dis':
            msg = (
                'motion dis is what temporal consistency is measured with, and may not train '
                'it: use farneback or a motion network'
            )
            raise ParameterError(msg)

    def check_sources(self) -> None:
        """Check that what is needed is named; a recipe may leave it to the command line.

        Raises:
            ParameterError: If clips or their licence are missing.
        """
        if self.temporal and not self.clips:
            msg = 'consistency.temporal needs consistency.clips: videos or folders of frames'
            raise ParameterError(msg)
        if self.clips and not self.licence:
            msg = 'consistency.clips need consistency.licence, for the model card'
            raise ParameterError(msg)


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """What a teacher has to say, on labelled images and on the frames of clips."""

    teacher: tuple[str, ...] = ()
    """Runs of vidseg-train (folder or weights), published FDDWNet weights (.pth), or ``hf:`` and
    the name or folder of a Hugging Face model; several are one teacher, their mean."""
    scale: float = 1.0
    """Factor by which images are enlarged for the teacher."""
    classes: tuple[str, ...] = ()
    """TEACHER=OURS for every class that the teacher calls otherwise; none: equal names, and for
    Cityscapes and CamVid a table."""
    cache: bool = True
    """Whether the teacher looks at whole images once and what it says is kept on disk, or at every
    augmented crop anew."""
    pixel: float = 0.0
    """Weight of the pixel-wise term (cross-entropy against the teacher's probabilities)."""
    pair: float = 0.0
    """Weight of the pair-wise term within a frame (`vidseg_training.consistency.affinity`)."""
    pair_frames: float = 0.0
    """Weight of the pair-wise term between frames of a clip, PF."""
    multi_frame: float = 0.0
    """Weight of the multi-frame term, MF (`vidseg_training.consistency.multi_frame`)."""
    grid: tuple[int, int] = (18, 24)
    """Rows and columns of the places that the pair-wise terms compare."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If a value is out of range or there is no teacher for a weight.
        """
        _check_weights(self, _TERMS)
        if min(self.grid) < 1 or not self.scale > 0:
            msg = f'grid and scale must be above zero, not {self.grid} and {self.scale}'
            raise ParameterError(msg)

    def check_sources(self, *, clips: bool) -> None:
        """Check that what is needed is named; a recipe may leave it to the command line.

        Args:
            clips: Whether there are clips.

        Raises:
            ParameterError: If the teacher, or clips for it, are missing, or all weights.
        """
        used = [name for name in _TERMS if getattr(self, name)]
        if bool(used) != bool(self.teacher):
            what = f'{", ".join(used)} need a teacher' if used else 'the teacher has no weight'
            msg = f'{what}: give distillation.teacher and one of {", ".join(_TERMS)}'
            raise ParameterError(msg)
        if lacking := [name for name in used if name in _OF_CLIPS and not clips]:
            msg = f'distillation.{lacking[0]} needs consistency.clips: videos or folders of frames'
            raise ParameterError(msg)
