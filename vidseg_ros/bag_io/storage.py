# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The files of a bag, and what can be read of them.

Each file is read on its own, by the `rosbags` library. Of a folder that library leaves out what is
not as metadata.yaml says: every message of a topic that a file has with another QoS, and all files
if one is missing. An MCAP file that was never closed (a killed recorder, a full disk) is read
front to back by the `mcap` library.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, ExitStack
from datetime import datetime, timezone
from pathlib import Path, PurePath
import shutil
import sqlite3
from tempfile import TemporaryDirectory
from typing import Final, final, NamedTuple, Protocol

from mcap.reader import NonSeekingReader
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from zstandard import ZstdDecompressor, ZstdError

from vidseg_ros.bag_io.topics import TopicInfo
from vidseg_ros.core.errors import SourceError

_FILE_TYPES: Final = ('.mcap', '.db3')

_COMPRESSED: Final = '.zstd'
"""Suffix of the files of ``ros2 bag record --compression-mode file``."""

_ZSTD_START: Final = b'\x28\xb5\x2f\xfd'
"""No serialised message starts so: its first byte is 0."""


class _File(Protocol):
    """What is needed from a file: its topics, and messages as (type, log ns, CDR)."""

    topics: tuple[TopicInfo, ...]

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]: ...

    def close(self) -> None: ...


@final
class BagFiles:
    """The files of a bag, read one after the other; open until `close`.

    Attributes:
        topics: All recorded topics, sorted by name.
        notes: What is wrong with the bag.
    """

    def __init__(self, path: Path) -> None:
        """Open a bag folder or file; files of a folder that cannot be read are left out.

        Raises:
            SourceError: If no file can be read.
            OSError: If the folder cannot be read.
        """
        listed = _list_files(path)
        notes = [] if listed.note is None else [listed.note]
        errors: list[tuple[Path, Exception]] = []
        self._files: list[_File] = []
        with ExitStack() as opening:
            for file in listed.files:
                found = _open_or_say_why_not(file, listed, opening, notes)
                if isinstance(found, Exception):
                    errors.append((file, found))
                else:
                    self._files.append(found)
            if errors and not self._files:
                why = '; '.join(f'{file.name}: {error}' for file, error in errors)
                msg = (
                    f'cannot read bag {path}: {why}; it is damaged or was recorded by another tool'
                )
                raise SourceError(msg) from errors[0][1]
            self.topics = _merged(topic for file in self._files for topic in file.topics)
            self._opened = opening.pop_all()
        notes += [f'{file} is left out, it cannot be read: {error}' for file, error in errors]
        held = sum(topic.count for topic in self.topics)
        if (
            listed.recorded is not None
            and held < listed.recorded
            and not _tells_extent(self._files)
        ):
            notes.append(
                f'read are {held} of the {listed.recorded} messages that metadata.yaml of {path} '
                'counts'
            )
        self.notes = tuple(notes)

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]:
        """Yield the messages of a topic in recorded order, as type, log time (ns) and CDR."""
        for file in self._files:
            for msgtype, log_ns, message in file.messages(topic):
                yield msgtype, log_ns, _decompressed(message)

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


class _WholeFile:
    """A file that the rosbags library reads."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._reader.open()
        self.topics = tuple(
            TopicInfo(item.topic, item.msgtype, item.msgcount) for item in self._reader.connections
        )

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]:
        connections = [c for c in self._reader.connections if c.topic == topic]
        if not connections:  # which the library takes for all
            return
        for connection, log_ns, cdr in self._reader.messages(connections):
            yield connection.msgtype, log_ns, cdr

    def close(self) -> None:
        self._reader.close()


class _UnfinishedMcap:
    """An MCAP file without its end: whatever can be read front to back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = self._newest_ns = 0
        counts = Counter((name, msgtype) for name, msgtype, _, _ in self._records())
        self.topics = tuple(TopicInfo(*key, count) for key, count in counts.items())

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]:
        return (record[1:] for record in self._records() if record[0] == topic)

    def close(self) -> None:
        """Nothing is held open."""

    def extent(self, recorded: int | None) -> str:
        """Return for people how far the file can be read.

        Args:
            recorded: Messages that it had, where that is known.
        """
        read = sum(topic.count for topic in self.topics)
        of_all = '' if recorded is None else f' of {recorded}'
        size = self._path.stat().st_size
        newest = datetime.fromtimestamp(self._newest_ns / 1e9, timezone.utc)
        return (
            f'{read}{of_all} messages in the first '
            f'{self._read_bytes / 1e6:.2f} of {size / 1e6:.2f} MB, recorded until '
            f'{newest:%Y-%m-%d %H:%M:%S} UTC'
        )

    def _records(self) -> Iterator[tuple[str, str, int, bytes]]:
        with self._path.open('rb') as stream:
            messages = NonSeekingReader(stream).iter_messages(log_time_order=False)
            while True:
                try:
                    schema, channel, message = next(messages)
                except Exception:  # noqa: BLE001 - any error here is where the file broke off
                    return
                self._read_bytes = max(self._read_bytes, stream.tell())
                self._newest_ns = max(self._newest_ns, message.log_time)
                if schema is not None:
                    yield channel.topic, schema.name, message.log_time, message.data


class _Listing(NamedTuple):
    """The files of a bag in recorded order."""

    files: list[Path]
    recorded: int | None = None
    """Messages that metadata.yaml says there are; None: nothing says it."""
    note: str | None = None
    """What is wrong with the list."""


def _list_files(path: Path) -> _Listing:
    if not path.is_dir():
        if path.suffix in _FILE_TYPES:
            return _Listing([path])
        kinds = ' or '.join(_FILE_TYPES)
        msg = f'{path} is no bag: expected a rosbag2 folder or one file, {kinds}'
        raise SourceError(msg)
    try:
        text = (path / 'metadata.yaml').read_text(encoding='utf-8')
        bag = YAML(typ='safe').load(text)['rosbag2_bagfile_information']
        files = [path / PurePath(name).name for name in bag['relative_file_paths']]
        return _Listing(files, int(bag['message_count']))
    except FileNotFoundError:
        problem = 'bag has no metadata.yaml'
    except (ValueError, LookupError, TypeError, YAMLError):
        problem = 'metadata.yaml of the bag is damaged'
    file = _only_file(path)
    return _Listing([file], note=f'{problem}: reading {file} as it is')


def _only_file(folder: Path) -> Path:
    files = sorted(file for file in folder.iterdir() if file.suffix in _FILE_TYPES)
    if len(files) == 1:
        return files[0]
    if not files:
        msg = f'{folder} is no bag: it holds no {" or ".join(_FILE_TYPES)} file'
        raise SourceError(msg)
    msg = (
        f'bag {folder} has {len(files)} files but no usable metadata.yaml: '
        'run `ros2 bag reindex` on it, or name one of the files'
    )
    raise SourceError(msg)


def _open_or_say_why_not(
    file: Path, listed: _Listing, opening: ExitStack, notes: list[str]
) -> _File | Exception:
    """Open a file, or a copy of it that can be read.

    Args:
        file: One of the listed files.
        listed: The bag's.
        opening: Takes what has to be closed and removed in the end.
        notes: Takes what is wrong with the file that is opened.
    """
    try:
        opened = _open_file(file, listed, opening, notes)
    except Exception as error:  # noqa: BLE001 - of damaged files rosbags lets any error through
        return error
    opening.callback(opened.close)
    return opened


def _open_file(file: Path, listed: _Listing, opening: ExitStack, notes: list[str]) -> _File:
    if not file.exists():
        msg = 'the file is missing'
        raise SourceError(msg)
    path = file
    log = file.with_name(f'{file.name}-wal')
    if file.suffix == _COMPRESSED:
        path = _plain_copy(file, _temporary(opening))
    elif file.suffix == '.db3' and log.is_file() and log.stat().st_size:
        path = _checkpointed_copy(file, log, _temporary(opening))
        notes.append(
            f'{file} was not closed: read is a copy of it and of what {log.name} holds; '
            f'`{_checkpoint(file)}` puts it into the file'
        )
    opened: _File
    try:
        opened = _WholeFile(path)
    except Exception as error:
        unfinished = _UnfinishedMcap(path) if path.suffix == '.mcap' else None
        if unfinished is None or not unfinished.topics:
            raise
        opened = unfinished
        count = listed.recorded if len(listed.files) == 1 else None
        notes.append(
            f'{file} is unfinished or damaged ({error}): read are {unfinished.extent(count)}'
        )
    if listed.recorded is None and _is_compressed(opened):
        notes.append(
            f'messages of {file} are compressed (zstd), and decompressed as they are read'
        )
    return opened


def _tells_extent(files: list[_File]) -> bool:
    """Whether the note of the only file says how many messages are missing."""
    return len(files) == 1 and isinstance(files[0], _UnfinishedMcap)


def _merged(topics: Iterable[TopicInfo]) -> tuple[TopicInfo, ...]:
    """Return the topics of all files, each of them once."""
    types: defaultdict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for topic in topics:
        types[topic.name].add(topic.type)
        counts[topic.name] += topic.count
    return tuple(
        TopicInfo(name, ' and '.join(sorted(types[name])), counts[name]) for name in sorted(types)
    )


def _temporary(opening: ExitStack) -> Path:
    return Path(opening.enter_context(TemporaryDirectory(prefix='vidseg_bag_')))


def _plain_copy(file: Path, folder: Path) -> Path:
    """Return a decompressed copy of a file, as far as it goes."""
    copy = folder / file.stem
    with file.open('rb') as stream, copy.open('wb') as out:
        shutil.copyfileobj(ZstdDecompressor().stream_reader(stream, read_across_frames=True), out)
    return copy


def _checkpointed_copy(file: Path, log: Path, folder: Path) -> Path:
    """Return a copy of a sqlite3 file with the messages that only its write-ahead log has.

    The rosbags library does not look into the log, and a bag is not written to.

    Raises:
        SourceError: If there is no room for a copy, or the file is damaged.
    """
    copy = folder / file.name
    try:
        for part in (file, log):
            shutil.copyfile(part, folder / part.name)
        with closing(sqlite3.connect(copy)) as database:
            database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    except (OSError, sqlite3.Error) as error:
        msg = f'{error}; {log.name} has messages that it lacks, get them by `{_checkpoint(file)}`'
        raise SourceError(msg) from error
    return copy


def _checkpoint(file: Path) -> str:
    return f"sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'"


def _is_compressed(file: _File) -> bool:
    """Whether the messages of a file are compressed, to judge by the first of a frequent topic."""
    topic = max(file.topics, key=lambda info: info.count, default=None)
    if topic is None:
        return False
    try:
        _, _, message = next(file.messages(topic.name))
    except Exception:  # noqa: BLE001 - whoever reads the messages meets the damage
        return False
    return message.startswith(_ZSTD_START)


def _decompressed(message: bytes) -> bytes:
    """Return what ``ros2 bag record --compression-mode message`` compressed; others as they are.

    As it is, too, if it is damaged: that is one bad message, and not the end of the others.
    """
    if not message.startswith(_ZSTD_START):
        return message
    try:
        return ZstdDecompressor().decompressobj().decompress(message)
    except ZstdError:
        return message
