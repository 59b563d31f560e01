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
from contextlib import contextmanager, ExitStack
from datetime import datetime, timezone
import errno
from pathlib import Path, PurePath
from typing import Final, final, NamedTuple, Protocol

from mcap.reader import NonSeekingReader
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from zstandard import ZstdDecompressor, ZstdError

from vidseg_ros.bag_io.temporary_copy import checkpointed_copy, COMPRESSED, plain_copy
from vidseg_ros.bag_io.topics import TopicInfo
from vidseg_ros.core.errors import SourceError

_FILE_TYPES: Final = ('.mcap', '.db3')

_ZSTD_START: Final = b'\x28\xb5\x2f\xfd'
"""No serialised message starts so: its first byte is 0."""


class _File(Protocol):
    """What is needed from a file: its topics, and messages as (type, log ns, CDR).

    It is open only while it is read: a long drive has more files than a process may have open.
    """

    topics: tuple[TopicInfo, ...]

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]: ...


def is_bag_file(path: Path) -> bool:
    """Whether a file is named like one of a bag, compressed as a whole or not."""
    return PurePath(path.name.removesuffix(COMPRESSED)).suffix in _FILE_TYPES


@final
class BagFiles:
    """The files of a bag, read one after the other; copies of them are kept until `close`.

    Attributes:
        topics: All recorded topics, sorted by name.
        notes: What is wrong with the bag.
    """

    def __init__(self, path: Path) -> None:
        """Open a bag folder or file; files of a folder that cannot be read are left out.

        Raises:
            SourceError: If no file can be read, or one of them not for want of permission, memory,
                room or the like.
            OSError: If the folder cannot be read.
        """
        listed = _list_files(path)
        notes = [] if listed.note is None else [listed.note]
        errors: list[tuple[Path, str]] = []
        self._files: dict[Path, _File] = {}
        with ExitStack() as copies:
            for file in listed.files:
                found = _open_or_say_why_not(file, listed, copies, notes)
                if isinstance(found, str):
                    errors.append((file, found))
                else:
                    self._files[file] = found
            if errors and not self._files:
                why = '; '.join(f'{file.name}: {error}' for file, error in errors)
                msg = (
                    f'cannot read bag {path}: {why}; it is damaged or was recorded by another tool'
                )
                raise SourceError(msg)
            self.topics = _merged(topic for file in self._files.values() for topic in file.topics)
            self._copies = copies.pop_all()
        notes += [f'{file} is left out, it cannot be read: {error}' for file, error in errors]
        held = sum(topic.count for topic in self.topics)
        if (
            listed.recorded is not None
            and held < listed.recorded
            and not _tells_extent([*self._files.values()])
        ):
            notes.append(
                f'read are {held} of the {listed.recorded} messages that metadata.yaml of {path} '
                'counts'
            )
        self.notes = tuple(notes)

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]:
        """Yield the messages of a topic in recorded order, as type, log time (ns) and CDR.

        Raises:
            SourceError: At the end, if files turned out to be damaged or could not be read on the
                way; of those, whatever comes after is lost.
        """
        lost: list[str] = []
        for path, file in self._files.items():
            read = 0
            try:
                for msgtype, log_ns, message in file.messages(topic):
                    yield msgtype, log_ns, _decompressed(message)
                    read += 1
            except Exception as error:  # noqa: BLE001 - rosbags lets much more than its own through
                lost.append(_loss(path, f'after message {read} of {topic}', error))
        if lost:
            raise SourceError('; '.join(lost))

    def close(self) -> None:
        """Remove the copies; whoever reads one can go on."""
        self._copies.close()


class _WholeFile:
    """A file that the rosbags library reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._reader() as reader:
            self.topics = tuple(
                TopicInfo(item.topic, item.msgtype, item.msgcount) for item in reader.connections
            )

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]:
        if topic not in {info.name for info in self.topics}:
            return
        with self._reader() as reader:
            connections = [item for item in reader.connections if item.topic == topic]
            for connection, log_ns, cdr in reader.messages(connections):
                yield connection.msgtype, log_ns, cdr

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        with self._path.open('rb'):  # of what cannot be opened, sqlite does not say why
            pass
        with Reader(self._path) as reader:
            yield reader


class _UnfinishedMcap:
    """An MCAP file without its end: whatever can be read front to back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = self._newest_ns = 0
        counts = Counter((name, msgtype) for name, msgtype, _, _ in self._records())
        self.topics = tuple(TopicInfo(*key, count) for key, count in counts.items())

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]:
        return (record[1:] for record in self._records() if record[0] == topic)

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
                except Exception as error:
                    if _is_trouble(error):
                        raise
                    return  # any other error is where the file broke off
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
        if is_bag_file(path):
            return _Listing([path])
        kinds = ' or '.join(_FILE_TYPES)
        msg = f'{path} is no bag: expected a rosbag2 folder or one file, {kinds} ({COMPRESSED})'
        raise SourceError(msg)
    try:
        text = (path / 'metadata.yaml').read_text(encoding='utf-8')
        bag = YAML(typ='safe').load(text)['rosbag2_bagfile_information']
        files = [path / PurePath(name).name for name in bag['relative_file_paths']]
        listing = _Listing(files, int(bag['message_count']))
        if any(file.exists() for file in files) or not _bag_files(path):
            return listing
        problem = 'no file of the bag is named as in metadata.yaml'
    except FileNotFoundError:
        problem = 'bag has no metadata.yaml'
    except (ValueError, LookupError, TypeError, YAMLError):
        problem = 'metadata.yaml of the bag is damaged'
    file = _only_file(path)
    return _Listing([file], note=f'{problem}: reading {file} as it is')


def _bag_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_bag_file(file))


def _only_file(folder: Path) -> Path:
    files = _bag_files(folder)
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
    file: Path, listed: _Listing, copies: ExitStack, notes: list[str]
) -> _File | str:
    """Open a file, or a copy of it that can be read.

    Args:
        file: One of the listed files.
        listed: The bag's.
        copies: Takes what has to be removed in the end.
        notes: Takes what is wrong with the file that is opened.

    Raises:
        SourceError: If it is not the file that is to blame.
    """
    said: list[str] = []
    try:
        with ExitStack() as own:
            opened = _open_file(file, listed, own, said)
            copies.enter_context(own.pop_all())
    except Exception as error:  # of damaged files rosbags lets any error through
        if _is_trouble(error):
            raise SourceError(_loss(file, 'at all', error)) from error
        return '; '.join([str(error) or repr(error), *said])
    notes += said
    return opened


def _open_file(file: Path, listed: _Listing, copies: ExitStack, said: list[str]) -> _File:
    if not file.exists():
        msg = 'the file is missing'
        raise SourceError(msg)
    path = file
    log = file.with_name(f'{file.name}-wal')
    if file.suffix == COMPRESSED:
        path = plain_copy(file, copies, said)
    elif file.suffix == '.db3' and log.is_file() and log.stat().st_size:
        path = checkpointed_copy(file, log, copies, said)
    opened: _File
    try:
        opened = _WholeFile(path)
    except Exception as error:
        # No memory for a record of the length that rosbags reads is damage; mcap has a limit.
        if path.suffix != '.mcap' or (_is_trouble(error) and not isinstance(error, MemoryError)):
            raise
        unfinished = _UnfinishedMcap(path)
        if not unfinished.topics:
            raise
        opened = unfinished
        count = listed.recorded if len(listed.files) == 1 else None
        said.append(
            f'{file} is unfinished or damaged ({str(error) or repr(error)}): read are '
            f'{unfinished.extent(count)}'
        )
    if listed.recorded is None and _is_compressed(opened):
        said.append(f'messages of {file} are compressed (zstd), and decompressed as they are read')
    return opened


def _is_trouble(error: BaseException | None) -> bool:
    """Whether this machine is to blame for an error, and not the contents of a file."""
    if isinstance(error, OSError):
        # Invalid: a place before the start, from a wrong length. None: some library's own error.
        return error.errno not in {None, errno.EINVAL}
    return error is not None and (
        isinstance(error, MemoryError) or _is_trouble(error.__cause__)  # which rosbags wraps
    )


def _loss(file: Path, where: str, error: Exception) -> str:
    if _is_trouble(error):
        return (
            f'{file} cannot be read {where}: {error!r}; it need not be damaged: check its '
            'permissions, and memory, open files and room for copies (TMPDIR) of this machine'
        )
    return (
        f'{file} is damaged {where}: {error!r}; '
        'repair it (`mcap recover`, `sqlite3 .recover`) or use another copy'
    )


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
