# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a teacher said of images, kept on disk: it is asked once and not in every step."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
import json
import logging
import os
from pathlib import Path
import shutil
from typing import Final

import numpy as np
from numpy.typing import NDArray
import torch
import torch.nn.functional as F

from vidseg_ros.core.atomic_file import write_atomically
from vidseg_ros.core.errors import OutputError, SourceError
from vidseg_training.consistency.teachers import MappedTeacher
from vidseg_training.processes import process_index
from vidseg_training.progress import counted

_logger = logging.getLogger(__name__)

_NOTED: Final = 16
"""After so many answers a draft notes how far it is, for a kill or a power cut."""


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
    ask: Callable[[int], Iterable[NDArray[np.uint8]]],
    what: str = 'images',
) -> KeptProbabilities:
    """Ask a teacher about images, or open what it said before.

    Who is interrupted goes on where it stood, if teacher and images are the same.

    Args:
        path: File of the probabilities; beside it stands whose they are, in ``.json``.
        origin: Whose they are and of which images: plain types.
        shape: (N, H, W, C), of all images.
        ask: Gives the probabilities of each image from one on, (H, W, C) uint8, 255 = 1.
        what: The images are, for people.

    Raises:
        SourceError: If the file has what another teacher said, or what was said of other images.
        OutputError: If there is no room for it.
    """
    described = path.with_name(f'{path.name}.json')
    whose = {**origin, 'shape': list(shape)}
    if not path.is_file():
        # Processes of one run may ask at the same time, each for its own file; the last one stays.
        draft = _Draft(path.with_name(f'{path.name}.{process_index()}.partial'), whose, shape)
        try:
            title = f'what the teacher sees, {what}'
            for probabilities in counted(ask(draft.done), title, shape[0], draft.done):
                draft.add(probabilities)
        finally:
            draft.keep()
        write_atomically(described, json.dumps(whose).encode())
        draft.finish(path)
        _logger.info('the teacher looked at %d images: %s', shape[0], path)
    if not described.is_file() or json.loads(described.read_text('utf-8')) != whose:
        msg = (
            f'{path} has what another teacher said, or of other images; choose another --out, or '
            'after an update of vidseg-train remove it: the teacher is asked again'
        )
        raise SourceError(msg)
    return KeptProbabilities(path)


class _Draft:
    """The answers so far, in a file of full size, and a note of whose and how many they are.

    Attributes:
        done: Number of answers.
    """

    def __init__(self, path: Path, whose: Mapping[str, object], shape: tuple[int, ...]) -> None:
        """Open the draft of an interrupted call, or take the room for a new one.

        Args:
            path: The file.
            whose: The answers are; a draft of others is overwritten.
            shape: Of all of them.

        Raises:
            OutputError: If there is no room.
        """
        self._path, self._whose = path, whose
        self._note = path.with_name(f'{path.name}.json')
        self.done = 0
        with suppress(OSError, ValueError, LookupError, TypeError):
            note = json.loads(self._note.read_text(encoding='utf-8'))
            table = np.load(path, mmap_mode='r')  # refuses a file cut short; r+ would fill it up
            if note['whose'] == whose and table.shape == shape and table.dtype == np.uint8:
                self._table = np.lib.format.open_memmap(path, 'r+')
                self.done = int(note['done'])
                return
        self._note.unlink(missing_ok=True)
        _check_room(path, int(np.prod(shape)))
        try:
            self._table = np.lib.format.open_memmap(path, 'w+', np.uint8, shape)
            _reserve(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def add(self, probabilities: NDArray[np.uint8]) -> None:
        """Take the next answer."""
        self._table[self.done] = probabilities
        self.done += 1
        if self.done % _NOTED == 0:
            self.keep()

    def keep(self) -> None:
        """Note how far it is; nothing is left of a draft without an answer."""
        if self.done == 0:
            self._path.unlink(missing_ok=True)
            return
        self._table.flush()  # before the note, which promises them
        note = json.dumps({'whose': self._whose, 'done': self.done})
        write_atomically(self._note, note.encode())

    def finish(self, path: Path) -> None:
        """Give the file its name."""
        self._path.replace(path)
        self._note.unlink()


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
    batch = torch.tensor(image).permute(2, 0, 1)[None].to(device)  # 1 3 H W; it may be read-only
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
