# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How steady and how right a way to segment video is on a labelled clip, and what a frame costs.

A network for each frame, and two ways to make its masks steady on the vehicle: networks on key
frames only, labels carried along optical flow between them (as deep feature flow: Zhu et al., CVPR
2017, does with features), and the mean of the last frames' probabilities.
"""

from collections import deque
from collections.abc import Callable, Iterable
import time
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor
from torch.nn.functional import interpolate

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.motion import warp_labels
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.networks import normalise
from vidseg_training.propagation.motion import farneback_flow
from vidseg_training.steadiness import score_video

HALVES: Final = (range(45), range(56, 101))
"""Protocol ``clip_halves``: of one half the images may train, the other half scores."""

Segmenter: TypeAlias = 'Callable[[NDArray[np.uint8]], NDArray[np.uint8]]'
"""The next frame of a clip, (H, W, 3) uint8 RGB -> its label map at network size."""


class PerFrame:
    """The network on every frame."""

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        """Use a network in evaluation mode at an input size, height and width."""
        self._network, self._size = network, size

    def probabilities(self, image: NDArray[np.uint8]) -> Tensor:
        """Return (C, h, w) float for a (H, W, 3) uint8 RGB frame."""
        small = cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_LINEAR)
        batch = torch.from_numpy(small).permute(2, 0, 1)[None]  # 1 3 h w
        with torch.inference_mode():
            logits = self._network(normalise(batch))
            return interpolate(logits, self._size, mode='bilinear').softmax(1)[0]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `Segmenter`."""
        return _label_map(self.probabilities(image))


class KeyFrames:
    """The network on every n-th frame; between them its labels are carried along the motion.

    The motion is Farneback's: steadiness is measured with DIS.
    """

    def __init__(self, frame: PerFrame, size: tuple[int, int], every: int = 5) -> None:
        """Use the network on every ``every``-th frame."""
        self._frame, self._size, self._every = frame, size, every
        self._count = 0

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `Segmenter`."""
        small = cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_LINEAR)
        is_key = self._count % self._every == 0
        self._count += 1
        if is_key:
            self._key, self._labels = small, self._frame(image)
            return self._labels
        carried = warp_labels(self._labels, farneback_flow(small, self._key))
        return np.where(carried == IGNORE_ID, self._labels, carried)


class FrameAverage:
    """The mean of the last frames' probabilities."""

    def __init__(self, frame: PerFrame, frames: int = 3) -> None:
        """Take the mean over ``frames`` frames."""
        self._frame = frame
        self._last: deque[Tensor] = deque(maxlen=frames)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `Segmenter`."""
        self._last.append(self._frame.probabilities(image))
        return _label_map(torch.stack(list(self._last)).mean(0))


def _label_map(probabilities: Tensor) -> NDArray[np.uint8]:
    return probabilities.argmax(0).numpy().astype(np.uint8)


def score_clip(
    segment: Segmenter, images: LabelledImages, *clips: Iterable[int]
) -> dict[str, Any]:
    """Run over consecutive frames, 15 a second, of a clip or of several.

    Args:
        segment: The next frame in, label map out.
        images: Frames with label maps.
        clips: Which of them, in order; nothing is compared across two clips.

    Returns:
        Scores from 0 to 1, label flips per second, and the times of a frame, ms.
    """
    times = []

    def timed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        start = time.perf_counter()
        labels = segment(image)
        times.append(1000 * (time.perf_counter() - start))
        return labels

    confusion, steadiness = score_video(timed, images, clips=clips)
    windows = {score.window: score for score in steadiness.video}
    return {
        'miou': confusion.miou(),
        'tc': steadiness.temporal.tc(),
        'flips_per_s': steadiness.temporal.flips(),
        **{f'vc{length}': window.correct_consistency() for length, window in windows.items()},
        **{f'vc{length}_self': window.self_consistency() for length, window in windows.items()},
        'ms_mean': float(np.mean(times[1:])),
        'ms_worst': float(np.max(times[1:])),
    }
