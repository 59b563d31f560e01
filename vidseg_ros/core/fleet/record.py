# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a job leaves behind when it is done, so that a rerun can skip it."""

from collections.abc import Iterable, Iterator, Mapping
import hashlib
import json
from pathlib import Path
from typing import Any, Final

from vidseg_ros.core.atomic_file import write_atomically
from vidseg_ros.core.errors import SourceError

RECORD: Final = 'done.json'
"""Written last into a job's folder; while it is not there, the job is not done."""

_BLOCK: Final = 1 << 20


def job_digest(inputs: Iterable[Path], settings: Mapping[str, object]) -> str:
    """Return a digest of all that a job's result depends on.

    Args:
        inputs: Files, and folders with everything in them: the bag, the model, the labels. Their
            contents and the names in the folders count, not where they lie nor when they changed.
        settings: Plain types.

    Returns:
        SHA-256 in hexadecimal.

    Raises:
        SourceError: If an input cannot be read.
    """
    total = hashlib.sha256(json.dumps(settings, sort_keys=True, allow_nan=False).encode())
    for path in inputs:
        total.update(b'\0input\0')
        for name, file in _files(path):
            total.update(f'\0{name}\0'.encode(errors='surrogateescape'))
            total.update(file_digest(file))
    return total.hexdigest()


def read_record(folder: Path, digest: str) -> dict[str, Any] | None:
    """Return what was recorded in a job's folder under this digest; None if nothing was."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get('digest') != digest:
        return None
    content = record.get('content')
    return content if isinstance(content, dict) else None


def write_record(folder: Path, digest: str, content: Mapping[str, object]) -> None:
    """Say that a job is done: the last step of it. Whole or not at all, even if killed.

    Args:
        folder: The job's own.
        digest: See `job_digest`.
        content: Plain types; integers and floats come back exactly.

    Raises:
        OutputError: If it cannot be written.
    """
    text = json.dumps({'digest': digest, 'content': content}, allow_nan=False)
    write_atomically(folder / RECORD, f'{text}\n'.encode())


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file with the name that counts."""
    if not path.is_dir():
        yield path.suffix, path
        return
    for file in sorted(path.rglob('*')):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file


def file_digest(path: Path) -> bytes:
    """Return the SHA-256 of a file's content, 32 bytes.

    Raises:
        SourceError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open('rb', buffering=0) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        msg = f'cannot read {path}: {error.strerror}; check the path and its permissions'
        raise SourceError(msg) from error
    return digest.digest()
