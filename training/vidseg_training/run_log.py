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
from vidseg_ros.core.errors import OutputError, ParameterError
from vidseg_training.checkpoints import write_atomically

LOG: Final = 'log.jsonl'

SAMPLES: Final = 'samples'
"""Folder of the sample pictures, in that of the run."""


class RunLog:
    """The log of one run; a resumed run goes on in the same files."""

    def __init__(self, folder: Path, first_step: int, *, tensorboard: bool = False) -> None:
        """Open the log.

        Args:
            folder: Of the run.
            first_step: Step from which the run goes on; TensorBoard forgets what was beyond.
            tensorboard: Whether to write its files, into ``tensorboard/``.

        Raises:
            ParameterError: If TensorBoard is wanted and not installed.
        """
        self._folder = folder
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
