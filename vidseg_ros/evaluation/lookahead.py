# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Keeps the engine busy: the next frame is decoded and the last one written while it works."""

from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
import time

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.evaluation.sources import SourceFrame
from vidseg_ros.pipeline import Frame, Segmentation, Segmenter


def segment_ahead(
    items: Iterable[SourceFrame], camera: str, segmenter: Segmenter
) -> Generator[tuple[SourceFrame, Segmentation | ImageError], None, None]:
    """Segment frames in order; the engine is one frame ahead of the caller.

    Only the engine leaves the caller's thread, so everything else happens in the order in which
    it would happen without it. Close the generator before the engine, see `contextlib.closing`.

    Args:
        items: Frames.
        camera: Name of their camera.
        segmenter: Used by the engine's thread until the generator is closed.

    Yields:
        Each frame with its result, or with the reason why it could not be decoded.

    Raises:
        SourceError: As ``items``, once all frames before it are yielded.
        EngineError: If the engine fails.
    """
    ahead: tuple[SourceFrame, Future[Segmentation] | ImageError] | None = None
    broken: SourceError | None = None
    with ThreadPoolExecutor(1, 'vidseg engine') as engine:
        try:
            for item in items:
                started = item, _start(engine, segmenter, item, camera)
                if ahead is not None:
                    yield ahead[0], _outcome(ahead[1])
                ahead = started
        except SourceError as error:
            broken = error
        if ahead is not None:
            yield ahead[0], _outcome(ahead[1])
        if broken is not None:
            raise broken


def _start(
    engine: ThreadPoolExecutor, segmenter: Segmenter, item: SourceFrame, camera: str
) -> Future[Segmentation] | ImageError:
    """Decode a frame in this thread and leave it to the engine's."""
    received_ns = time.monotonic_ns()
    try:
        image = item.decode(segmenter.engine.card.input_order)
    except ImageError as error:
        return error
    frame = Frame(
        camera=camera,
        image=image,
        context=item,
        received_ns=received_ns,
        decoded_ns=time.monotonic_ns(),
    )
    return engine.submit(lambda: segmenter.segment([frame])[0])


def _outcome(work: Future[Segmentation] | ImageError) -> Segmentation | ImageError:
    """Wait for a result."""
    return work if isinstance(work, ImageError) else work.result()
