# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the report: which parts of the clips the page carries, and thumbnails."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.overlay import blend
from vidseg_ros.evaluation.clip import ClipIndex, ClipPart
from vidseg_ros.evaluation.report_series import read_frames, values_at

THUMBNAIL_WIDTH: Final = 240
"""Width of a thumbnail, px."""

_JPEG_QUALITY: Final = 78


@dataclass(frozen=True, kw_only=True)
class SourceClip:
    """The clip of a source, with times as the report counts them."""

    key: str
    """Of the source."""
    folder: Path
    """Of the clip."""
    index: ClipIndex
    """What is in it."""
    start_ns: int
    """Stamp of the source's first frame, ns."""

    def seconds(self, part: ClipPart) -> list[float]:
        """Return when the frames of a part were taken, s since the source's first frame."""
        return [round((stamp_ns - self.start_ns) / 1e9, 3) for stamp_ns in part.stamps_ns]

    def frame_at(self, index: int) -> tuple[ClipPart, int] | None:
        """Return the part and number in it of a frame of the source, or of the closest one.

        Args:
            index: Position in the source: stamps may repeat, after a jump of the clock.

        Returns:
            None if the clip is empty.
        """
        candidates = (
            (abs(other - index), at, part)
            for part in self.index.parts
            for at, other in enumerate(part.indices)
        )
        _, at, part = min(candidates, key=lambda item: item[0], default=(0, 0, None))
        return (part, at) if part else None

    def files(self, part: ClipPart) -> dict[str, Path]:
        """Return the files of a part by what they hold."""
        return {kind: self.folder / f'{part.name}.{kind}' for kind in ('webm', 'masks')}

    def size(self, part: ClipPart) -> int:
        """Return the bytes of a part's files.

        Raises:
            SourceError: If one is missing.
        """
        return sum(_size(path) for path in self.files(part).values())


def choose_parts(
    clips: Sequence[SourceClip], wanted: Sequence[tuple[str, str]], most_bytes: int
) -> set[tuple[str, str]]:
    """Choose what fits onto the page: wanted parts first, then the others in order.

    Args:
        clips: All clips.
        wanted: Keys of sources and names of parts, the most wanted first.
        most_bytes: How much fits.

    Returns:
        Keys of sources and names of parts.

    Raises:
        SourceError: If a file is missing.
    """
    sizes = {(clip.key, part.name): clip.size(part) for clip in clips for part in clip.index.parts}
    chosen: set[tuple[str, str]] = set()
    for name in (*wanted, *sizes):
        if name in chosen or sizes[name] > most_bytes:
            continue
        chosen.add(name)
        most_bytes -= sizes[name]
    return chosen


def thumbnail(clip: SourceClip, part: ClipPart, at: int, model: str, classes: LabelSet) -> str:
    """Return a frame with the label map of a model over it, as the address of a small JPEG.

    Raises:
        SourceError: If the clip is damaged.
    """
    picture = _picture(clip, part, at)
    ids = _label_map(clip, part, at)[..., 2 - clip.index.models.index(model)]
    tinted = blend(picture, np.ascontiguousarray(ids), classes)
    height = round(picture.shape[0] * THUMBNAIL_WIDTH / picture.shape[1])
    small = cv2.resize(tinted, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, data = cv2.imencode('.jpg', small[..., ::-1], quality)
    return 'data:image/jpeg;base64,' + b64encode(data.tobytes()).decode()


def media_elements(
    clips: Sequence[SourceClip], chosen: set[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield id and base64 text of each file that the page carries.

    Raises:
        SourceError: If a file is missing.
    """
    for number, clip in enumerate(clips):
        for part in clip.index.parts:
            if (clip.key, part.name) in chosen:
                files = clip.files(part)
                name = part_id(number, part)
                yield f'{name}-video', b64encode(_read(files['webm'])).decode()
                yield f'{name}-masks', b64encode(_read(files['masks'])).decode()


def part_id(number: int, part: ClipPart) -> str:
    """Return what a part of clip ``number`` is called on the page."""
    return f'clip{number}-{part.name}'


def clip_content(
    number: int,
    clip: SourceClip,
    chosen: set[tuple[str, str]],
    tables: Mapping[str, Path],
) -> dict[str, Any] | None:
    """Return what the page has to know about a clip; None if it carries nothing of it.

    Args:
        number: Of the clip, among all.
        clip: The clip.
        chosen: Of `choose_parts`.
        tables: By model, the CSV of the source's frames.

    Raises:
        SourceError: If one is missing or damaged.
    """
    carried = [part for part in clip.index.parts if (clip.key, part.name) in chosen]
    if not carried:
        return None
    frames = {key: read_frames(path)[0] for key, path in tables.items()}
    parts = [
        {
            'id': part_id(number, part),
            'times_ms': part.times_ms,
            't': clip.seconds(part),
            'indices': part.indices,
            'mask_sizes': part.mask_sizes,
            'numbers': {key: values_at(columns, part.indices) for key, columns in frames.items()},
        }
        for part in carried
    ]
    return {'width': clip.index.width, 'height': clip.index.height, 'parts': parts}


def _picture(clip: SourceClip, part: ClipPart, at: int) -> NDArray[np.uint8]:
    path = clip.files(part)['webm']
    wanted = part.times_ms[at]
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            container.seek(wanted, stream=stream)
            for frame in container.decode(stream):
                if frame.pts == wanted:
                    return np.asarray(frame.to_ndarray(format='rgb24'), np.uint8)
    except (av.FFmpegError, OSError, IndexError) as error:
        msg = f'cannot read {path}: {error}; evaluate this source again'
        raise SourceError(msg) from error
    msg = f'{path} lacks the frame at {wanted} ms; evaluate this source again'
    raise SourceError(msg)


def _label_map(clip: SourceClip, part: ClipPart, at: int) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8, ids of the first model in the last channel."""
    path = clip.files(part)['masks']
    start = sum(part.mask_sizes[:at])
    data = np.frombuffer(_read(path)[start : start + part.mask_sizes[at]], np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        msg = f'{path} lacks the label map of frame {at}; evaluate this source again'
        raise SourceError(msg)
    return image.astype(np.uint8, copy=False)


def _read(path: Path) -> bytes:
    with _reading(path):
        return path.read_bytes()


def _size(path: Path) -> int:
    with _reading(path):
        return path.stat().st_size


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f'cannot read {path}: {error.strerror}; evaluate this source again'
        raise SourceError(msg) from error
