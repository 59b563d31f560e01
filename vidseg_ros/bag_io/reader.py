# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Read rosbag2 bags message by message: memory does not grow with the length of a bag."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, final

import numpy as np

from vidseg_ros.bag_io.messages import BagImage, read_class_map, read_header
from vidseg_ros.bag_io.storage import BagFiles
from vidseg_ros.bag_io.topics import (
    ImageTopics,
    is_image,
    sort_image_topics,
    topic_listing,
    TopicInfo,
)
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.labels import IGNORE_ID

_LOOKED_AT: Final = 5
"""Images by which a grey camera is told from label maps."""


@final
class BagReader:
    """Reads a rosbag2 folder or a single file of one. Use it in a ``with`` statement.

    The file is an .mcap or .db3, or one of them compressed (.zstd). A folder without some of the
    files that metadata.yaml names and an MCAP file without its end are read as far as they go, a
    folder without a usable metadata.yaml if it holds no more than one file.

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
        self._files: BagFiles | None = None

    def __enter__(self) -> 'BagReader':
        """Open the bag.

        Raises:
            SourceError: If it does not exist, holds no bag file, or cannot be read.
        """
        try:
            if not self.path.exists():
                msg = f'no bag at {self.path}: the path does not exist'
                raise SourceError(msg)
            self._files = BagFiles(self.path)
            self.notes = self._files.notes
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
        if self._files is not None:
            self._files.close()
            self._files = None

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
            SourceError: At the end, if a file turned out to be damaged on the way, or could not
                be read on; images of the files after it are yielded before.
        """
        for msgtype, log_ns, cdr in self._opened().messages(topic):
            stamp_ns, frame_id = read_header(cdr) or (log_ns, '')
            yield BagImage(
                msgtype=msgtype, cdr=cdr, log_ns=log_ns, stamp_ns=stamp_ns, frame_id=frame_id
            )

    def _opened(self) -> BagFiles:
        if self._files is None:
            msg = 'open the bag first: with BagReader(path) as bag'
            raise RuntimeError(msg)
        return self._files
