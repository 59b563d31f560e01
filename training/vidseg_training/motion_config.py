# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The settings of one training run of a motion network."""

from dataclasses import dataclass, field
from typing import Literal

from vidseg_ros.core.errors import ParameterError
from vidseg_training.config import check_finite
from vidseg_training.motion_loss import MotionLossWeights
from vidseg_training.networks.motion import MotionMode


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """Everything that decides the outcome of a run."""

    clips: tuple[str, ...]
    """Videos, folders with the images of videos, ``street:SEED``; one that is given twice is seen
    twice as often."""
    validation: tuple[str, ...] = ()
    """Clips that are only scored; without any, the last tenth of every training clip is."""
    mode: MotionMode = 'reconstruction'
    """Whether the network sees the frame that it is to explain, or predicts it."""
    flow: Literal['dis', 'farneback', 'none', 'own'] = 'dis'
    """Optical flow that the network starts from; 'own': a function, from Python only."""
    width: int = 16
    """Channels of the network at half resolution."""
    height: int = 360
    """Frames are shrunk to it, px; a frame takes 0.5 to 0.7 MB of memory at 360."""
    crop_size: tuple[int, int] = (256, 320)
    """Height and width in pixels of training crops."""
    spacing: int = 3
    """Frames of a window are 1 to this many frames apart."""
    epochs: int = 10
    """Parts of the run; after each the network is scored and draws samples."""
    windows: int = 200
    """Windows of three frames an epoch."""
    batch_size: int = 4
    """Windows a step."""
    learning_rate: float = 2e-3
    """Learning rate of AdamW at the start; it falls to zero along a half cosine."""
    weight_decay: float = 1e-4
    """Decoupled weight decay of AdamW."""
    clip_norm: float = 1.0
    """Longest gradient of a step; a longer one is shortened to it."""
    loss: MotionLossWeights = field(default_factory=MotionLossWeights)
    """How much each term of the loss counts."""
    seed: int = 0
    """Seed of initial weights, windows and crops."""
    workers: int = 0
    """Processes that prepare windows beside the one that learns."""
    checkpoint_steps: int = 50
    """Steps between checkpoints; a killed run resumes at the last one, exactly."""
    tensorboard: bool = False
    """Whether to write files for TensorBoard beside the log."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If a value is out of range; the message names it.
        """
        self._check_numbers()
        check_finite(self)
        check_finite(self.loss)
        if not self.clips:
            msg = 'clips: give at least one video or folder of frames'
            raise ParameterError(msg)
        if min(self.crop_size) < 64:
            msg = f'crop_size must be 64 px or more along both sides, not {self.crop_size}'
            raise ParameterError(msg)
        if self.windows % self.batch_size:
            msg = f'windows must be a multiple of batch_size {self.batch_size}, not {self.windows}'
            raise ParameterError(msg)

    def _check_numbers(self) -> None:
        """Check what is a number by itself."""
        least_one = (
            'width',
            'height',
            'spacing',
            'epochs',
            'windows',
            'batch_size',
            'checkpoint_steps',
        )
        for name in least_one:
            if getattr(self, name) < 1:
                msg = f'{name} must be 1 or more, not {getattr(self, name)}'
                raise ParameterError(msg)
        for name in ('learning_rate', 'clip_norm'):
            if not getattr(self, name) > 0:  # NaN is not either
                msg = f'{name} must be above zero, not {getattr(self, name)}'
                raise ParameterError(msg)
        for name in ('weight_decay', 'seed', 'workers'):
            if not getattr(self, name) >= 0:
                msg = f'{name} must be zero or above, not {getattr(self, name)}'
                raise ParameterError(msg)
        if self.seed >= 2**32:
            msg = f'seed must be from 0 to {2**32 - 1}, not {self.seed}'
            raise ParameterError(msg)
