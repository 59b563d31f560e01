# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Temporary copies of bag files that cannot be read where they lie; a bag is not written to."""

from contextlib import closing, ExitStack
from pathlib import Path
import shutil
import sqlite3
from tempfile import TemporaryDirectory
from typing import Final

from zstandard import ZstdDecompressor, ZstdError

COMPRESSED: Final = '.zstd'
"""Suffix of the files of ``ros2 bag record --compression-mode file``."""


def plain_copy(file: Path, copies: ExitStack, said: list[str]) -> Path:
    """Return a decompressed copy of a file; of a damaged MCAP as far as it goes.

    Args:
        file: The compressed file.
        copies: Removes the copy when it is closed.
        said: Takes what is wrong with the file.

    Raises:
        ZstdError: If it is damaged, and no MCAP: nothing else is of use without its end.
        OSError: If it cannot be read, or there is no room for the copy.
    """
    copy = _folder(copies) / file.stem
    with file.open('rb') as stream, copy.open('wb') as out:
        plain = ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        try:
            shutil.copyfileobj(plain, out)
        except ZstdError as error:
            if copy.suffix != '.mcap':
                raise
            said.append(f'{file} is damaged ({error}): read is what can be decompressed of it')
    return copy


def checkpointed_copy(file: Path, log: Path, copies: ExitStack, said: list[str]) -> Path:
    """Return a copy of a sqlite3 file with the messages that only its write-ahead log has.

    The rosbags library does not look into the log. Where no copy can be made, it is the file
    itself that is returned.

    Args:
        file: The file.
        log: Its write-ahead log.
        copies: Removes the copy when it is closed.
        said: Takes what is wrong with the file.
    """
    repair = f"sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'"
    try:
        with ExitStack() as own:
            copy = _folder(own) / file.name
            for part in (file, log):
                shutil.copyfile(part, copy.with_name(part.name))
            with closing(sqlite3.connect(copy)) as database:
                database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            copies.enter_context(own.pop_all())
    except (OSError, sqlite3.Error) as error:
        said.append(
            f'{file} was not closed, and lacks what {log.name} holds; a copy of both failed '
            f'({error}): `{repair}` puts it into the file'
        )
        return file
    said.append(
        f'{file} was not closed: read is a copy of it and of what {log.name} holds; '
        f'`{repair}` puts it into the file'
    )
    return copy


def _folder(copies: ExitStack) -> Path:
    return Path(copies.enter_context(TemporaryDirectory(prefix='vidseg_bag_')))
