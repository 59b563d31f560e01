# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a teacher said of images, kept on disk: it is asked once and not in every step."""

from collections.abc import Callable, Iterable, Mapping
import json
import logging
import os
from pathlib import Path
import shutil

import numpy as np
from numpy.typing import NDArray
import torch
import torch.nn.functional as F

from vidseg_ros.core.errors import OutputError, SourceError
from vidseg_training.consistency.teachers import MappedTeacher

_logger = logging.getLogger(__name__)


class KeptProbabilities:
    """What a teacher said of each image, read from its file as needed.

    Another process gets the path and opens the file itself; a pickled array would be all of it.
    """

    def __init__(self, path: Path) -> None:
        """Open a file that `keep_probabilities` wrote."""
        self._path = path
        self._table: NDArray[np.uint8] = np.load(path, mmap_mode='r')

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._table)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return (H, W, C) uint8, 255 = 1.

        Raises:
            IndexError: If there is no such image.
        """
        probabilities: NDArray[np.uint8] = self._table[index]
        return probabilities

    def __reduce__(self) -> tuple[type['KeptProbabilities'], tuple[Path]]:
        """Say how another process gets it."""
        return KeptProbabilities, (self._path,)


def keep_probabilities(
    path: Path,
    origin: Mapping[str, object],
    shape: tuple[int, ...],
    ask: Callable[[], Iterable[NDArray[np.uint8]]],
) -> KeptProbabilities:
    """Ask a teacher about images, or open what it said before.

    Args:
        path: File of the probabilities; beside it stands whose they are, in ``.json``.
        origin: Whose they are and of which images: plain types.
        shape: (N, H, W, C), of all images.
        ask: Gives the probabilities of each image, (H, W, C) uint8, 255 = 1.

    Raises:
        SourceError: If the file has what another teacher said, or what was said of other images.
        OutputError: If there is no room for it.
    """
    described = path.with_name(f'{path.name}.json')
    whose = {**origin, 'shape': list(shape)}
    if not path.is_file():
        # Processes of one run ask at the same time, each for its own file; the last one stays.
        partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
        note = partial.with_suffix('.json')
        try:
            _check_room(partial, int(np.prod(shape)))
            table = np.lib.format.open_memmap(partial, 'w+', np.uint8, shape)
            _reserve(partial)
            for index, probabilities in enumerate(ask()):
                table[index] = probabilities
            table.flush()
            note.write_text(json.dumps(whose), encoding='utf-8')
            note.replace(described)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
        _logger.info('the teacher looked at %d images: %s', shape[0], path)
    if not described.is_file() or json.loads(described.read_text('utf-8')) != whose:
        msg = f'{path} has what another teacher said, or of other images; choose another --out'
        raise SourceError(msg)
    return KeptProbabilities(path)


def _check_room(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size:
        msg = f'cannot write {path}: it needs {size >> 20} MiB, {free >> 20} MiB are free'
        raise OutputError(msg)


def _reserve(path: Path) -> None:
    """Take the room of a file now: a write to a mapped one cannot fail later, only crash."""
    try:
        with path.open('r+b') as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    except OSError as error:
        msg = f'cannot write {path}: {error.strerror}; make room, then give the same command again'
        raise OutputError(msg) from error


def whole_image(
    teacher: MappedTeacher, image: NDArray[np.uint8], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Ask a teacher about a whole image.

    Args:
        teacher: Whom to ask.
        image: (H, W, 3) uint8 RGB.
        size: Height and width of the answer.

    Returns:
        (height, width, C) uint8 probabilities, 255 = 1.

    Raises:
        SourceError: If what it says is no number.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)  # 1 3 H W
    said = resize_probabilities(teacher.probabilities(batch), size)
    if not said.isfinite().all():
        msg = 'the teacher says NaN or infinity: its weights are damaged, or do not suit its input'
        raise SourceError(msg)
    return to_bytes(said)[0].permute(1, 2, 0).cpu().numpy()


def resize_probabilities(probabilities: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bring (B, C, h, w) probabilities to a size: means of areas if it is smaller, else bilinear.

    Args:
        probabilities: (B, C, h, w) float.
        size: Height and width.
    """
    if probabilities.shape[-2:] == size:
        return probabilities
    if size[0] < probabilities.shape[-2]:
        return F.interpolate(probabilities, size, mode='area')
    return F.interpolate(probabilities, size, mode='bilinear', align_corners=False)


def to_bytes(probabilities: torch.Tensor) -> torch.Tensor:
    """Return probabilities as uint8, 255 = 1."""
    return (probabilities * 255).round().to(torch.uint8)
