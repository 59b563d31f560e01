# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The settings of one training run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vidseg_ros.core.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides the outcome of a run."""

    name: Annotated[str, tyro.conf.Fixed]
    """Name of the recipe; not an option, because the model card refers to it."""
    network: Literal['compact', 'dual_resolution', 'dual_resolution_small', 'fddwnet']
    """Key of `vidseg_training.networks.NETWORKS`."""
    dataset: Literal['camvid', 'street', 'folder']
    """Data set, see `vidseg_training.data.open_dataset`."""
    data: Path = Path('data')
    """Folder of the data set, in its official layout; unused by generated data."""
    init: Path | None = None
    """Published weights to start from; None starts from random weights."""
    input_size: tuple[int, int] = (360, 480)
    """Height and width in pixels of the exported network's input."""
    crop_size: tuple[int, int] = (360, 360)
    """Height and width in pixels of training crops."""
    scale_range: tuple[float, float] = (0.7, 1.8)
    """Random resize before the crop, drawn log-uniformly."""
    color_jitter: float = 0.25
    """Largest relative change of brightness, contrast and saturation."""
    night: float = 0.0
    """Share of samples that are darkened to what headlights would show."""
    epochs: int = 12
    """Passes over the training set."""
    batch_size: int = 4
    """Images a step."""
    learning_rate: float = 5e-4
    """Peak learning rate of AdamW."""
    warmup_steps: int = 50
    """Steps of linear warm-up before the poly schedule."""
    poly_power: float = 0.9
    """Exponent of the poly schedule (1 - step / steps) ** power."""
    weight_decay: float = 1e-4
    """Decoupled weight decay of AdamW."""
    class_weight_offset: float | None = 1.1
    """c in the class weights 1 / ln(c + share) of Paszke et al. 2016 (ENet); None: no weights.
    Without a teacher the export takes them out of the logits again."""
    auxiliary_weight: float = 0.4
    """Weight of the loss of a network's auxiliary head, if it has one (Zhao et al., CVPR 2017)."""
    relaxed_share: float = 0.0
    """Share of the epochs, from the first, with boundary label relaxation; the others count
    boundaries twice (see `vidseg_training.relaxation`). 0: plain cross-entropy throughout."""
    strict_classes: tuple[str, ...] = ()
    """Names of thin classes whose pixels are never relaxed."""
    class_uniform: float = 0.0
    """Share of an epoch's crops that are drawn class-uniformly
    (see `vidseg_training.data.class_uniform`); 0: none."""
    class_uniform_share: float = 0.85
    """Share of the epochs, from the first, with class-uniform crops."""
    class_uniform_tile: int = 180
    """Side in pixels of the tiles in which classes are looked for."""
    ema_decay: float | None = None
    """Decay a step of the exponential moving average of the weights, which is what ships;
    None: the last weights ship."""
    teacher: Path | None = None
    """Published weights of a network to learn from beside the labels (see
    `vidseg_training.distillation`); None: the labels alone."""
    teacher_height: int = 720
    """Height in pixels to which images are resized for the teacher."""
    distillation_weight: float = 1.0
    """Weight of the distillation loss beside the cross-entropy."""
    unlabelled: tuple[Path, ...] = ()
    """Video files whose frames, without labels, are learned from the teacher alone."""
    unlabelled_step: int = 8
    """Every n-th frame of them is taken."""
    unlabelled_licence: str = ''
    """Licence of the video files, for the model card."""
    propagation: Literal['joint', 'label', 'off'] = 'off'
    """Samples made by ``vidseg-train propagate --mode joint`` or ``label`` are mixed in."""
    propagated: Path | None = None
    """Folder of these samples."""
    propagated_licence: str = ''
    """Licence of the clips that they come from, for the model card."""
    offset: int = 1
    """k: those at ±k frames from a labelled one are."""
    accumulate: bool = False
    """Those at ±1 to ±k are, instead of those at ±k alone."""
    propagated_share: float = 0.85
    """Share of the epochs, from the first, with propagated samples; labelled images take their
    places in the others, as in the official code (150 of 175 epochs)."""
    seed: int = 0
    """Seed of initial weights, order, crops and colours."""
    checkpoint_steps: int = 50
    """Steps between checkpoints; a killed run resumes at the last one, exactly."""
    validate_epochs: int = 4
    """Epochs between scores on the validation set."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If a value is out of range; the message names it.
        """
        positive = (
            'epochs',
            'batch_size',
            'learning_rate',
            'checkpoint_steps',
            'validate_epochs',
            'teacher_height',
            'distillation_weight',
            'unlabelled_step',
            'class_uniform_tile',
            'offset',
        )
        for field in positive:
            if getattr(self, field) <= 0:
                msg = f'{field} must be above zero, not {getattr(self, field)}'
                raise ParameterError(msg)
        if self.auxiliary_weight < 0:
            msg = f'auxiliary_weight must be zero or above, not {self.auxiliary_weight}'
            raise ParameterError(msg)
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            msg = f'scale_range must be two rising numbers above zero, not {self.scale_range}'
            raise ParameterError(msg)
        if self.class_weight_offset is not None and self.class_weight_offset <= 1:
            msg = f'class_weight_offset must be above 1, not {self.class_weight_offset}'
            raise ParameterError(msg)
        for field in (
            'night',
            'relaxed_share',
            'class_uniform',
            'class_uniform_share',
            'propagated_share',
        ):
            if not 0 <= getattr(self, field) <= 1:
                msg = f'{field} is a share from 0 to 1, not {getattr(self, field)}'
                raise ParameterError(msg)
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            msg = f'ema_decay must lie between 0 and 1, not {self.ema_decay}'
            raise ParameterError(msg)
        self._check_sources()

    def _check_sources(self) -> None:
        """Check that what goes with the labelled images is named, with its licence."""
        if self.propagation != 'off' and not (self.propagated and self.propagated_licence):
            msg = f'propagation {self.propagation} needs propagated and propagated_licence'
            raise ParameterError(msg)
        if self.unlabelled and not (self.teacher and self.unlabelled_licence):
            msg = 'unlabelled video needs a teacher to learn from, and unlabelled_licence'
            raise ParameterError(msg)
