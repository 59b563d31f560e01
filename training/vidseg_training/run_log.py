# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a run writes down about itself: JSON lines, and TensorBoard's files if wanted."""

from importlib import import_module
import json
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.atomic_file import write_atomically as replace_file
from vidseg_ros.core.errors import OutputError, ParameterError
from vidseg_training.checkpoints import write_atomically

LOG: Final = 'log.jsonl'

SAMPLES: Final = 'samples'
"""Folder of the sample pictures, in that of the run."""


class RunLog:
    """The log of one run; a resumed run goes on in the same files."""

    def __init__(
        self, folder: Path, first_step: int, *, writes: bool = True, tensorboard: bool = False
    ) -> None:
        """Open the log; what it has of steps that are still to come is forgotten.

        Args:
            folder: Of the run.
            first_step: Step from which the run goes on.
            writes: Whether this process is the one that writes.
            tensorboard: Whether to write its files as well, into ``tensorboard/``.

        Raises:
            ParameterError: If TensorBoard is wanted and not installed.
            OutputError: If the log cannot be written.
        """
        self._folder = folder
        if writes:
            _forget_from(folder / LOG, first_step)
        tensorboard = tensorboard and writes
        self._board: Any = None
        if tensorboard:
            try:
                board = import_module('torch.utils.tensorboard')
            except ImportError as error:
                msg = "tensorboard: it is missing, pip install 'vidseg-training[tensorboard]'"
                raise ParameterError(msg) from error
            self._board = board.SummaryWriter(folder / 'tensorboard', purge_step=first_step)

    def write(self, step: int, **record: object) -> None:
        """Write one line; numbers of it become TensorBoard curves.

        Args:
            step: Step from 0.
            record: What else the line says.

        Raises:
            OutputError: If it cannot be written.
        """
        path = self._folder / LOG
        try:
            with path.open('a', encoding='utf-8') as log:
                log.write(json.dumps({'step': step, **record}) + '\n')
        except OSError as error:
            msg = f'cannot write {path}: {error}; make room, then give the same command again'
            raise OutputError(msg) from error
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Keep sample predictions as ``samples/NAME.png``, and in TensorBoard.

        Args:
            step: Step from 0.
            name: Of the file, without its ending.
            image: (H, W, 3) uint8 RGB.

        Raises:
            OutputError: If it cannot be written.
        """
        path = self._folder / SAMPLES / f'{name}.png'
        make_folder(path.parent)
        _, encoded = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        write_atomically(path, lambda partial: partial.write_bytes(encoded.tobytes()))
        if self._board is not None:
            self._board.add_image('samples', image, step, dataformats='HWC')

    def close(self) -> None:
        """Write what is not yet in the files."""
        if self._board is not None:
            self._board.close()


def _forget_from(path: Path, first_step: int) -> None:
    """Cut a log back to the checkpoint: a run that was killed had gone on from there."""

    def is_behind(line: bytes) -> bool:
        try:
            record = json.loads(line)
            # Scores stand at the step before which they were taken, after an epoch.
            return bool(record['step'] < first_step + ('epoch' in record))
        except (ValueError, LookupError, TypeError):
            return False  # half a line: the machine went down

    try:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    except OSError as error:
        msg = f'cannot write {path}: {error.strerror}; choose another --out'
        raise OutputError(msg) from error
    kept = [line for line in lines if is_behind(line)]
    if kept != lines:
        replace_file(path, b''.join(kept))
