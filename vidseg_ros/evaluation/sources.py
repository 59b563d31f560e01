# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Driving footage to segment: a recorded bag, a video file or a folder of images.

All three give the same frames, one after the other and decoded only on request, so a frame that
cannot be decoded is skipped by the caller and a long drive takes no more memory than a short one.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
import logging
from pathlib import Path
import re
from statistics import median
from types import TracebackType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.bag_io import BagImage, BagReader, is_bag_file
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.image_codec import ColorOrder, decode_compressed, FOLDER_FPS, IMAGE_TYPES
from vidseg_ros.core.video_file import decode_frame, VideoFile

VIDEO_TYPES: Final = ('.mp4', '.mov', '.m4v', '.mkv', '.avi', '.webm', '.mpg', '.mpeg', '.ts')
ACCEPTED: Final = (
    f'a rosbag2 folder or file (.mcap .db3, also .zstd), a video ({" ".join(VIDEO_TYPES)}) '
    f'or a folder of images ({" ".join(IMAGE_TYPES)})'
)

STILLS: Final = (
    f'the frames of a folder are taken to be 1/{FOLDER_FPS} s apart; if they are not consecutive, '
    'TC and flips mean nothing'
)
"""What to know of temporal numbers over an image folder: nothing in it says what it is."""

USUAL_FPS: Final = (0.1, 240)
"""Least and largest nominal rate; stamps that give another one are counters, not times."""

FRAME_ID: Final = 'camera'
"""Frame id of footage that carries none."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SourceFrame:
    """One frame of footage.

    Attributes:
        index: Position in the source, from 0.
        name: Unique in the source; its label file and its mask file have this stem.
        stamp_ns: Time it was taken, ns.
        frame_id: Camera frame.
        decode: Gives (H, W, 3) uint8 in the colour order asked for, or raises ``ImageError``.
        message: The message as recorded, where the source is a bag.
    """

    index: int
    name: str
    stamp_ns: int
    frame_id: str
    decode: Callable[[ColorOrder], NDArray[np.uint8]] = field(repr=False)
    message: BagImage | None = None


class Source(AbstractContextManager['Source']):
    """Footage, open until the end of its ``with`` statement; it can be iterated repeatedly.

    Attributes:
        kind: What it is.
        name: Its file or folder name.
        frame_count: Number of frames as far as the source says, or None.
        fps: Nominal rate, frames/s, within `USUAL_FPS`, or None.
        topic: Image topic, where the source is a bag.
        notes: What is wrong with it, as far as known when it is opened.
    """

    kind: Literal['bag', 'video', 'images']
    name: str
    frame_count: int | None
    fps: float | None
    topic: str | None = None
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        """Start with nothing to close."""
        self._open = ExitStack()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the source."""
        self._open.close()

    @abstractmethod
    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames in recorded order.

        Raises:
            SourceError: If nothing, or nothing more, can be read.
        """


def is_bag(path: Path) -> bool:
    """Whether footage at a path would be read as a bag."""
    if not path.is_dir():
        return is_bag_file(path)
    names = list(path.iterdir())
    return any(file.name == 'metadata.yaml' or is_bag_file(file) for file in names)


def require_footage(paths: Iterable[Path]) -> None:
    """Refuse paths at which there is nothing, all of them at once.

    Raises:
        SourceError: If there are such paths.
        OSError: If one cannot be looked at.
    """
    if missing := [str(path) for path in paths if not path.exists()]:
        exist = 'the paths do not exist' if len(missing) > 1 else 'the path does not exist'
        msg = f'no footage at {", ".join(missing)}: {exist}; expected {ACCEPTED}'
        raise SourceError(msg)


def may_name_frames(path: Path, names: Collection[str]) -> bool:
    """Whether frames of footage may have some of the names, as far as is known unread.

    A frame goes by its name or by its stamp, see `SourceFrame`. The numbers of a video have six
    digits or more, and so have stamps in ns, but for the first one of a video.
    """
    if path.is_dir() and not is_bag(path):
        frames = [file.stem for file in _images(path)]
        stamps = map(str, map(_folder_stamp, range(len(frames))))
        return not set(names).isdisjoint([*frames, *stamps])
    number = r'\d+(_\d{6,})?' if is_bag(path) else r'\d{6,}|0'
    return any(re.fullmatch(number, name) for name in names)


def open_source(path: str | Path, *, topic: str | None = None, warn: bool = True) -> Source:
    """Open footage of any kind.

    Args:
        path: A rosbag2 folder or file, a video file, or a folder of images.
        topic: Image topic of a bag; needed where it has more than one camera.
        warn: Whether its ``notes`` are logged as well.

    Raises:
        SourceError: If the path is none of these or cannot be read, or a topic is chosen of what
            is no bag.
    """
    path = Path(path)
    try:
        source = _open(path, topic)
    except OSError as error:
        msg = f'cannot read {path}: {error.strerror}; check the path and its permissions'
        raise SourceError(msg) from error
    for note in source.notes if warn else ():
        _logger.warning('%s', note)
    return source


def _open(path: Path, topic: str | None) -> Source:
    require_footage([path])
    if is_bag(path):
        return BagSource(path, topic)
    if topic is not None:
        msg = f'{path} is no bag, so that no topic {topic} can be chosen of it; leave --topic out'
        raise SourceError(msg)
    if path.is_dir():
        if images := _images(path):
            return ImageFolderSource(path, images)
        msg = f'{path} holds neither a bag nor images; expected {ACCEPTED}'
        raise SourceError(msg)
    if path.suffix.lower() in VIDEO_TYPES:
        return VideoSource(path)
    msg = f'{path} is of no known type; expected {ACCEPTED}'
    raise SourceError(msg)


def _images(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in IMAGE_TYPES]


def _folder_stamp(index: int) -> int:
    return index * 1_000_000_000 // FOLDER_FPS


class BagSource(Source):
    """One image topic of a rosbag2 bag, with the stamps and frame ids of its headers."""

    kind = 'bag'

    def __init__(self, path: Path, topic: str | None) -> None:
        """Open the bag and choose the topic.

        Raises:
            SourceError: See ``BagReader`` and its ``image_topic``.
        """
        super().__init__()
        with ExitStack() as opening:
            self._bag = opening.enter_context(BagReader(path))
            self._topic = self.topic = self._bag.image_topic(topic)
            self.name = path.name
            self.notes = self._bag.notes
            self.frame_count = {info.name: info.count for info in self._bag.topics}[self._topic]
            self.fps = _frame_rate(self._bag.images(self._topic))
            self._open = opening.pop_all()

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames, named by their stamp in ns.

        Where stamps repeat or jump back, the index follows in the name, so that it is unique.
        """
        newest = -1
        for index, image in enumerate(self._bag.images(self._topic)):
            name = str(image.stamp_ns)
            yield SourceFrame(
                index=index,
                name=name if image.stamp_ns > newest else f'{name}_{index:06d}',
                stamp_ns=image.stamp_ns,
                frame_id=image.frame_id,
                decode=image.decode,
                message=image,
            )
            newest = max(newest, image.stamp_ns)


def _frame_rate(images: Iterator[BagImage]) -> float | None:
    """Estimate the frames/s of a recording from its first second or two."""
    stamps: list[int] = []
    with suppress(SourceError):  # whoever reads the frames meets the damage, and keeps the rest
        stamps.extend(image.stamp_ns for image in islice(images, 31))
    steps = [later - earlier for earlier, later in pairwise(stamps) if later > earlier]
    return _usual(1e9 / median(steps)) if steps else None


def _usual(fps: float) -> float | None:
    least, largest = USUAL_FPS
    return fps if least <= fps <= largest else None


class VideoSource(Source):
    """A video file: names are six-digit frame numbers, stamps its presentation times.

    A frame that is lost to damage is a frame that cannot be decoded. Damage that the decoder
    could paint over may show as wrong pixels.
    """

    kind = 'video'

    def __init__(self, path: Path) -> None:
        """Check that the file is a video.

        Raises:
            SourceError: If it is damaged or has no pictures.
        """
        super().__init__()
        self._video = VideoFile(path)
        self.name = path.name
        self.fps = _usual(self._video.rate)
        self.frame_count = self._video.frame_count

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames, those that are lost to damage as well.

        Raises:
            SourceError: At the end, if the file breaks off or not one frame could be decoded.
        """
        period = 1 / Fraction(self.fps or FOLDER_FPS)
        seconds = -period
        for index, frame in enumerate(self._video.frames()):
            seconds += period
            if frame.pts is not None and frame.time_base is not None:
                seconds = frame.pts * frame.time_base
            yield SourceFrame(
                index=index,
                name=f'{index:06d}',
                stamp_ns=round(seconds * 1_000_000_000),
                frame_id=FRAME_ID,
                decode=partial(decode_frame, frame),
            )


class ImageFolderSource(Source):
    """A folder of images, by file name; stamps count at ``FOLDER_FPS``."""

    kind = 'images'

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        """Take the files in the given order.

        Raises:
            SourceError: If two files have the same stem.
        """
        super().__init__()
        self.name = path.name
        self.fps = FOLDER_FPS
        self.frame_count = len(files)
        self._files = tuple(files)
        stem, times = Counter(file.stem for file in files).most_common(1)[0]
        if times > 1:
            msg = f'{path} holds {times} images named {stem}; keep one type of image in a folder'
            raise SourceError(msg)

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames, named by their file's stem."""
        for index, file in enumerate(self._files):
            yield SourceFrame(
                index=index,
                name=file.stem,
                stamp_ns=_folder_stamp(index),
                frame_id=FRAME_ID,
                decode=partial(_decode_file, file),
            )


def _decode_file(file: Path, order: ColorOrder) -> NDArray[np.uint8]:
    try:
        data = file.read_bytes()
    except OSError as error:
        msg = f'cannot read image {file}: {error}'
        raise ImageError('corrupt', msg) from error
    return decode_compressed(data, order=order)
