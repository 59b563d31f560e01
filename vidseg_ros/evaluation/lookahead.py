# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Keeps the engine busy: the next frame is decoded and the last one written while it works."""

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
import time
from typing import TypeAlias

import numpy as np

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.evaluation.sources import SourceFrame
from vidseg_ros.pipeline import Frame, Segmentation, Segmenter

Segmentations: TypeAlias = tuple[Segmentation, ...]
"""What each model makes of one frame."""


def segment_ahead(
    items: Iterable[SourceFrame],
    camera: str,
    segmenters: Sequence[Segmenter],
    *,
    confidence: bool = False,
) -> Generator[tuple[SourceFrame, Segmentations | ImageError], None, None]:
    """Segment frames in order; the engines are one frame ahead of the caller.

    Only the engines leave the caller's thread, so everything else happens in the order in which
    it would happen without it. Close the generator before them, see `contextlib.closing`.

    Args:
        items: Frames; each is decoded once.
        camera: Name of their camera.
        segmenters: Used by the engines' thread, one after the other, until the generator is
            closed.
        confidence: Whether the confidence is wanted.

    Yields:
        Each frame with what the segmenters make of it, or with the reason why it could not be
        decoded.

    Raises:
        SourceError: As ``items``, once all frames before it are yielded.
        EngineError: If an engine fails.
    """
    ahead: tuple[SourceFrame, Future[Segmentations] | ImageError] | None = None
    broken: SourceError | None = None
    with ThreadPoolExecutor(1, 'vidseg engine') as engine:
        try:
            for item in items:
                work: Future[Segmentations] | ImageError
                frames = _decode(item, camera, segmenters)
                if isinstance(frames, ImageError):
                    work = frames
                else:
                    work = engine.submit(_segment, item, segmenters, frames, confidence)
                if ahead is not None:
                    yield ahead[0], _outcome(ahead[1])
                ahead = item, work
        except SourceError as error:
            broken = error
        if ahead is not None:
            yield ahead[0], _outcome(ahead[1])
        if broken is not None:
            raise broken


def segment_in_turn(
    items: Iterable[SourceFrame],
    camera: str,
    segmenters: Sequence[Segmenter],
    *,
    confidence: bool = False,
) -> Generator[tuple[SourceFrame, Segmentations | ImageError], None, None]:
    """Give what `segment_ahead` gives, with everything in the caller's thread.

    For one of several workers that share the CPUs: what would run ahead takes a CPU from another.
    """
    for item in items:
        frames = _decode(item, camera, segmenters)
        if isinstance(frames, ImageError):
            yield item, frames
        else:
            yield item, _segment(item, segmenters, frames, confidence)


def _decode(
    item: SourceFrame, camera: str, segmenters: Sequence[Segmenter]
) -> tuple[Frame, ...] | ImageError:
    """Decode a frame in this thread; give every segmenter its colour order."""
    received_ns = time.monotonic_ns()
    order = segmenters[0].engine.card.input_order
    try:
        image = item.decode(order)
    except ImageError as error:
        return error
    decoded_ns = time.monotonic_ns()
    return tuple(
        Frame(
            camera=camera,
            image=image
            if segmenter.engine.card.input_order == order
            else np.ascontiguousarray(image[..., ::-1]),
            context=item,
            received_ns=received_ns,
            decoded_ns=decoded_ns,
        )
        for segmenter in segmenters
    )


def _segment(
    item: SourceFrame,
    segmenters: Sequence[Segmenter],
    frames: Sequence[Frame],
    confidence: bool,  # noqa: FBT001 - handed on by a thread
) -> Segmentations:
    """Segment in this order and in the other by turns: the first one meets colder caches."""
    work = list(zip(segmenters, frames, strict=True))
    step = -1 if item.index % 2 else 1
    results = [
        segmenter.segment([frame], confidence=confidence)[0] for segmenter, frame in work[::step]
    ]
    return tuple(results[::step])


def _outcome(work: Future[Segmentations] | ImageError) -> Segmentations | ImageError:
    """Wait for a result."""
    return work if isinstance(work, ImageError) else work.result()
