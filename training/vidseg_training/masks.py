# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg-train masks`: label maps as training reads them, in files that `vidseg evaluate` reads.

Data sets name and code their label maps each in its own way. Here they become PNGs of class ids,
void as 255, named like their images; so both commands score a model against the same pixels.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from vidseg_ros.core.atomic_file import make_folder, write_atomically
from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_training.config import TrainConfig
from vidseg_training.data import DATASETS, open_dataset, Split
from vidseg_training.data.image_folder import ImageFolder
from vidseg_training.data.image_pairs import ImagePairs
from vidseg_training.progress import counted


def open_masks(dataset: str, data: Path, split: Split = 'test', fold: int = 0) -> ImagePairs:
    """Open a split of a data set whose label maps are files.

    Args:
        dataset: Key of `vidseg_training.data.DATASETS`.
        data: Folder of the data set.
        split: Which images.
        fold: Of KITTI: the tenth that is ``val`` and ``test``.

    Raises:
        ParameterError: If there is no such data set, or fold.
        SourceError: If the data are not there, or not in the layout of the data set.
    """
    named = [name for name in DATASETS if name != 'street']  # which is in no files
    if dataset not in named:
        near = get_close_matches(dataset, named, n=3) or named
        msg = f'no data set {dataset} with masks; did you mean {" or ".join(near)}?'
        raise ParameterError(msg)
    if dataset == 'folder':  # as a camera gives images, also those that training shrinks
        return ImageFolder(data, split)
    config = TrainConfig(
        name='masks',
        network='compact',
        dataset=dataset,  # type: ignore[arg-type]  # one of the table's keys
        data=data,
        fold=fold,
    )
    images = open_dataset(config, split)
    assert isinstance(images, ImagePairs)
    return images


def write_masks(images: ImagePairs, out: Path) -> None:
    """Write every label map of a split: all of them, or no file at all.

    Args:
        images: The split.
        out: Folder to make; see `mask_names` for what is in it.

    Raises:
        SourceError: If a label map cannot be read, or two images would share a mask.
        OutputError: If the folder is there and not empty, or cannot be written.
    """
    names = mask_names(images.image_files)
    make_folder(out.parent)
    try:
        with suppress(FileNotFoundError):
            out.rmdir()
        with TemporaryDirectory(prefix=f'.{out.name}-', dir=out.parent) as scratch:
            unfinished = Path(scratch) / out.name
            for index in counted(range(len(images)), 'masks', len(images)):
                path = unfinished / names[index]
                done, data = cv2.imencode('.png', images.labels(index))
                assert done
                make_folder(path.parent)
                write_atomically(path, data.tobytes(), durable=False)
            unfinished.replace(out)
    except OSError as error:
        msg = f'cannot write to {out}: {error.strerror}; choose another --out, a new folder'
        raise OutputError(msg) from error


def mask_names(image_files: Sequence[Path]) -> list[Path]:
    """Return where the mask of each image goes, so that `vidseg evaluate` finds it.

    Where all images lie in one folder, NAME.png. Where they lie in several, FOLDER/NAME.png, and
    PARENT_FOLDER/NAME.png where folders share their name.

    Raises:
        SourceError: If two images would share a mask.
    """
    folders = {path: path.resolve() for path in dict.fromkeys(file.parent for file in image_files)}
    uses = Counter(folder.name for folder in folders.values())

    def home(folder: Path) -> Path:
        if len(folders) == 1:
            return Path()
        alone = uses[folder.name] == 1
        return Path(folder.name if alone else f'{folder.parent.name}_{folder.name}')

    names = [home(folders[file.parent]) / f'{file.stem}.png' for file in image_files]
    taken: dict[Path, Path] = {}
    for name, file in zip(names, image_files, strict=True):
        if taken.setdefault(name, file) != file:
            msg = f'{taken[name]} and {file} would share the mask {name}; rename one of them'
            raise SourceError(msg)
    return names
