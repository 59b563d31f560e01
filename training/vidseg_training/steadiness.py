# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How steady a network is over a split that is a video: TC, flips and VC, as `vidseg evaluate`."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.consistency import TemporalConsistency, VideoConsistency
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.image_codec import FOLDER_FPS
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.metrics import Confusion
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.propagation.clip import parse_frame_name

_WINDOWS: Final = (8, 16)
_NS_PER_S: Final = 10**9


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
    clips: Iterable[Iterable[int]] | None = None,
) -> tuple[Confusion, Steadiness]:
    """Run over labelled images as over the frames of videos.

    Args:
        predictor: (H, W, 3) uint8 RGB in, (h, w) uint8 ids out.
        images: Labelled set.
        fps: Frames a second.
        clips: Of its images, in order, those of each video; None: as `consecutive` says.

    Returns:
        The confusion matrix, and how steady the label maps are.

    Raises:
        ParameterError: If `consecutive` finds no two frames of one video.
    """
    if clips is None:
        clips = consecutive(images.names)
    classes = len(images.label_set)
    confusion, temporal = Confusion(classes), TemporalConsistency(classes)
    video = tuple(VideoConsistency(window) for window in _WINDOWS)
    for clip in clips:
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
    """Split images into clips, by their names as `vidseg-train propagate` reads them.

    Args:
        names: Of all images, such as ``0016E5_07959.png`` or ``clip/00000012.jpg``.

    Returns:
        The indices of each clip, ordered by the number in the name: folder and what stands before
        the number are the clip's own. Images without a number are one in the order of the names.

    Raises:
        ParameterError: If no clip has two of the images.
    """
    clips: dict[tuple[Path, str], list[tuple[int, str, int]]] = {}
    for index, name in enumerate(names):
        sequence, number = parse_frame_name(Path(name).stem)
        clip = (Path(name).parent, '' if number is None else sequence)
        clips.setdefault(clip, []).append((number or 0, name, index))
    if max(map(len, clips.values())) < 2:
        msg = (
            f'no two images are frames of one video by their names, such as {names[0]}: leave '
            '--consistency out, or choose a --split that is a video'
        )
        raise ParameterError(msg)
    return [[index for *_, index in sorted(frames)] for _, frames in sorted(clips.items())]
