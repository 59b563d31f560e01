# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From camera frames to label maps: the same code under the node, replay and notebooks.

A `Mailbox` keeps the newest frame of every camera; a `Segmenter` turns frames into label maps
with the time that each stage took.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import threading
import time
from typing import Final, get_args, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.timing import StageTimings
from vidseg_ros.inference.prediction import SegmentationEngine

MaskSize = Literal['camera', 'network']

REPLACED: Final = 'replaced'
"""Reason under which frames are counted that a newer one replaced before their turn."""


HAND_OVER_S: Final = 0.002
"""Longest time for which `Mailbox.put` lets a waiting thread go first, s."""

Place = Callable[[int, int], NDArray[np.uint8]]
"""Gives the memory for labels of so many rows and columns: (height, width) uint8, contiguous."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One decoded camera image on its way through the pipeline."""

    camera: str
    """Which camera took it; one mailbox slot each."""
    image: NDArray[np.uint8]
    """(H, W, 3) uint8 in the colour order of the model's card; only read. May be a view with
    reversed channels, see `vidseg_ros.core.color_image.resize_image`."""
    context: object
    """Whatever the caller wants back with the result, such as the message's header."""
    received_ns: int
    """Monotonic clock when the message arrived, before decoding (ns)."""
    decoded_ns: int
    """Monotonic clock when the image was ready (ns)."""
    place: Place | None = None
    """Where its labels are to be written, asked when they are ready; None: into new memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """The result for one frame; its arrays belong to the caller."""

    frame: Frame
    """The frame it belongs to."""
    labels: NDArray[np.uint8]
    """(H, W) uint8 ids at camera or network size; in the frame's ``place`` if it has one."""
    confidence: NDArray[np.uint8] | None
    """(H, W) uint8, 255 = certain; None if not asked for or not in the model."""
    timings: StageTimings
    """How long each stage took (ns)."""


class Mailbox:
    """One slot per camera: a frame that waits is replaced by a newer one and counted.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._slots: dict[str, Frame] = {}
        self._replaced: Counter[str] = Counter()
        lock = threading.Lock()
        self._changed, self._taken = threading.Condition(lock), threading.Condition(lock)
        self._taker_waits = False
        self._closed = False

    def put(self, frame: Frame) -> None:
        """Leave a frame; one of the same camera that still waits is dropped.

        If a thread waits in `take`, this lets it go first: it returns once that thread has the
        frame. Otherwise the caller would keep the interpreter's lock for whatever it does next,
        and the frame would wait for that.
        """
        with self._changed:
            if frame.camera in self._slots:
                self._replaced[frame.camera] += 1
                del self._slots[frame.camera]
            self._slots[frame.camera] = frame
            self._changed.notify()
            if self._taker_waits:
                self._taken.wait(HAND_OVER_S)

    def take(self, timeout_s: float | None = None) -> list[Frame]:
        """Wait for frames, then empty every slot.

        Args:
            timeout_s: Longest wait in seconds; None waits until a frame or `close`.

        Returns:
            The newest frame of each camera, oldest arrival first; empty after the timeout and
            once the mailbox is closed.
        """
        with self._changed:
            self._taker_waits = True
            self._changed.wait_for(lambda: self._slots or self._closed, timeout_s)
            self._taker_waits = False
            frames = [] if self._closed else list(self._slots.values())
            self._slots.clear()
            self._taken.notify_all()
            return frames

    def close(self) -> None:
        """Wake whoever waits; from now on `take` returns nothing."""
        with self._changed:
            self._closed = True
            self._slots.clear()
            self._changed.notify_all()

    def replaced(self) -> dict[str, int]:
        """Return how many frames of each camera were replaced before their turn."""
        with self._changed:
            return dict(self._replaced)


class Segmenter:
    """Turns frames into label maps with one engine; belongs to one thread."""

    def __init__(self, engine: SegmentationEngine, mask_size: MaskSize = 'camera') -> None:
        """Use an opened engine.

        Args:
            engine: Stays the caller's; not closed here.
            mask_size: ``camera``: label maps as large as their frame; ``network``: as the
                network gives them.

        Raises:
            ParameterError: If ``mask_size`` is neither.
        """
        if mask_size not in get_args(MaskSize):
            msg = f'mask_size must be one of {", ".join(get_args(MaskSize))}, not {mask_size!r}'
            raise ParameterError(msg)
        self.engine, self._mask_size = engine, mask_size

    def warm_up(self, size: tuple[int, int] | None = None) -> None:
        """Run once on a black frame, so that the first camera frame is not the slow one.

        Args:
            size: Height and width in pixels; None takes the network's own.

        Raises:
            EngineError: If the engine fails.
        """
        height, width = size or self.engine.card.input_size
        self.engine.infer([np.zeros((height, width, 3), np.uint8)], confidence=True)

    def segment(self, frames: Sequence[Frame], *, confidence: bool = False) -> list[Segmentation]:
        """Segment frames: those of equal size as one batch, others one after the other.

        Args:
            frames: At most one per camera.
            confidence: Whether the confidence is wanted.

        Returns:
            One result per frame, in the order of ``frames``.

        Raises:
            EngineError: If the engine fails.
        """
        batches: dict[tuple[int, ...], list[int]] = {}
        for index, frame in enumerate(frames):
            batches.setdefault(frame.image.shape, []).append(index)
        results: dict[int, Segmentation] = {}
        for indices in batches.values():
            batch = [frames[index] for index in indices]
            results.update(zip(indices, self._segment_batch(batch, confidence), strict=True))
        return [results[index] for index in range(len(frames))]

    def _segment_batch(self, frames: list[Frame], confidence: bool) -> list[Segmentation]:  # noqa: FBT001  # private, passed on
        started_ns = time.monotonic_ns()
        prediction = self.engine.infer([frame.image for frame in frames], confidence=confidence)
        inferred_ns = time.monotonic_ns()
        results = []
        for index, frame in enumerate(frames):
            fill_ns = time.monotonic_ns()
            of_network = prediction.labels[index]
            size = (of_network if self._mask_size == 'network' else frame.image).shape[:2]
            place = frame.place(*size) if frame.place else None
            labels = resize_labels(of_network, size, place)
            certainty = None
            if prediction.confidence is not None:
                certainty = _resize_confidence(prediction.confidence[index], size)
            timings = StageTimings(
                decode_ns=frame.decoded_ns - frame.received_ns,
                wait_ns=started_ns - frame.decoded_ns,
                infer_ns=inferred_ns - started_ns,
                fill_ns=time.monotonic_ns() - fill_ns,
            )
            results.append(
                Segmentation(frame=frame, labels=labels, confidence=certainty, timings=timings)
            )
        return results


def _resize_confidence(confidence: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    if confidence.shape == size:
        return confidence
    resized = cv2.resize(confidence, size[::-1], interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.uint8, copy=False)
