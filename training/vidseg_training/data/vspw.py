# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""VSPW (Miao et al., CVPR 2021): 124 classes, every frame (15 Hz) of 2806 train, 343 val clips."""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Final

from vidseg_ros.core.class_list import parse_classes
from vidseg_ros.core.errors import ModelError, SourceError
from vidseg_ros.core.labels import IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.image_pairs import find_pairs, id_table, ImagePairs, Split

_OTHERS: Final = 0
"""Id of things that are of no class: void in the official scores."""

_LISTS: Final[dict[Split, tuple[str, ...]]] = {
    'train': ('train.txt',),
    'val': ('val.txt',),
    'test': ('val.txt',),
    'trainval': ('train.txt', 'val.txt'),
}


class Vspw(ImagePairs):
    """One split of VSPW (the release at 480p or at full size); ``test`` scores on val.

    The images of a clip follow each other in time.
    """

    layout = (
        'expected the folder of VSPW with train.txt, val.txt, label_num_dic_final.json, '
        'data/CLIP/origin/*.jpg and data/CLIP/mask/*.png; give it with --data'
    )
    source = DataSource(
        name='VSPW, train',
        licence='non-commercial research use (Miao et al. 2021)',
        use='training',
    )

    def __init__(self, folder: Path, split: Split) -> None:
        """List the images of a split.

        Raises:
            SourceError: If the folder, a list, a clip or a label map is missing or wrong.
        """
        self.label_set = self._read_classes(folder / 'label_num_dic_final.json')
        pairs = []
        for name in _LISTS[split]:
            for clip in self._read_list(folder / name):
                pairs += find_pairs(
                    (folder / 'data' / clip / 'origin').glob('*.jpg'),
                    (folder / 'data' / clip / 'mask').glob('*.png'),
                    where=folder / 'data' / clip / 'origin',
                    layout=self.layout,
                    name=lambda path: f'{path.parent.parent.name}/{path.name}',
                    labels=lambda path: path.parent.parent / 'mask' / f'{path.stem}.png',
                )
        title = ' and '.join(Path(name).stem for name in _LISTS[split])
        table = id_table(
            {train_id + 1: train_id for train_id in range(len(self.label_set))},
            void=[_OTHERS, IGNORE_ID],
        )
        super().__init__(f'VSPW {title}', pairs, table)

    def _read_list(self, path: Path) -> list[str]:
        try:
            clips = path.read_text(encoding='utf-8').split()
        except (OSError, UnicodeDecodeError) as error:
            msg = f'cannot read the list of clips {path}: {error}; {self.layout}'
            raise SourceError(msg) from error
        if not clips:
            msg = f'the list of clips {path} is empty; {self.layout}'
            raise SourceError(msg)
        return clips

    def _read_classes(self, path: Path) -> LabelSet:
        try:
            plain = json.loads(path.read_text(encoding='utf-8'))
            return _classes_of(plain)
        except (OSError, ValueError, TypeError, AttributeError, ModelError) as error:
            msg = f'cannot read the classes of {path}: {error!r}; {self.layout}'
            raise SourceError(msg) from error


def _classes_of(plain: Mapping[str, str | int]) -> LabelSet:
    """Return the classes of ``label_num_dic_final.json``: the id in the masks of each name."""
    names = {int(file_id): name for name, file_id in plain.items() if int(file_id) > _OTHERS}
    if sorted(names) != list(range(1, len(names) + 1)):
        msg = f'ids must run from 1 without a gap, not {sorted(names)}'
        raise ModelError(msg)
    return parse_classes([names[file_id] for file_id in sorted(names)])
