# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Decoded frames in a temporary file, which the processes that load data share."""

import os
from pathlib import Path
import tempfile
from typing import BinaryIO, cast
import weakref

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import OutputError


class FrameStore:
    """Frames of one size, in a file without a name.

    The system keeps in memory what there is room for, once for all processes. Another process gets
    the way to the file of this one, not the frames. The file goes with the last process that has
    it open, however that ends.
    """

    def __init__(self, size: tuple[int, int], place: str | None = None, count: int = 0) -> None:
        """Begin without a frame, or open what another process has.

        Args:
            size: Height and width of the frames, pixels.
            place: Of the other process's file.
            count: Number of frames in it.
        """
        self._size, self._count = size, count
        self._frames: NDArray[np.uint8] | None = None
        self._stream: BinaryIO | None = None  # from the first frame on
        if place is not None:
            self._keep(Path(place).open('rb'))  # noqa: SIM115  # closed with the store

    def _keep(self, stream: BinaryIO) -> None:
        self._stream = stream
        weakref.finalize(self, stream.close)

    def __reduce__(self) -> tuple[type['FrameStore'], tuple[tuple[int, int], str | None, int]]:
        """Say how another process gets it, while this one runs."""
        place = None
        if self._stream is not None:
            place = f'/proc/{os.getpid()}/fd/{self._stream.fileno()}'
        return FrameStore, (self._size, place, self._count)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._count

    def append(self, image: NDArray[np.uint8]) -> None:
        """Take the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.

        Raises:
            OutputError: If there is no room, or no folder for temporary files.
        """
        assert image.shape == (*self._size, 3)
        try:
            if self._stream is None:
                self._keep(cast('BinaryIO', tempfile.TemporaryFile()))  # noqa: SIM115  # closed with the store
            assert self._stream is not None
            self._stream.write(image.tobytes())
            self._stream.flush()
        except OSError as error:
            raise _no_room(error) from error
        self._count += 1
        self._frames = None

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return a frame, (H, W, 3) uint8 RGB, read-only.

        Raises:
            IndexError: If there is no such frame.
        """
        if self._stream is None or not self._count:  # an empty file cannot be mapped
            raise IndexError(index)
        if self._frames is None:
            shape = (self._count, *self._size, 3)
            self._frames = np.asarray(np.memmap(self._stream, np.uint8, 'r', shape=shape))
        frame: NDArray[np.uint8] = self._frames[index]
        return frame


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f'cannot keep the frames of videos in the folder for temporary files: {error.strerror}; '
        'make room there, or name another one in TMPDIR'
    )
