# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Mapillary Vistas (Neuhold et al., ICCV 2017): 18000 train and 2000 val images.

Version 1.2 has 65 classes, version 2.0 more; which, the release's own file says.
"""

from collections import Counter
import json
from pathlib import Path
from typing import Final, Literal

from vidseg_ros.core.errors import ModelError, SourceError
from vidseg_ros.core.labels import IGNORE_ID, LabelSet
from vidseg_ros.core.model_card import DataSource
from vidseg_training.data.image_pairs import find_pairs, id_table, ImagePairs, Split

_FOLDERS: Final[dict[Split, tuple[str, ...]]] = {
    'train': ('training',),
    'val': ('validation',),
    'test': ('validation',),
    'trainval': ('training', 'validation'),
}


class MapillaryVistas(ImagePairs):
    """One split of Mapillary Vistas; ``test`` scores on val."""

    layout = (
        'expected the folder of Mapillary Vistas with training/ and validation/, in each '
        'images/*.jpg and the labels of the version, v1.2/labels/*.png or v2.0/labels/*.png, and '
        'beside them config_v1.2.json or config_v2.0.json (a release of version 1.2 alone has '
        'labels/*.png and config.json); give it with --data'
    )

    def __init__(self, folder: Path, split: Split, version: Literal['1.2', '2.0']) -> None:
        """List the images of a split.

        Args:
            folder: Folder of the data set.
            split: Which images.
            version: Of the labels.

        Raises:
            SourceError: If the folder, the list of classes or a label map is missing or wrong.
        """
        alone = version == '1.2' and not (folder / 'config_v1.2.json').exists()
        config = folder / ('config.json' if alone else f'config_v{version}.json')
        labels = Path('labels') if alone else Path(f'v{version}') / 'labels'
        self.label_set, train_ids, void = read_config(config, self.layout)
        self.source = DataSource(
            name=f'Mapillary Vistas {version}, train',
            licence='CC BY-NC-SA, research use (Neuhold et al. 2017)',
            use='training',
        )
        pairs = []
        for part in _FOLDERS[split]:
            pairs += find_pairs(
                (folder / part / 'images').glob('*.jpg'),
                (folder / part / labels).glob('*.png'),
                where=folder / part / 'images',
                layout=self.layout,
                name=lambda path: path.name,
                labels=lambda path: path.parent.parent / labels / f'{path.stem}.png',
            )
        title = ' and '.join(_FOLDERS[split])
        super().__init__(
            f'Mapillary Vistas {version} {title}', pairs, id_table(train_ids, [*void, IGNORE_ID])
        )


def read_config(path: Path, layout: str) -> tuple[LabelSet, dict[int, int], list[int]]:
    """Read the list of classes of a release.

    Classes are named as people read them, in lower case as Cityscapes has them; where two share
    a name, by their path in the hierarchy.

    Args:
        path: ``config.json`` or ``config_vVERSION.json``.
        layout: How the folder must look, for the error.

    Returns:
        The evaluated classes, the class of each of their ids, and the ids of the others.

    Raises:
        SourceError: If the file is missing or not of that form.
    """
    try:
        labels = json.loads(path.read_text(encoding='utf-8'))['labels']
        repeats = Counter(label['readable'].lower() for label in labels)
        names: list[str] = []
        colors: list[tuple[int, int, int]] = []
        train_ids: dict[int, int] = {}
        for file_id, label in enumerate(labels):
            if label['evaluate']:
                train_ids[file_id] = len(names)
                name = label['readable'].lower()
                names.append(name if repeats[name] == 1 else label['name'])
                red, green, blue = label['color']
                colors.append((red, green, blue))
        classes = LabelSet(names=tuple(names), colors=tuple(colors))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ModelError) as error:
        msg = f'cannot read the classes of {path}: {error!r}; {layout}'
        raise SourceError(msg) from error
    return classes, train_ids, [id_ for id_ in range(len(labels)) if id_ not in train_ids]
