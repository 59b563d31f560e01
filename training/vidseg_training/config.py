# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The settings of one training run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tyro

from vidseg_ros.core.errors import ParameterError
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig

_RANGES: Final[tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...]] = (
    (
        (
            'epochs',
            'batch_size',
            'learning_rate',
            'clip_norm',
            'checkpoint_steps',
            'validate_epochs',
            'distillation_weight',
            'unlabelled_step',
            'class_uniform_tile',
            'loss_stride',
            'offset',
        ),
        lambda value: value > 0,
        'must be above zero',
    ),
    (
        (
            'auxiliary_weight',
            'lovasz_weight',
            'momentum',
            'poly_power',
            'restart_power',
            'sample_pictures',
            'warmup_steps',
            'weight_decay',
            'workers',
        ),
        lambda value: value >= 0,
        'must be zero or above',
    ),
    (
        (
            'blur',
            'color_jitter',
            'hue_jitter',
            'night',
            'relaxed_share',
            'class_mix',
            'class_uniform',
            'class_uniform_share',
            'propagated_share',
        ),
        lambda value: 0 <= value <= 1,
        'is a share from 0 to 1',
    ),
    (
        ('restart_share', 'ema_decay'),
        lambda value: 0 < value < 1,
        'must lie between 0 and 1',
    ),
    (
        ('scale_range',),
        lambda value: 0 < value[0] <= value[1] < inf,
        'must be two rising numbers above zero',
    ),
    (('teacher_height',), lambda value: value >= 8, 'must be 8 pixels or more'),
    (('seed',), lambda value: 0 <= value < 2**32, 'must be from 0 to 4294967295'),
    (('rotation',), lambda value: 0 <= value <= 45, 'must be 0 to 45 degrees'),
    (('class_weight_offset',), lambda value: value > 1, 'must be above 1'),
)
"""Settings, what a value must fulfil unless it is None, and how to say so."""


def check_finite(settings: object) -> None:
    """Refuse numbers that are infinite.

    Args:
        settings: A dataclass.

    Raises:
        ParameterError: If there is one; the message names it.
    """
    for name, value in vars(settings).items():
        if isinstance(value, float) and not isfinite(value):
            msg = f'{name} must be a finite number, not {value}'
            raise ParameterError(msg)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides the outcome of a run."""

    name: Annotated[str, tyro.conf.Fixed]
    """Name of the recipe; not an option, because the model card refers to it."""
    network: Literal[
        'compact',
        'dual_resolution',
        'dual_resolution_small',
        'fddwnet',
        'hrnet_w18_small',
        'pspnet_mobilenet_v2',
        'pspnet_resnet101',
        'pspnet_resnet18',
    ]
    """Key of `vidseg_training.networks.NETWORKS`."""
    dataset: Literal[
        'camvid',
        'camvid_full',
        'cityscapes',
        'cityscapes_coarse',
        'folder',
        'kitti',
        'mapillary_1.2',
        'mapillary_2.0',
        'street',
        'vspw',
    ]
    """Key of `vidseg_training.data.DATASETS`."""
    data: Path = Path('data')
    """Folder of the data set, in its official layout; unused by generated data."""
    train_split: Literal['train', 'trainval'] = 'train'
    """Whether the validation images are trained on as well; their scores then mean nothing."""
    fold: int = 0
    """Tenth of KITTI's images that is left out of training, 0 to 9."""
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
    hue_jitter: float = 0.0
    """Largest turn of the colours about grey, as a share of the whole circle; 0: none."""
    rotation: float = 0.0
    """Half of the images are turned by up to so many degrees, either way, before the crop; the
    corners that this opens are black and void. 0: none."""
    blur: float = 0.0
    """Share of crops that are blurred, by a Gaussian of 0.15 to 1.3 pixels (Zhu et al.)."""
    night: float = 0.0
    """Share of samples that are darkened to what headlights would show."""
    epochs: int = 12
    """Passes over the training set."""
    batch_size: int = 4
    """Images a step, over all devices together."""
    optimizer: Literal['adamw', 'sgd'] = 'adamw'
    """Update rule: AdamW, or gradient descent with momentum."""
    learning_rate: float = 5e-4
    """Peak learning rate."""
    momentum: float = 0.9
    """Momentum of ``sgd``."""
    warmup_steps: int = 50
    """Steps of linear warm-up before the poly schedule."""
    poly_power: float = 0.9
    """Exponent of the poly schedule (1 - step / steps) ** power."""
    restart_share: float | None = None
    """Share of the epochs after which the schedule starts a second time, at its peak ("scl-poly",
    see `vidseg_training.schedule`); None: it does not."""
    restart_power: float = 1.5
    """Exponent of the schedule after that restart."""
    clip_norm: float | None = None
    """Largest norm of a step's gradient, a longer one is scaled down to it; None: as it is."""
    weight_decay: float = 1e-4
    """Weight decay, decoupled in AdamW."""
    precision: Literal['32-true', 'bf16-mixed', '16-mixed'] = '32-true'
    """Arithmetic of the network, in Lightning's words; mixed: half precision where it is safe."""
    class_weight_offset: float | None = 1.1
    """c in the class weights 1 / ln(c + share) of Paszke et al. 2016 (ENet); None: no weights.
    Without a teacher the export takes them out of the logits again."""
    auxiliary_weight: float = 0.4
    """Weight of the loss of a network's auxiliary head, if it has one (Zhao et al., CVPR 2017)."""
    lovasz_weight: float = 0.0
    """Weight of the Lovász-softmax loss beside the cross-entropy (see `vidseg_training.lovasz`);
    0: none."""
    loss_stride: int = 1
    """n: the cross-entropy of a step looks at one label of each n x n, drawn anew each time
    (see `vidseg_training.losses.segmentation_loss`); cheaper. 1: every label."""
    relaxed_share: float = 0.0
    """Share of the epochs, from the first, with boundary label relaxation; the others count
    boundaries twice (see `vidseg_training.relaxation`). 0: plain cross-entropy throughout."""
    strict_classes: tuple[str, ...] = ()
    """Names of thin classes whose pixels are never relaxed."""
    class_mix: float = 0.0
    """Share of crops into which half of the classes of another crop are pasted
    (see `vidseg_training.data.class_mix`); 0: none."""
    class_uniform: float = 0.0
    """Share of an epoch's crops that are drawn class-uniformly
    (see `vidseg_training.data.class_uniform`); 0: none."""
    class_uniform_share: float = 0.85
    """Share of the epochs, from the first, with class-uniform crops."""
    class_uniform_tile: int = 180
    """Side in pixels of the tiles in which classes are looked for."""
    boost_classes: tuple[str, ...] = ()
    """Names of rare classes of Cityscapes whose class-uniform crops may also come from its
    coarsely labelled images; none: those are not read."""
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
    """Steps between checkpoints; there is one after every ``validate_epochs`` and at the end as
    well. A killed run resumes at the last one, exactly."""
    validate_epochs: int = 4
    """Epochs between scores on the validation set, with sample pictures and weights; the last one
    has them in any case."""
    sample_pictures: int = 4
    """Images of the validation set whose prediction is drawn then; 0: none."""
    tensorboard: bool = False
    """Whether losses, rates, scores and pictures also go to TensorBoard's files."""
    workers: int = 0
    """Processes that load and augment images beside the training, for each device; 0: none."""
    keep_images: bool = False
    """Whether decoded images and labels stay in memory after they were read once, in each of these
    processes: for sets that fit, such as CamVid's 0.3 GB at 480x360."""
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    """What neighbouring frames of a clip have to say to each other."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """What a teacher has to say, also of the frames of clips."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If a value is out of range; the message names it.
        """
        for fields, allowed, words in _RANGES:
            for name in fields:
                value = getattr(self, name)
                if value is not None and not allowed(value):
                    msg = f'{name} {words}, not {value}'
                    raise ParameterError(msg)
        check_finite(self)
        if self.loss_stride > min(self.crop_size):
            msg = f'loss_stride {self.loss_stride} is larger than a crop, {self.crop_size}'
            raise ParameterError(msg)
        if self.loss_stride > 1 and self.relaxed_share:
            msg = 'relaxed_share needs the labels around each pixel: leave loss_stride at 1'
            raise ParameterError(msg)
        if self.boost_classes and not (self.dataset == 'cityscapes' and self.class_uniform):
            msg = 'boost_classes needs class_uniform crops, and the coarse images of cityscapes'
            raise ParameterError(msg)
        if self.boost_classes and self.propagation != 'off':
            msg = (
                'boost_classes and propagation: a run has one of them, as both put images behind '
                'the finely labelled ones; leave one out'
            )
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
        if self.teacher and self.distillation.teacher:
            msg = 'teacher and distillation.teacher: give one of them'
            raise ParameterError(msg)
