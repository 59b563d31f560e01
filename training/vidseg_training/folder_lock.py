# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One process at a time in a folder of results: two would write into each other's files.

`vidseg_training.run_lock` is for trainings of several processes, and needs PyTorch for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import fcntl
import logging
import os
from pathlib import Path
from typing import Final

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import OutputError, ParameterError

_logger = logging.getLogger(__name__)

LOCK: Final = '.lock'


@contextmanager
def locked(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes out of a folder; a killed one does not.

    The folder is made if it is absent, and removed then if nothing comes into it.

    Args:
        folder: The folder.
        doing: What a process does in there, for people: 'trains'.

    Raises:
        ParameterError: If another process is in there.
        OutputError: If the folder cannot be made or written to.
    """
    made = not folder.exists()
    make_folder(folder)
    path = folder / LOCK
    descriptor = _lock(path, doing)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
        if made:  # a run that is refused leaves nothing behind
            with suppress(OSError):
                folder.rmdir()


def _lock(path: Path, doing: str) -> int:
    """Return a descriptor of the file, locked.

    The kernel drops such a lock when its process ends, however it does, and does not hand it on to
    the processes that load images.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            msg = f'cannot write to {path.parent}: {error.strerror}; choose another --out'
            raise OutputError(msg) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            os.close(descriptor)
            msg = (
                f'another process {doing} in {path.parent}: wait for it, end it, or choose '
                'another --out'
            )
            raise ParameterError(msg) from error
        except OSError as error:  # a file system without locks
            _logger.warning(
                'cannot lock %s (%s): see to it yourself that nothing else %s there',
                path.parent,
                error.strerror,
                doing,
            )
            return descriptor
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # who had it before has just removed the file
