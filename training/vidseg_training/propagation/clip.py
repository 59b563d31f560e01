# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Driving clips frame by frame: a sequence of images, a video file, a procedural street.

Frames have positions, which count those that are missing as well: the distance of two positions
is a distance in time.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
import re
from statistics import median
from typing import Final, final, NamedTuple, Protocol

from av.video.frame import VideoFrame
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.fleet.record import file_digest
from vidseg_ros.core.image_codec import decode_compressed, IMAGE_TYPES
from vidseg_ros.core.street import StreetClip
from vidseg_ros.core.video_file import decode_frame, LostFrame, VideoFile

STREET: Final = 'street:'
"""``street:SEED`` is a procedural clip with exact labels, ``street:SEED@HEIGHTxWIDTH`` a small
one; without a size it has 360x640 pixels."""

_STREET_PATTERN: Final = re.compile(r'street:(\d+)(?:@([1-9]\d*)x([1-9]\d*))?')

STREET_FRAMES: Final = 240
"""Length of a procedural clip: 16 s."""


class FrameName(NamedTuple):
    """What the name of a file says of its place in a video."""

    sequence: str
    """What stands before the number."""
    number: int | None
    """Number of the frame; None if the name has none."""


def parse_frame_name(stem: str) -> FrameName:
    """Read a file name without suffix: its last number that stands alone is the frame's.

    ``aachen_000003_000019_leftImg8bit`` and ``aachen_000003_000019_gtFine_labelTrainIds`` are
    frame 19 of ``aachen_000003_``, ``0016E5_07959`` is frame 7959 of ``0016E5_``, ``frame12`` is
    frame 12 of ``frame``.
    """
    alone = list(re.finditer(r'(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])', stem))
    match = alone[-1] if alone else re.search(r'\d+$', stem)
    if match is None:
        return FrameName(stem, None)
    return FrameName(stem[: match.start()], int(match[0]))


class Clip(Protocol):
    """Frames of one camera without a cut in the numbering."""

    name: str
    """Of its folder of samples: letters, digits, dot, dash, underscore."""

    def __len__(self) -> int:
        """Return the number of positions."""
        ...

    def position(self, stem: str) -> int | None:
        """Return which frame a label map belongs to.

        Args:
            stem: Name of its file, see `parse_frame_name`.

        Returns:
            None if the clip has no such frame.
        """
        ...

    def frame_name(self, position: int) -> str:
        """Return what a frame is called in names of samples."""
        ...

    def has(self, position: int) -> bool:
        """Whether there is a frame; one that is there may still be unreadable."""
        ...

    def read(self, position: int) -> NDArray[np.uint8] | None:
        """Decode a frame, see `reach`.

        Returns:
            (H, W, 3) uint8 RGB; None if it is missing or cannot be decoded.
        """
        ...

    def fingerprint(self, position: int) -> str:
        """Return what changes when the frame does, without decoding it; '' if it is missing.

        One that is there and cannot be read has a fingerprint as well.
        """
        ...


@final
class ImageSequence:
    """The images of a folder that have one sequence name, see `Clip`."""

    def __init__(self, name: str, files: dict[int, Path]) -> None:
        """Put images in order.

        Args:
            name: Of the clip.
            files: By number of the frame, or by its stamp. The least distance of two numbers
                (of stamps, the usual one about it) is one position; a larger one leaves
                positions without a frame.
        """
        self.name = name
        numbers = sorted(files)
        steps = [later - earlier for earlier, later in pairwise(numbers)] or [1]
        step = median(distance for distance in steps if distance < 1.5 * min(steps))
        positions = [round((number - numbers[0]) / step) for number in numbers]
        if len(set(positions)) < len(numbers):  # no clock counts like that
            positions = list(range(len(numbers)))
        self._files = dict(zip(positions, (files[number] for number in numbers), strict=True))
        self._digests: dict[int, str] = {}
        self._names = {
            name: position
            for position, file in self._files.items()
            for name in (file.stem, parse_frame_name(file.stem))
        }

    def __len__(self) -> int:
        """Return the number of positions."""
        return max(self._files) + 1

    def position(self, stem: str) -> int | None:
        """See `Clip`."""
        return self._names.get(stem, self._names.get(parse_frame_name(stem)))

    def frame_name(self, position: int) -> str:
        """See `Clip`."""
        return self._files[position].stem

    def has(self, position: int) -> bool:
        """See `Clip`."""
        return position in self._files

    def read(self, position: int) -> NDArray[np.uint8] | None:
        """See `Clip`; in any order."""
        if position not in self._files:
            return None
        try:
            return decode_compressed(self._files[position].read_bytes(), order='rgb8')
        except (OSError, ImageError):
            return None

    def fingerprint(self, position: int) -> str:
        """See `Clip`."""
        if position not in self._files:
            return ''
        if position not in self._digests:
            try:
                self._digests[position] = file_digest(self._files[position]).hex()
            except SourceError:  # as `read` finds it
                self._digests[position] = 'unreadable'
        return self._digests[position]

    def summary(self) -> str:
        """Return what tells the clip from others, wherever it lies, without reading all of it.

        That is name and size of every file, and the content of the first, the middle and the last
        one: PNGs without compression all have one size.
        """
        sizes = []
        for position, file in self._files.items():
            with suppress(OSError):  # as `read` finds it
                sizes.append(f'{position} {file.name} {file.stat().st_size}')
        positions = list(self._files)
        some = (positions[index] for index in (0, len(positions) // 2, -1))
        return '\n'.join([*sizes, *map(self.fingerprint, some)])


class _NumberedFrames(ABC):
    """Frames that are named by their position."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of positions."""

    def position(self, stem: str) -> int | None:
        """See `Clip`."""
        number = parse_frame_name(stem).number
        return number if number is not None and self.has(number) else None

    def frame_name(self, position: int) -> str:
        """See `Clip`."""
        return f'{position:06d}'

    def has(self, position: int) -> bool:
        """See `Clip`."""
        return 0 <= position < len(self)


@final
class VideoClip(_NumberedFrames):
    """A video file, see `Clip`; labels are named by the number of their frame, from 0."""

    def __init__(self, name: str, path: Path, reach: int) -> None:
        """Open a video.

        Args:
            name: Of the clip.
            path: The file.
            reach: Frames are read at most this far behind the last one that was read.

        Raises:
            SourceError: If it is damaged or has no pictures.
        """
        self.name = name
        self._video = VideoFile(path)
        self._digest = file_digest(path).hex()
        self._length = self._count()
        self._frames = self._decoded()
        self._recent: deque[tuple[int, NDArray[np.uint8] | None]] = deque(maxlen=reach + 1)

    def _count(self) -> int:
        """Return the number of frames; a file that does not say is decoded once for it."""
        count = self._video.frame_count or 0
        if count:
            return count
        try:
            for _ in self._video.frames():
                count += 1
        except SourceError:  # it breaks off
            if not count:
                raise
        return count

    def _decoded(self) -> Iterator[NDArray[np.uint8] | None]:
        try:
            for frame in self._video.frames():
                yield _decode(frame)
        except SourceError:  # it breaks off: what follows cannot be read
            return

    def __len__(self) -> int:
        """Return the number of positions."""
        return self._length

    def read(self, position: int) -> NDArray[np.uint8] | None:
        """See `Clip`; at most ``reach`` positions behind the last one."""
        newest = self._recent[-1][0] if self._recent else -1
        for number in range(newest + 1, position + 1):
            self._recent.append((number, next(self._frames, None)))
        return dict(self._recent)[position]

    def fingerprint(self, position: int) -> str:
        """See `Clip`."""
        return f'{self._digest} {position}' if self.has(position) else ''


def _decode(frame: VideoFrame | LostFrame) -> NDArray[np.uint8] | None:
    try:
        return decode_frame(frame, 'rgb8')
    except ImageError:
        return None


@final
class StreetSequence(_NumberedFrames):
    """A procedural street clip, see `Clip`.

    Attributes:
        street: Its geometry.
    """

    def __init__(self, name: str, street: StreetClip) -> None:
        """Use a street; frames are rendered when they are read, in any order."""
        self.name = name
        self.street = street

    def __len__(self) -> int:
        """Return the number of positions."""
        return STREET_FRAMES

    def read(self, position: int) -> NDArray[np.uint8]:
        """See `Clip`."""
        return self.street.frame(position).image

    def fingerprint(self, position: int) -> str:
        """See `Clip`."""
        return f'{self.name} {position}' if self.has(position) else ''


class ClipReference(NamedTuple):
    """Where a clip is; small and picklable, for a job on any machine."""

    name: str
    """Of the clip, unique among all."""
    path: str
    """A folder, a video file, or ``street:SEED``."""
    sequence: str = ''
    """Of a folder: what stands before the number in the names of the images."""

    def street(self) -> StreetClip | None:
        """Return the geometry of a procedural clip; None for a recorded one."""
        match = _STREET_PATTERN.fullmatch(self.path)
        if match is None:
            return None
        seed, *size = (int(number) for number in match.groups() if number is not None)
        return StreetClip(seed=seed, size=(size[0], size[1])) if size else StreetClip(seed=seed)

    def open(self, reach: int) -> Clip:
        """Open the clip.

        Args:
            reach: See `VideoClip`.

        Raises:
            SourceError: If it cannot be read.
        """
        street = self.street()
        if street is not None:
            return StreetSequence(self.name, street)
        path = Path(self.path)
        if path.is_dir():
            return ImageSequence(self.name, _sequences(path)[self.sequence])
        return VideoClip(self.name, path, reach)


def list_clips(path: str) -> list[ClipReference]:
    """Return the clips at a path: one for each sequence of a folder.

    Args:
        path: A folder of images, a video file, or ``street:SEED``.

    Raises:
        SourceError: If there is nothing of the kind, or two images are the same frame.
    """
    if path.startswith(STREET):
        if not _STREET_PATTERN.fullmatch(path):
            msg = f'no clip {path}: a procedural street is named street:SEED, such as street:7'
            raise SourceError(msg)
        return [ClipReference(_plain(path), path)]
    where = Path(path)
    if where.is_dir():
        sequences = _sequences(where)
        alone = len(sequences) == 1
        return [
            ClipReference(_plain(where.name if alone else f'{where.name}_{name}'), path, name)
            for name in sequences
        ]
    if not where.is_file():
        msg = f'no clip at {path}: give a folder of images, a video file, or street:SEED'
        raise SourceError(msg)
    return [ClipReference(_plain(where.stem), path)]


def _sequences(folder: Path) -> dict[str, dict[int, Path]]:
    """Return the images of a folder by sequence and number; without numbers, by order."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_TYPES)
    if not files:
        msg = f'no images ({" ".join(IMAGE_TYPES)}) in {folder}'
        raise SourceError(msg)
    names = [parse_frame_name(file.stem) for file in files]
    if any(name.number is None for name in names):
        names = [FrameName('', number) for number in range(len(files))]
    found: dict[str, dict[int, Path]] = {}
    for name, file in zip(names, files, strict=True):
        sequence = found.setdefault(name.sequence, {})
        assert name.number is not None
        if name.number in sequence:
            msg = f'{sequence[name.number]} and {file} are the same frame: remove one of them'
            raise SourceError(msg)
        sequence[name.number] = file
    return found


def _plain(name: str) -> str:
    return re.sub(r'[^\w.-]+', '_', name, flags=re.ASCII).strip('._') or 'clip'
