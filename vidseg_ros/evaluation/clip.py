# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Small pictures and label maps of a drive for its report page, written while it is evaluated.

A clip is a folder of parts of a minute, each a VP9 video and its label maps, and an index. Parts
let the page open quickly, decode only what is looked at and, of a long drive, carry only what
matters. A label map is one lossless WebP with the ids of the first model in red, of the second in
green; it is smaller than a PNG, and browsers decode it exactly.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.evaluation.video_clock import VideoClock
from vidseg_ros.evaluation.writers import fit_picture, writing

INDEX: Final = 'index.json'
"""Name of the index in a clip's folder."""

MAX_SIZE: Final = (640, 360)
"""Largest width and height of a clip, px."""

MAX_FPS: Final = 15
"""Most frames of a clip in a second, on average."""

MAX_MODELS: Final = 3
"""As many as a picture has channels."""

PART_MS: Final = 60_000
"""Length of a part, ms of video time."""

_PERIOD_MS: Final = 1000 / MAX_FPS
_JITTER_MS: Final = 3
_LOSSLESS: Final = 101
_VP9: Final = {
    'deadline': 'realtime',
    'cpu-used': '7',
    'lag-in-frames': '0',
    'crf': '42',
    'g': '30',  # a scrub decodes at most two seconds
}
_MOST_BITS_PER_S: Final = 250_000


@dataclass(frozen=True, kw_only=True)
class ClipPart:
    """About a minute of a clip; its lists have one entry per frame."""

    name: str
    """Name of its files without suffix: ``.webm`` and ``.masks``."""
    indices: list[int]
    """Positions of the frames in the source, from 0."""
    stamps_ns: list[int] = field(default_factory=list)
    """When the frames were taken, ns."""
    times_ms: list[int] = field(default_factory=list)
    """When they are shown in the part's video, ms."""
    mask_sizes: list[int] = field(default_factory=list)
    """Bytes of their label maps, which follow one another in the file."""


@dataclass(frozen=True, kw_only=True)
class ClipIndex:
    """What a clip's folder holds."""

    models: list[str]
    """Keys of the models, in the order of the colour channels red, green, blue."""
    width: int
    """Width of pictures and label maps, px."""
    height: int
    """Their height, px."""
    parts: list[ClipPart]
    """In order of time."""


def read_clip(folder: Path) -> ClipIndex | None:
    """Read the index of a clip; None if there is no clip.

    Raises:
        SourceError: If it is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        parts = [ClipPart(**part) for part in plain.pop('parts')]
        return ClipIndex(**plain, parts=parts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f'cannot read the clip {path}: {error!r}; evaluate this source again'
        raise SourceError(msg) from error


@final
class ClipWriter(AbstractContextManager['ClipWriter']):
    """Writes a clip, in memory that does not grow with it but for its index.

    The first frame sets the size: at most `MAX_SIZE`, even width and height, the same aspect
    ratio. Frames of another size are stretched to it. When frames come faster than `MAX_FPS`, some
    are left out. They are shown when a `VideoClock` says.
    """

    def __init__(self, folder: Path, models: Sequence[str]) -> None:
        """Remember what to write; the folder is made by ``with``.

        Args:
            folder: Made if absent; files of the same names in it are replaced.
            models: Keys of the models, 1 to `MAX_MODELS`.

        Raises:
            ParameterError: If there are more models, or none.
        """
        if not 1 <= len(models) <= MAX_MODELS:
            msg = f'a clip shows 1 to {MAX_MODELS} models, not {len(models)}'
            raise ParameterError(msg)
        self._folder = folder
        self._models = list(models)
        self._clock = VideoClock(1000, round(1e9 / MAX_FPS))
        self._due_ms = 0.0
        self._size: tuple[int, int] | None = None
        self._parts: list[ClipPart] = []
        self._part: _PartFiles | None = None

    def __enter__(self) -> 'ClipWriter':
        """Make the folder.

        Raises:
            OutputError: If it cannot be made.
        """
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the clip; without a frame there is no index.

        Raises:
            OutputError: If its end cannot be written.
        """
        self._end_part()

    def write(
        self,
        image: NDArray[np.uint8],
        label_maps: Mapping[str, NDArray[np.uint8]],
        stamp_ns: int,
        index: int,
    ) -> None:
        """Offer the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            label_maps: By model, (h, w) uint8 ids at any size.
            stamp_ns: When it was taken, ns.
            index: Its position in the source, from 0.

        Raises:
            OutputError: If it cannot be written.
        """
        time_ms = self._clock.tick(stamp_ns)
        if time_ms < self._due_ms - _JITTER_MS:
            return
        self._due_ms = max(self._due_ms, time_ms) + _PERIOD_MS
        if self._size is None:
            self._size = _clip_size(image.shape[1], image.shape[0])
        if self._part is not None and time_ms - self._part.start_ms >= PART_MS:
            self._end_part()
        if self._part is None:
            name = f'{len(self._parts):04d}'
            self._part = _PartFiles(self._folder, name, self._size, time_ms)
        maps = [label_maps[key] for key in self._models]
        self._part.add(image, maps, time_ms, stamp_ns, index)

    def _end_part(self) -> None:
        """Finish the part that is under way; everything so far is complete then."""
        if self._part is None or self._size is None:
            return
        self._part.close()
        self._parts.append(self._part.index)
        self._part = None
        width, height = self._size
        index = ClipIndex(models=self._models, width=width, height=height, parts=self._parts)
        path = self._folder / INDEX
        with writing(path):
            path.write_text(json.dumps(asdict(index)), encoding='utf-8')


@final
class _PartFiles:
    """The open files of a part."""

    def __init__(self, folder: Path, name: str, size: tuple[int, int], start_ms: int) -> None:
        self.start_ms = start_ms
        self.index = ClipPart(name=name, indices=[])
        self._size = size
        self._video_path = folder / f'{name}.webm'
        self._masks_path = folder / f'{name}.masks'
        with writing(self._masks_path):
            self._masks = self._masks_path.open('wb')
        with writing(self._video_path):
            self._container: OutputContainer = av.open(str(self._video_path), 'w', format='webm')
            self._stream = self._add_stream()

    def add(
        self,
        image: NDArray[np.uint8],
        maps: Sequence[NDArray[np.uint8]],
        time_ms: int,
        stamp_ns: int,
        index: int,
    ) -> None:
        """Append a frame."""
        width, height = self._size
        frame = VideoFrame.from_ndarray(fit_picture(image, width, height), format='rgb24')
        frame.time_base = Fraction(1, 1000)
        frame.pts = time_ms - self.start_ms
        with writing(self._video_path):
            self._container.mux(self._stream.encode(frame))
        mask = _encode_mask([resize_labels(labels, (height, width)) for labels in maps])
        with writing(self._masks_path):
            self._masks.write(mask)
        self.index.indices.append(index)
        self.index.stamps_ns.append(stamp_ns)
        self.index.times_ms.append(frame.pts)
        self.index.mask_sizes.append(len(mask))

    def close(self) -> None:
        """Finish both files."""
        with writing(self._masks_path):
            self._masks.close()
        with writing(self._video_path):
            self._container.mux(self._stream.encode())
            self._container.close()

    def _add_stream(self) -> VideoStream:
        stream = self._container.add_stream('libvpx-vp9', rate=MAX_FPS, options=_VP9)
        stream.width, stream.height = self._size
        stream.pix_fmt = 'yuv420p'
        stream.bit_rate = _MOST_BITS_PER_S
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_count = 1
        return stream


def _encode_mask(maps: Sequence[NDArray[np.uint8]]) -> bytes:
    """Return (h, w) uint8 label maps of 1 to 3 models as one lossless WebP."""
    planes = [*maps, *[maps[0]] * (3 - len(maps))]
    blue_green_red = cv2.merge(planes[::-1])
    done, data = cv2.imencode('.webp', blue_green_red, [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS])
    if not done:
        msg = 'this OpenCV cannot write WebP; install another build of it'
        raise OutputError(msg)
    return data.tobytes()


def _clip_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, MAX_SIZE[0] / width, MAX_SIZE[1] / height)
    return max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)
