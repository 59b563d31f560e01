# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Unlabelled clips to learn motion from, in memory.

A learner sees windows of three frames at equal distances. What no motion can be learned from is
left out and counted: missing and unreadable frames, black ones, ones that repeat the frame before,
and windows across a cut.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_training.propagation import clip as footage
from vidseg_training.propagation.scene_cuts import Break, find_break, thumbnail

Fault: TypeAlias = Break | Literal['missing', 'unreadable', 'other size']
"""Why a frame is left out, or does not follow the one before it."""

SHORTEST: Final = 3
"""A scene of fewer frames has no window."""


class Scene(NamedTuple):
    """Consecutive frames of one scene, all of one size."""

    name: str
    """Of the clip that it comes from."""
    frames: list[NDArray[np.uint8]]
    """(H, W, 3) uint8 RGB each."""


class Window(NamedTuple):
    """Three frames of a scene at equal distances; time may run backwards."""

    previous: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""
    source: NDArray[np.uint8]
    """The same size."""
    target: NDArray[np.uint8]
    """The same size."""


def read_scenes(
    paths: Sequence[str], height: int
) -> tuple[list[Scene], dict[str, Counter[Fault]]]:
    """Read clips into memory, cut into scenes.

    Args:
        paths: Video files, folders of images, procedural streets, see
            `vidseg_training.propagation.clip.list_clips`.
        height: Frames are shrunk to it, px; smaller ones stay as they are. At 360 a frame takes
            0.5 to 0.7 MB.

    Returns:
        The scenes of at least three frames, those of a path as often as it is given, and of each
        path how many frames were left out or began another scene, by reason.

    Raises:
        SourceError: If a path has no frames at all, or no scene is left in all of them.
    """
    found: dict[str, list[Scene]] = {}
    faults: dict[str, Counter[Fault]] = {}
    for path in dict.fromkeys(paths):
        faults[path], found[path] = Counter(), []
        for reference in footage.list_clips(path):
            runs = _runs(reference.open(reach=0), height, faults[path])
            found[path] += [Scene(reference.name, run) for run in runs if len(run) >= SHORTEST]
    scenes = [scene for path in paths for scene in found[path]]
    if not scenes:
        tried = '; '.join(f'{path} ({describe_faults(counts)})' for path, counts in faults.items())
        msg = (
            f'no {SHORTEST} consecutive frames with motion in {tried}; give videos, or folders '
            'of the images of a video'
        )
        raise SourceError(msg)
    return scenes, faults


def describe_faults(counts: Counter[Fault]) -> str:
    """Say what was left out of a path, for people."""
    return ', '.join(f'{fault}: {count}' for fault, count in counts.items()) or 'all frames used'


def _runs(
    clip: footage.Clip, height: int, counts: Counter[Fault]
) -> Iterator[list[NDArray[np.uint8]]]:
    """Split a clip where frames are missing or the scene changes; leave out what has no motion."""
    run: list[NDArray[np.uint8]] = []
    before: NDArray[np.uint8] | None = None  # thumbnail of the last frame of the run
    for position in range(len(clip)):
        frame = clip.read(position)
        if frame is None:
            counts['unreadable' if clip.has(position) else 'missing'] += 1
            yield run
            run, before = [], None
            continue
        small, shown = thumbnail(frame), _shrink(frame, height)
        fault: Fault | None = _break(before, small)
        if fault is None and run and run[-1].shape != shown.shape:
            fault = 'other size'
        if fault:
            counts[fault] += 1
        if fault == 'identical':
            continue
        if fault:
            yield run
            run = []
        if fault == 'black':
            before = None
        else:
            run.append(shown)
            before = small
    yield run


def _break(before: NDArray[np.uint8] | None, frame: NDArray[np.uint8]) -> Break | None:
    """Judge a frame by its thumbnail and that of the frame before."""
    if before is None or before.shape != frame.shape:  # by itself it can only be black
        return 'black' if find_break(frame, frame) == 'black' else None
    return find_break(before, frame)


def _shrink(frame: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    if frame.shape[0] <= height:
        return frame
    width = round(frame.shape[1] * height / frame.shape[0])
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)
