# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a folder of propagated samples holds and where each of them comes from.

``manifest.jsonl`` has one JSON object a line: the settings first, then a sample or a skipped one
each. Lines are only added, after the files that they name, so the manifest is whole whenever the
process ends; where a name comes twice the later line holds.
"""

from collections.abc import Mapping
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final, final

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_ros.core.fleet.record import file_digest

MANIFEST: Final = 'manifest.jsonl'

FILES: Final = {'images': '.jpg', 'labels': '.png', 'confidence': '.png'}
"""Folders of a clip's samples, and what the names of files in them end with."""

VERSION: Final = 1
"""Of the manifest's form."""


@final
class Manifest:
    """The manifest of one clip, while samples are added to it.

    Attributes:
        records: By name of the sample, as in the file.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        """Begin a manifest or go on with the one in the folder.

        Args:
            folder: The clip's own; made if absent.
            settings: All that decides what samples look like; plain types.

        Raises:
            ParameterError: If the samples in the folder were made with other settings.
            SourceError: If the manifest in it is damaged.
            OutputError: If it cannot be written.
        """
        self.folder = folder
        self._path = folder / MANIFEST
        header = json.loads(json.dumps({'version': VERSION, **settings}))
        self.records: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            self._cut_torn_line()
            before, self.records = read_manifest(self._path)
            if before and before != header:
                changed = [key for key in header if before.get(key) != header[key]]
                msg = (
                    f'{folder} has samples made with other settings ({", ".join(changed)}); '
                    'choose another --out'
                )
                raise ParameterError(msg)
            if before:
                return
        make_folder(folder)
        self._append_line(header)

    def _cut_torn_line(self) -> None:
        """Remove what a power cut may have left of a last line."""
        data = self._path.read_bytes()
        if data and not data.endswith(b'\n'):
            os.truncate(self._path, data.rfind(b'\n') + 1)

    def holds(self, name: str, inputs: str) -> bool:
        """Whether a sample is there, or was skipped, as made from the same inputs.

        Its files must still be what they were.
        """
        record = self.records.get(name)
        if record is None or record['inputs'] != inputs:
            return False
        digests: dict[str, str] = record.get('sha256', {})
        files = {self.folder / path: digest for path, digest in digests.items()}
        return all(
            path.is_file() and file_digest(path).hex() == digest for path, digest in files.items()
        )

    def add(self, record: dict[str, Any]) -> None:
        """Add a sample whose files are written, or one that is skipped.

        Raises:
            OutputError: If it cannot be written; the manifest stays as it was.
        """
        self._append_line(record)
        self.records[record['name']] = record

    def _append_line(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line, allow_nan=False).encode() + b'\n'
        try:
            with self._path.open('ab', buffering=0) as stream:
                length = stream.tell()
                whole = stream.write(data) == len(data)
                if not whole:
                    stream.truncate(length)
        except OSError as error:
            msg = f'cannot write {self._path}: {error.strerror}; check the path and free space'
            raise OutputError(msg) from error
        if not whole:
            msg = f'cannot write {self._path}: the disk is full; free some space'
            raise OutputError(msg)


def read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read a manifest.

    Args:
        path: The file.

    Returns:
        The settings, and the samples and skipped ones by name; a last line without its end is
        left out.

    Raises:
        SourceError: If it cannot be read or is none.
    """
    try:
        lines = path.read_bytes().split(b'\n')[:-1]
        header, *records = [json.loads(line) for line in lines] or [{}]
        if header and header['version'] != VERSION:
            msg = f'{path} has version {header["version"]}, not {VERSION}; propagate again'
            raise SourceError(msg)
        return header, {record['name']: record for record in records}
    except (OSError, ValueError, LookupError, TypeError) as error:
        msg = f'{path} is no manifest of propagated samples: {error}; propagate into a new folder'
        raise SourceError(msg) from error


def sample_file(kind: str, name: str) -> str:
    """Return the path of a sample's file, from the clip's folder on.

    Args:
        kind: Key of `FILES`.
        name: Of the sample.
    """
    return f'{kind}/{name}{FILES[kind]}'


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()
