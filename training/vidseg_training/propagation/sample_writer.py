# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The files of samples, made by a second thread while the next motion is estimated."""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.atomic_file import write_atomically
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.motion import warp_image
from vidseg_training.propagation.correspondence import carry_labels, Correspondence, Occlusion
from vidseg_training.propagation.manifest import FILES, sample_file, sha256

_JPEG: Final = (
    *(cv2.IMWRITE_JPEG_QUALITY, 98),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
"""Of pictures: within a grey level or two of the original, a tenth of the time of a PNG."""

_HAS_PNG_FILTER: Final = hasattr(cv2, 'IMWRITE_PNG_FILTER')

_PNG: Final = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    # OpenCV 4.11 and later otherwise try all filters on every row, three times as long.
    *((cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP) if _HAS_PNG_FILTER else ()),
)

_CONFIDENCE_STEP: Final = 16
"""Confidence is kept in 16 steps, which halves its file and the time for it."""

_MOST_WAITING: Final = 2
"""Samples that may be in memory unwritten while there is no other to add; so at most one more is.
Motion takes longer than writing, so mostly none waits."""

Record: TypeAlias = dict[str, Any]
"""What the manifest says of a sample."""


class Sample(NamedTuple):
    """All that the files of a sample are made from."""

    name: str
    """Of the sample, the stem of its files."""
    image: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""
    is_carried: bool
    """Whether the image is the labelled frame's and has to be carried, as the labels are; or
    else the target's."""
    labels: NDArray[np.uint8]
    """(H, W) uint8 ids of the labelled frame, void as 255."""
    way: Correspondence
    """Of the target in the labelled frame."""


def write_sample(folder: Path, sample: Sample, occlusion: Occlusion) -> Record:
    """Make the files of a sample.

    Args:
        folder: Of the clip; has a folder for each of `FILES`.
        sample: What they are made from.
        occlusion: See `carry_labels`.

    Returns:
        ``coverage``, the share of labelled pixels, and ``sha256`` by file.

    Raises:
        OutputError: If one cannot be written.
    """
    way = sample.way
    carried = carry_labels(sample.labels, way, occlusion)
    image = warp_image(sample.image, way.flow) if sample.is_carried else sample.image
    steps = way.confidence | (_CONFIDENCE_STEP - 1)
    planes = {
        'images': cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
        'labels': carried,
        'confidence': np.where(way.confidence == 0, 0, steps).astype(np.uint8),
    }
    files = {sample_file(kind, sample.name): _encode(FILES[kind], planes[kind]) for kind in FILES}
    for path, data in files.items():
        write_atomically(folder / path, data, durable=False)
    return {
        'coverage': round(float((carried != IGNORE_ID).mean()), 6),
        'sha256': {path: sha256(data) for path, data in files.items()},
    }


def _encode(suffix: str, image: NDArray[Any]) -> bytes:
    done, data = cv2.imencode(suffix, image, _JPEG if suffix == '.jpg' else _PNG)
    assert done
    return data.tobytes()


@final
class SampleWriter:
    """Writes samples one after the other and hands their records on in that order.

    Everything but the files happens in the caller's thread. At the end of ``with`` all is written.
    """

    def __init__(
        self,
        folder: Path,
        occlusion: Occlusion,
        on_written: Callable[[Record], None],
        *,
        in_background: bool,
    ) -> None:
        """Write nothing yet.

        Args:
            folder: See `write_sample`.
            occlusion: See `write_sample`.
            on_written: Gets each record once its files are there.
            in_background: Whether a second thread makes the files.
        """
        self._folder, self._occlusion, self._on_written = folder, occlusion, on_written
        self._thread = ThreadPoolExecutor(1, 'vidseg-samples') if in_background else None
        self._waiting: deque[tuple[Record, Future[Record]]] = deque()

    def add(self, record: Mapping[str, Any], sample: Sample | None = None) -> None:
        """Write a sample, now or soon.

        Args:
            record: What is known of it; what `write_sample` returns is added.
            sample: None if there is none, which `record` explains.

        Raises:
            OutputError: If this one or one before it cannot be written.
        """
        self._waiting.append((dict(record), self._start(sample)))
        self._hand_on(_MOST_WAITING if self._thread is not None else 0)

    def _start(self, sample: Sample | None) -> Future[Record]:
        if sample is not None and self._thread is not None:
            return self._thread.submit(write_sample, self._folder, sample, self._occlusion)
        done = Future[Record]()
        done.set_result(write_sample(self._folder, sample, self._occlusion) if sample else {})
        return done

    def _hand_on(self, most_waiting: int) -> None:
        """Hand on records in order. One that fails stays the first, so none after it is."""
        while len(self._waiting) > most_waiting:
            record, future = self._waiting[0]
            self._on_written(record | future.result())
            self._waiting.popleft()

    def __enter__(self) -> 'SampleWriter':
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for all samples and end the thread.

        After an error, what is written already is still handed on.

        Raises:
            OutputError: If a sample cannot be written.
        """
        try:
            if error is None:
                self._hand_on(0)
        finally:
            if self._thread is not None:
                self._thread.shutdown(cancel_futures=True)
            with suppress(Exception):  # the error that is under way is the first one
                self._hand_on(0)
