# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Folders for results, and files that are there whole or not at all, whatever happens."""

from contextlib import suppress
import os
from pathlib import Path

from vidseg_ros.core.errors import OutputError


def make_folder(folder: Path) -> None:
    """Make a folder for results, with those above it.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f'cannot write to {folder}: {error.strerror}; choose another --out'
        raise OutputError(msg) from error


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file, replacing one of that name; after a kill there is the old one or the new one.

    Args:
        path: The file; its folder exists.
        data: All of its content.
        durable: Wait for the disk, so that this holds for a power cut as well.

    Raises:
        OutputError: If it cannot be written; an old one stays as it is then.
    """
    part = path.with_name(f'{path.name}.part')
    try:
        with part.open('wb') as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        msg = f'cannot write {path}: {error.strerror}; check the path and the free space'
        raise OutputError(msg) from error
