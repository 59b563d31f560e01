# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Video files frame by frame, with an account of what damage took."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Final, final, NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.image_codec import ColorOrder

_MOST_HELD_BACK: Final = 16
"""Frames that H.264 and H.265 may hold back at most until it is their turn."""


class LostFrame(NamedTuple):
    """A frame of a video that damage took."""

    pts: int
    time_base: Fraction | None
    error: av.FFmpegError


@final
class VideoFile:
    """The pictures of a video file.

    Attributes:
        rate: Frames/s as far as the file says, or 0.
        frame_count: Number of frames as far as the file says, or None.
    """

    def __init__(self, path: Path) -> None:
        """Check that the file is a video.

        Raises:
            SourceError: If it is damaged or has no pictures.
        """
        self._path = path
        with self._stream() as (_, stream):
            self.rate = float(stream.average_rate or stream.guessed_rate or 0)
            self.frame_count = stream.frames or None

    def frames(self) -> Iterator[VideoFrame | LostFrame]:
        """Decode from the start, in order of time.

        Raises:
            SourceError: At the end, if the file breaks off or not one frame could be decoded.
        """
        read = decoded = 0
        lost: list[LostFrame] = []
        fault = None
        with self._stream() as (container, stream):
            # An edit list in an MP4 may leave frames out, which only the index follows.
            index = stream.index_entries if 'mp4' in container.format.name else ()
            expected = len(index) or stream.frames
            try:
                for packet in container.demux(stream):
                    read += packet.size > 0
                    for frame in _decode_packet(packet, lost):
                        decoded += isinstance(frame, VideoFrame)
                        yield frame
            except av.FFmpegError as error:
                fault = error
        yield from lost
        if fault or read < expected:
            reason = fault or f'it should have {expected}'
            msg = f'video {self._path} breaks off after frame {read}: {reason}'
            raise SourceError(msg) from fault
        if not decoded:
            msg = f'no picture in video {self._path} can be decoded; use another copy'
            raise SourceError(msg)

    @contextmanager
    def _stream(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        try:
            container = av.open(str(self._path), metadata_errors='replace')
        except (av.FFmpegError, OSError) as error:
            msg = f'cannot read video {self._path}: {error}; it is damaged or no video'
            raise SourceError(msg) from error
        with container:
            if not container.streams.video:
                msg = f'{self._path} has no pictures, only {len(container.streams)} other streams'
                raise SourceError(msg)
            stream = container.streams.video[0]
            # Threads that decode several frames at once would lose track of which one is damaged.
            stream.thread_type = 'SLICE'
            yield container, stream


def decode_frame(frame: VideoFrame | LostFrame, order: ColorOrder) -> NDArray[np.uint8]:
    """Convert a frame, turned upright as the file asks for.

    Returns:
        (H, W, 3) uint8 in ``order``; new memory.

    Raises:
        ImageError: With reason 'corrupt', if it was lost or cannot be converted.
    """
    if isinstance(frame, LostFrame):
        msg = f'video frame cannot be decoded: {frame.error}'
        raise ImageError('corrupt', msg) from frame.error
    try:
        image = frame.to_ndarray(format='rgb24' if order == 'rgb8' else 'bgr24')
    except (av.FFmpegError, ValueError) as error:
        msg = f'video frame cannot be converted: {error}'
        raise ImageError('corrupt', msg) from error
    return np.ascontiguousarray(np.rot90(image, frame.rotation // 90), np.uint8)


def _decode_packet(
    packet: 'Packet[VideoStream]', lost: list[LostFrame]
) -> Iterator[VideoFrame | LostFrame]:
    """Yield the frames that a packet completes, each after the lost ones of an earlier time.

    A frame is lost at once, good ones are held back until it is their turn.
    """
    try:
        frames = packet.decode()
    except av.FFmpegError as error:
        pts = packet.pts if packet.pts is not None else packet.dts
        lost.append(LostFrame(pts or 0, packet.time_base, error))
        lost.sort(key=attrgetter('pts'))
        if len(lost) > _MOST_HELD_BACK:
            yield lost.pop(0)
        return
    for frame in frames:
        while lost and (frame.pts is None or lost[0].pts < frame.pts):
            yield lost.pop(0)
        yield frame
