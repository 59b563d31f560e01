# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Read rosbag2 bags message by message: memory does not grow with the length of a bag.

Bags are read by the `rosbags` library; an MCAP file that was never closed (a killed recorder, a
full disk) is read front to back by the `mcap` library.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, final, Protocol

from mcap.reader import NonSeekingReader
import numpy as np
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vidseg_ros.bag_io.messages import BagImage, read_class_map, read_header
from vidseg_ros.bag_io.topics import (
    ImageTopics,
    is_image,
    sort_image_topics,
    topic_listing,
    TopicInfo,
)
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.labels import IGNORE_ID

_FILE_TYPES: Final = ('.mcap', '.db3')

_LOOKED_AT: Final = 5
"""Images by which a grey camera is told from label maps."""


class _Storage(Protocol):
    """What the reader needs from a bag: its topics, and messages as (type, log ns, CDR)."""

    topics: tuple[TopicInfo, ...]

    def messages(self, topic: str) -> Iterator[tuple[str, int, bytes]]: ...

    def close(self) -> None: ...


@final
class BagReader:
    """Reads a rosbag2 folder, or a single .mcap or .db3 file. Use it in a ``with`` statement.

    A folder without metadata.yaml and an MCAP file without its end are read as far as they go.

    Attributes:
        path: The bag folder or file.
        notes: What is wrong with it, once it is open.
    """

    def __init__(self, path: str | Path) -> None:
        """Remember where the bag lies; it is opened by ``with``.

        Args:
            path: The bag folder or file.
        """
        self.path = Path(path)
        self.notes: tuple[str, ...] = ()
        self._storage: _Storage | None = None

    def __enter__(self) -> 'BagReader':
        """Open the bag.

        Raises:
            SourceError: If it does not exist, holds no bag file, or cannot be read.
        """
        try:
            if not self.path.exists():
                msg = f'no bag at {self.path}: the path does not exist'
                raise SourceError(msg)
            self._storage, self.notes = _open_storage(self.path)
        except OSError as error:
            msg = f'cannot read {self.path}: {error.strerror}; check the path and its permissions'
            raise SourceError(msg) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bag."""
        if self._storage is not None:
            self._storage.close()
            self._storage = None

    @property
    def topics(self) -> tuple[TopicInfo, ...]:
        """All recorded topics, sorted by name."""
        return self._opened().topics

    def image_topics(self) -> ImageTopics:
        """Return the image topics by what they hold: cameras, label maps, or something else."""
        return sort_image_topics(self.topics, self._has_ids, self._is_depth)

    def image_topic(self, choice: str | None = None) -> str:
        """Return the chosen image topic, or the only camera where nothing is chosen.

        Raises:
            SourceError: If the choice is not a recorded image topic, or without a choice if
                there is no camera or more than one. The message lists the topics.
        """
        images = [topic for topic in self.topics if is_image(topic)]
        if choice is not None:
            if any(topic.name == choice for topic in images):
                return choice
            found = topic_listing(images or self.topics)
            kind = 'with images' if images else 'recorded, none with images'
            msg = f'no images on topic {choice} in {self.path}; {kind}: {found}'
            raise SourceError(msg)
        if not images:
            msg = f'no image topic in {self.path}; recorded: {topic_listing(self.topics)}'
            raise SourceError(msg)
        cameras = self.image_topics().cameras
        if not cameras:
            msg = (
                f'no camera in {self.path}, only depth, label maps and what was made of them: '
                f'{topic_listing(images)}; --topic takes one all the same'
            )
            raise SourceError(msg)
        if len(cameras) > 1:
            found = topic_listing(cameras)
            msg = f'several image topics in {self.path}: {found}; choose by --topic'
            raise SourceError(msg)
        return cameras[0].name

    def class_map(self, topic: str) -> tuple[tuple[int, str], ...] | None:
        """Return ids and names of the first vision_msgs/LabelInfo on a topic; None without one.

        Raises:
            SourceError: If it is damaged.
        """
        message = next(self.images(topic), None)
        if message is None:
            return None
        try:
            return read_class_map(message)
        except ImageError as error:
            msg = (
                f'cannot read the class list on {topic} in {self.path}: {error}; '
                '--label-classes names the classes'
            )
            raise SourceError(msg) from error

    def _has_ids(self, topic: str, info: str) -> bool:
        """Whether the first images of a topic are mono8 and hold no ids but those of a LabelInfo.

        Not if they or the LabelInfo cannot be read.
        """
        try:
            ids = [number for number, _ in self.class_map(info) or ()]
            maps = [image.label_map() for image in islice(self.images(topic), _LOOKED_AT)]
        except (ImageError, SourceError):
            return False
        return bool(maps) and all(np.isin(image, [*ids, IGNORE_ID]).all() for image in maps)

    def _is_depth(self, topic: str) -> bool:
        """Whether the first image of a topic holds distances; not if it cannot be read."""
        try:
            return any(image.is_depth() for image in islice(self.images(topic), 1))
        except (ImageError, SourceError):
            return False

    def images(self, topic: str) -> Iterator[BagImage]:
        """Yield the images of a topic in recorded order, none of them decoded yet.

        Raises:
            SourceError: If the file turns out to be damaged on the way.
        """
        read = 0
        try:
            for msgtype, log_ns, cdr in self._opened().messages(topic):
                stamp_ns, frame_id = read_header(cdr) or (log_ns, '')
                yield BagImage(
                    msgtype=msgtype, cdr=cdr, log_ns=log_ns, stamp_ns=stamp_ns, frame_id=frame_id
                )
                read += 1
        except Exception as error:
            # On damaged files rosbags lets much more than its own errors through.
            msg = (
                f'{self.path} is damaged after message {read} of {topic}: {error!r}; '
                'repair it (`mcap recover`, `sqlite3 .recover`) or use another copy'
            )
            raise SourceError(msg) from error

    def _opened(self) -> _Storage:
        if self._storage is None:
            msg = 'open the bag first: with BagReader(path) as bag'
            raise RuntimeError(msg)
        return self._storage


class _Bag:
    """A bag that the rosbags library reads."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._reader.open()
        self.topics = tuple(
            TopicInfo(
                name, ' and '.join(sorted({c.msgtype for c in info.connections})), info.msgcount
            )
            for name, info in self._reader.topics.items()
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
        self.topics = tuple(TopicInfo(*key, count) for key, count in sorted(counts.items()))

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


def _open_storage(path: Path) -> tuple[_Storage, tuple[str, ...]]:
    """Open a bag folder or file; go on with the file where only the folder's frame is broken.

    Returns:
        The storage, and what is wrong with it.
    """
    notes: tuple[str, ...] = ()
    if path.is_dir() and not (path / 'metadata.yaml').is_file():
        path = _only_file(path)
        notes = (f'bag has no metadata.yaml: reading {path} as it is',)
    if path.is_file() and path.suffix not in _FILE_TYPES:
        msg = (
            f'{path} is no bag: expected a rosbag2 folder or one file, {" or ".join(_FILE_TYPES)}'
        )
        raise SourceError(msg)
    try:
        return _Bag(path), notes
    except Exception as error:
        # On damaged files rosbags lets much more than its own errors through.
        file = _only_file(path) if path.is_dir() else path
        unfinished = _UnfinishedMcap(file) if file.suffix == '.mcap' else None
        if unfinished is None or not unfinished.topics:
            msg = f'cannot read bag {path}: {error}; it is damaged or was recorded by another tool'
            raise SourceError(msg) from error
        note = (
            f'{file} is unfinished or damaged ({error}): read are '
            f'{unfinished.extent(_message_count(path))}'
        )
        return unfinished, (*notes, note)


def _message_count(path: Path) -> int | None:
    """Return how many messages a bag's metadata.yaml says there are; None if it does not."""
    try:
        text = (path / 'metadata.yaml').read_text(encoding='utf-8')
        return int(YAML(typ='safe').load(text)['rosbag2_bagfile_information']['message_count'])
    except (OSError, ValueError, LookupError, TypeError, YAMLError):
        return None


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
