# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How steady a network is over a split that is a video: TC, flips and VC, as `vidseg evaluate`."""

from collections.abc import Callable, Sequence
from pathlib import Path
import re
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.consistency import TemporalConsistency, VideoConsistency
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.metrics import Confusion
from vidseg_training.data.sampling import LabelledImages

FOLDER_FPS: Final = 15.0
"""Frames a second that `vidseg evaluate` takes for folders of images; CamVid val has as many."""

_WINDOWS: Final = (8, 16)
_NS_PER_S: Final = 10**9
_NUMBERED: Final = re.compile(r'(.*\D|)(\d+)\D*')


class Steadiness(NamedTuple):
    """How steady label maps are over one or several clips."""

    temporal: TemporalConsistency
    """TC and flips, without labels."""
    video: tuple[VideoConsistency, ...]
    """VC8 and VC16."""

    def columns(self) -> dict[str, list[float]]:
        """Return each score by its name: of every class, in the order of the ids, then overall.

        TC and VC in %, flips per second; NaN for what is not defined.
        """
        temporal, classes = self.temporal, len(self.temporal.flip_counts)
        columns = {
            'TC': [*100 * temporal.class_tc(), 100 * temporal.tc()],
            'flips/s': [*temporal.class_flips(), temporal.flips()],
        }
        for score in self.video:
            overall = 100 * score.correct_consistency()
            columns[f'VC{score.window}'] = [*100 * score.class_correct(classes), overall]
        return columns


def score_video(
    predictor: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    images: LabelledImages,
    fps: float = FOLDER_FPS,
) -> tuple[Confusion, Steadiness]:
    """Run over labelled images as over the frames of videos.

    Args:
        predictor: (H, W, 3) uint8 RGB in, (h, w) uint8 ids out.
        images: Labelled set; see `consecutive` for what follows what.
        fps: Frames a second.

    Returns:
        The confusion matrix, and how steady the label maps are.
    """
    classes = len(images.label_set)
    confusion, temporal = Confusion(classes), TemporalConsistency(classes)
    video = tuple(VideoConsistency(window) for window in _WINDOWS)
    for clip in consecutive(images.names):
        shape: tuple[int, ...] = ()
        for number, index in enumerate(clip):
            image, truth = images[index]
            if truth.shape != shape:  # another video
                _cut(temporal, video)
            shape = truth.shape
            labels = predictor(image)
            shown = resize_labels(labels, shape)
            confusion.add(truth, shown)
            temporal.add(image, labels, round(number * _NS_PER_S / fps))
            for score in video:
                score.add(truth, shown)
    _cut(temporal, video)
    return confusion, Steadiness(temporal, video)


def _cut(temporal: TemporalConsistency, video: Sequence[VideoConsistency]) -> None:
    temporal.cut()
    for score in video:
        score.end_clip()


def consecutive(names: Sequence[str]) -> list[list[int]]:
    """Split images into clips, by their names.

    Args:
        names: Of all images, such as ``0016E5_07959.png`` or ``clip/00000012.jpg``.

    Returns:
        The indices of each clip, ordered by the last number in the name; what stands before that
        number is the clip's own.
    """
    clips: dict[str, list[tuple[int, str, int]]] = {}
    for index, name in enumerate(names):
        found = _NUMBERED.fullmatch(str(Path(name).with_suffix('')))
        before, number = (found[1], int(found[2])) if found else ('', 0)
        clips.setdefault(before, []).append((number, name, index))
    return [[index for *_, index in sorted(frames)] for _, frames in sorted(clips.items())]
