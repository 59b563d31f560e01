# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A folder for results: made, marked as ours, emptied of earlier results and nothing else."""

from collections.abc import Iterable, Sequence
import json
from pathlib import Path
from typing import Final

from vidseg_ros.core.errors import OutputError

MARKER: Final = '.vidseg'
"""A folder that holds this file was made by vidseg; its results may be replaced."""


def claim_folder(
    folder: Path, names: Sequence[str], *, overwrite: bool, inputs: Iterable[Path] = ()
) -> None:
    """Make a folder for results; with ``overwrite``, remove those of an earlier run.

    Only a folder that is empty, or was claimed before and says so by its `MARKER`, is touched.
    One that was claimed and holds none of the results is free: a run that was refused or ended
    before its first frame blocks nobody.

    Args:
        folder: The folder; made if absent.
        names: The files and folders of results in it.
        overwrite: Whether the results of an earlier run may be removed.
        inputs: Files and folders that are about to be read.

    Raises:
        OutputError: If an input is among the results, something is in the folder that may not
            be removed, or it cannot be written.
    """
    results = [(folder / name).resolve() for name in names]
    for path in inputs:
        if any(path.resolve().is_relative_to(result) for result in results):
            msg = f'{path} is among the results that {folder} is for; choose another --out'
            raise OutputError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = (folder / MARKER).is_file()
        taken = found_results(folder, names) if ours else set(folder.iterdir()) - {folder / MARKER}
        if taken and not (ours and overwrite):
            way = ', or --overwrite its results' if ours else ': vidseg did not make it'
            msg = f'{folder} is not empty; choose another --out{way}'
            raise OutputError(msg)
        mark_folder(folder)
        for path in (folder / name for name in names):
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
                continue
            for pattern in ('*.png', '*.mcap', 'metadata.yaml'):
                for file in path.glob(pattern):
                    file.unlink()
            path.rmdir()
    except OSError as error:
        msg = f'cannot write to {folder}: {error}; choose another --out'
        raise OutputError(msg) from error


def found_results(folder: Path, names: Iterable[str]) -> list[str]:
    """Return which of the names are results in a folder; an empty folder is none.

    Raises:
        OSError: If it cannot be read.
    """
    paths = [folder / name for name in names]
    return [
        path.name
        for path in paths
        if path.is_symlink() or (any(path.iterdir()) if path.is_dir() else path.exists())
    ]


def mark_folder(folder: Path) -> None:
    """Make a folder if it is absent and say that its results are ours.

    Raises:
        OSError: If it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text('vidseg replaces its results in this folder.\n')


def write_json(path: Path, content: object) -> None:
    """Write plain types as JSON.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + '\n', encoding='utf-8')
    except OSError as error:
        msg = f'cannot write {path}: {error.strerror}; check the path and the free space'
        raise OutputError(msg) from error
