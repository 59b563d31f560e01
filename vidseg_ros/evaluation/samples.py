# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Frames of footage on which a model file or an engine is compared with its source."""

from pathlib import Path
from typing import Final

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.model_card import ColorOrder
from vidseg_ros.evaluation.sources import open_source
from vidseg_ros.evaluation.true_labels import LabelDirectory
from vidseg_ros.inference.agreement import CHECK_FRAMES, Sample

FRAMES_READ: Final = 400
"""Frames of footage among which those are spread; decoding a whole drive would take hours."""


def footage_samples(
    path: Path,
    topic: str | None,
    order: ColorOrder,
    truth: LabelDirectory | None = None,
    *,
    most: int = CHECK_FRAMES,
) -> list[Sample]:
    """Take frames from a bag, a video or a folder of images, spread over its beginning.

    Args:
        path: The footage.
        topic: Image topic of a bag; needed where it has more than one.
        order: Channel order wanted.
        truth: True labels, where there are some.
        most: Number of frames.

    Returns:
        At most ``most`` frames; such that cannot be decoded are left out.

    Raises:
        SourceError: If the footage or a label file cannot be read, not one of those frames can be
            decoded, not one has true labels, or the labels have other classes.
    """
    samples, why = [], 'it is empty'
    with open_source(path, topic=topic) as source:
        step = max(1, min(source.frame_count or FRAMES_READ, FRAMES_READ) // most)
        for frame in source:
            if frame.index % step:
                continue
            try:
                image = frame.decode(order)
                samples.append(Sample(image=image, truth=truth.get(frame) if truth else None))
            except ImageError as error:
                why = str(error)
            if len(samples) == most or frame.index >= FRAMES_READ:
                break
    if not samples:
        msg = f'no frame of {path} can be decoded to calibrate or check a model with: {why}'
        raise SourceError(msg)
    if truth is not None and all(sample.truth is None for sample in samples):
        msg = (
            f'not one of the {len(samples)} frames taken from {path} has labels: expected index '
            'PNGs named like the frames'
        )
        raise SourceError(msg)
    return samples
