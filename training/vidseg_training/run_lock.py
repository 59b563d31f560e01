# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One training at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidseg_training.folder_lock import locked
from vidseg_training.processes import process_index


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder, see `locked`.

    Raises:
        ParameterError: If another process trains there.
        OutputError: If the folder cannot be made or written to.
    """
    if process_index() != 0:  # the first process of a run speaks for the others
        yield
        return
    with locked(folder, 'trains'):
        yield
