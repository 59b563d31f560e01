# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: masks, an overlay video, a contact sheet. Nothing is overwritten."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, final

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.core.errors import OutputError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.overlay import contact_sheet, legend, legends
from vidseg_ros.evaluation.sources import SourceFrame
from vidseg_ros.evaluation.video_clock import VideoClock

MAX_VIDEO_WIDTH: Final = 1280
"""Wider frames are shrunk for the overlay video, px."""

TILE_WIDTH: Final = 320
"""Width of a frame on the contact sheet, px."""

LEGEND_WIDTH: Final = 480
"""Least width of the legend on the contact sheet, px."""

LABEL_MAP_TOPIC: Final = '/segmentation/label_map'
"""Where a segmentation node that was started without other names publishes label maps."""

LABEL_INFO_TOPIC: Final = '/segmentation/label_info'
"""Where it publishes the names of their ids."""

_TICKS: Final = 90_000
"""Resolution of the times in an overlay video, 1/s: usual for video, fine enough for any rate."""


class MaskWriter(AbstractContextManager['MaskWriter']):
    """Writes one label map per frame, inside a ``with`` statement."""

    @abstractmethod
    def write(self, frame: SourceFrame, labels: NDArray[np.uint8]) -> None:
        """Write the (H, W) uint8 class ids of a frame.

        Raises:
            OutputError: If they cannot be written.
        """


@final
class MaskPngWriter(MaskWriter):
    """Writes one 8-bit grey PNG per frame: the class ids as they are, named by the frame."""

    def __init__(self, folder: str | Path) -> None:
        """Remember the folder; it is made by ``with``."""
        self._folder = Path(folder)

    def __enter__(self) -> 'MaskPngWriter':
        """Make the folder.

        Raises:
            OutputError: If it cannot be made or already holds PNGs.
        """
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        if any(self._folder.glob('*.png')):
            msg = f'{self._folder} already holds PNGs: remove them or choose another folder'
            raise OutputError(msg)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: every file is complete already."""

    def write(self, frame: SourceFrame, labels: NDArray[np.uint8]) -> None:
        """Write the (H, W) uint8 class ids of a frame.

        Raises:
            OutputError: If the file cannot be written.
        """
        _write_png(self._folder / f'{frame.name}.png', labels)


@final
class MaskBagWriter(MaskWriter):
    """Writes a compressed MCAP bag of mono8 label maps and the names of their ids."""

    def __init__(self, path: str | Path, labels: LabelSet) -> None:
        """Remember what to write; the bag is made by ``with``."""
        self._bag = BagWriter(path, compress=True)
        self._labels = labels
        self._named = False

    def __enter__(self) -> 'MaskBagWriter':
        """Make the bag.

        Raises:
            OutputError: If it exists or cannot be written.
        """
        self._bag.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bag."""
        self._bag.__exit__(kind, error, trace)

    def write(self, frame: SourceFrame, labels: NDArray[np.uint8]) -> None:
        """Write the (H, W) uint8 class ids of a frame, with its stamp and frame id.

        Raises:
            OutputError: If the bag cannot be written.
        """
        if not self._named:
            self._bag.write_label_info(LABEL_INFO_TOPIC, self._labels, stamp_ns=frame.stamp_ns)
            self._named = True
        self._bag.write_image(
            LABEL_MAP_TOPIC,
            labels,
            encoding='mono8',
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
        )


@final
class OverlayVideoWriter:
    """Writes an MP4 that any browser plays: H.264, yuv420p, index in front.

    The first frame sets the size: at most ``MAX_VIDEO_WIDTH`` wide, and an odd width or height
    loses its last column or row, because yuv420p has none. Frames of another size are stretched.
    They are shown when a `VideoClock` says. The legend is below them, unless it would be taller.
    """

    def __init__(self, path: str | Path, fps: float, labels: LabelSet | None = None) -> None:
        """Remember what to write; the file is made by ``with``.

        Args:
            path: The .mp4 file.
            fps: Nominal rate of the footage, frames/s.
            labels: Classes of the legend; None: there is none.
        """
        self._path = Path(path)
        self._fps = Fraction(fps).limit_denominator(1001)
        self._clock = VideoClock(_TICKS, round(1e9 / fps))
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._labels = labels
        self._legend = np.empty((0, 0, 3), np.uint8)

    def __enter__(self) -> 'OverlayVideoWriter':
        """Make the file.

        Raises:
            OutputError: If it exists or cannot be written.
        """
        _refuse_existing(self._path)
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(
                str(self._path), 'w', format='mp4', options={'movflags': '+faststart'}
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file; without a single frame there is none.

        Raises:
            OutputError: If its end cannot be written.
        """
        container = self._opened()
        with writing(self._path):
            if self._stream is not None:
                container.mux(self._stream.encode())
            container.close()
            if self._stream is None:
                self._path.unlink(missing_ok=True)

    def write(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        """Append a picture.

        Args:
            image: (H, W, 3) uint8 RGB.
            stamp_ns: When it was taken, ns; only distances matter.

        Raises:
            OutputError: If it cannot be written.
        """
        with writing(self._path):
            if self._stream is None:
                self._stream = self._add_stream(image.shape[1], image.shape[0])
            stream = self._stream
            height = stream.height - self._legend.shape[0]
            picture = np.vstack([fit_picture(image, stream.width, height), self._legend])
            frame = VideoFrame.from_ndarray(picture, format='rgb24')
            frame.time_base = Fraction(1, _TICKS)
            frame.pts = self._clock.tick(stamp_ns)
            self._opened().mux(stream.encode(frame))

    def _add_stream(self, width: int, height: int) -> VideoStream:
        scale = min(1.0, MAX_VIDEO_WIDTH / width)
        # No B-frames: with them, the file's end is too early where frames are missing.
        options = {'preset': 'veryfast', 'crf': '23', 'bf': '0'}
        stream = self._opened().add_stream('libx264', rate=self._fps, options=options)
        stream.width = max(2, round(width * scale) // 2 * 2)
        shown = max(2, round(height * scale) // 2 * 2)
        self._legend = self._draw_legend(stream.width, shown)
        stream.height = shown + self._legend.shape[0]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.time_base = Fraction(1, _TICKS)
        return stream

    def _draw_legend(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the legend for pictures of a size, (h, width, 3) uint8 RGB; h may be 0."""
        if self._labels is not None:
            strip = legends([self._labels], width)
            if strip.shape[0] <= height:
                return strip
        return np.empty((0, width, 3), np.uint8)

    def _opened(self) -> OutputContainer:
        if self._container is None:
            msg = 'open the video first: with OverlayVideoWriter(path, fps) as video'
            raise RuntimeError(msg)
        return self._container


class ContactSheet:
    """Collects pictures evenly spread over a stream of unknown length, in bounded memory.

    Every ``stride``-th picture is kept, small; when twice the tiles wanted are kept, every second
    one is dropped and the stride doubles.
    """

    def __init__(self, labels: LabelSet, tiles: int = 12, columns: int = 4) -> None:
        """Start empty.

        Args:
            labels: Classes of the legend.
            tiles: Pictures on the sheet, at most.
            columns: Pictures side by side.
        """
        self._labels = labels
        self._wanted = tiles
        self._columns = columns
        self._stride = 1
        self._seen = 0
        self._kept: list[tuple[str, NDArray[np.uint8]]] = []

    def add(self, caption: str, image: NDArray[np.uint8]) -> None:
        """Offer the next picture of the stream, (H, W, 3) uint8 RGB."""
        if self._seen % self._stride == 0:
            height = max(1, round(image.shape[0] * TILE_WIDTH / image.shape[1]))
            self._kept.append((caption, fit_picture(image, TILE_WIDTH, height)))
        self._seen += 1
        if len(self._kept) == 2 * self._wanted:
            del self._kept[1::2]
            self._stride *= 2

    def write(self, path: str | Path) -> None:
        """Write the sheet as PNG: the tiles with their captions, and the legend below.

        Raises:
            OutputError: If no picture was added, or the file exists or cannot be written.
        """
        path = Path(path)
        _refuse_existing(path)
        if not self._kept:
            msg = f'no contact sheet {path}: there was no frame to show'
            raise OutputError(msg)
        count = min(self._wanted, len(self._kept))
        chosen = np.linspace(0, len(self._kept) - 1, count).round().astype(int)
        captions, tiles = zip(*(self._kept[i] for i in chosen), strict=True)
        sheet = contact_sheet(tiles, columns=self._columns, captions=captions)
        strip = legend(self._labels, max(sheet.shape[1], LEGEND_WIDTH))
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        _write_png(path, _stack(sheet, strip)[:, :, ::-1])


def fit_picture(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale an (H, W, 3) uint8 picture; a single row or column too many is only cut off."""
    if 0 <= image.shape[1] - width <= 1 and 0 <= image.shape[0] - height <= 1:
        return np.ascontiguousarray(image[:height, :width])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _stack(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put a picture on top of one that is at least as wide, and fill it up with white."""
    missing = below.shape[1] - above.shape[1]
    filled = np.pad(above, ((0, 0), (0, missing), (0, 0)), constant_values=255)
    return np.concatenate([filled, below])


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    _, data = cv2.imencode('.png', image)
    with writing(path):
        path.write_bytes(data.tobytes())


def _refuse_existing(path: Path) -> None:
    if path.exists():
        msg = f'{path} exists and is not overwritten: remove it or choose another path'
        raise OutputError(msg)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is written into an `OutputError`."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        msg = f'cannot write {path}: {error}; check the path and the free space'
        raise OutputError(msg) from error
