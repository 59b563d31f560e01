# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""KITTI semantics (Alhaija et al., IJCV 2018): 200 labelled images with Cityscapes' classes."""

from pathlib import Path
from typing import Final

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CITYSCAPES, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.cityscapes import CITYSCAPES_IDS
from vidseg_training.data.image_pairs import find_pairs, ImagePairs, Split

FOLDS: Final = 10
"""Parts of the cross-validation (Zhu et al., CVPR 2019)."""


class KittiSemantics(ImagePairs):
    """One split of KITTI semantics, whose labelled images are all in one folder.

    A fold is a tenth of them in a row: consecutive numbers may come from one drive, and so
    mostly stay together. ``val`` and ``test`` are the images of a fold, ``train`` those of the
    other nine, ``trainval`` all.
    """

    layout = (
        'expected the folder of the KITTI semantics development kit with training/image_2/*.png '
        'and training/semantic/*.png; give it with --data'
    )
    label_set: LabelSet = CITYSCAPES
    source = DataSource(
        name='KITTI semantics, train',
        licence='CC BY-NC-SA 3.0 (Geiger et al. 2012, Alhaija et al. 2018)',
        use='training',
    )

    def __init__(self, folder: Path, split: Split, fold: int = 0) -> None:
        """List the images of a split.

        Args:
            folder: Folder of the data set.
            split: Which images.
            fold: Tenth that is left out of training, 0 to 9.

        Raises:
            ParameterError: If there is no such fold.
            SourceError: If the folder or a label map is missing.
        """
        if not 0 <= fold < FOLDS:
            msg = f'fold must be from 0 to {FOLDS - 1}, not {fold}'
            raise ParameterError(msg)
        images, masks = (folder / 'training' / kind for kind in ('image_2', 'semantic'))
        pairs = find_pairs(
            images.glob('*.png'),
            masks.glob('*.png'),
            where=images,
            layout=self.layout,
            name=lambda path: path.name,
            labels=lambda path: masks / path.name,
        )
        first, last = (part * len(pairs) // FOLDS for part in (fold, fold + 1))
        if split == 'train':
            pairs = pairs[:first] + pairs[last:]
        elif split != 'trainval':
            pairs = pairs[first:last]
        title = split if split == 'trainval' else f'{split} of fold {fold + 1} of {FOLDS}'
        super().__init__(f'KITTI semantics {title}', pairs, CITYSCAPES_IDS)
