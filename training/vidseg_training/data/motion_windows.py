# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Random windows of clips, cropped, mirrored and reversed in time, with a first guess of motion.

Like `vidseg_training.data.sampling`, a sample depends only on the seed and its number in the run.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.motion import flow_targets, FlowMethod
from vidseg_training.data.clips import Scene, Window
from vidseg_training.motion_config import MotionConfig
from vidseg_training.networks.motion import MotionMode

_WITHOUT_PREVIOUS: Final = 0.25
"""Share of windows whose previous frame is missing, as it is at the start of a clip."""


class MotionSample(NamedTuple):
    """What the network gets; with a leading B in a batch."""

    previous: Tensor
    """(3, H, W) float RGB, 0 to 1."""
    source: Tensor
    """The same shape."""
    guess: Tensor
    """(2, H, W) float px: first guess of the vectors from target to source."""
    target: Tensor
    """The same shape as ``source``."""


def first_guess(
    window: Window, mode: MotionMode, flow: 'FlowMethod | None'
) -> NDArray[np.float32]:
    """Guess where the target's pixels are found in the source.

    Args:
        window: Frames (H, W, 3) uint8 RGB.
        mode: Reconstruction asks the flow for just that. Prediction, which may not look at the
            target, expects the motion of the step before, from source to previous, to go on.
        flow: Optical flow, or None for a guess of no motion.

    Returns:
        (H, W, 2) float32 px.
    """
    if flow is None:
        return np.zeros((*window.source.shape[:2], 2), np.float32)
    if mode == 'reconstruction':
        return flow(window.target, window.source)
    before = flow(window.source, window.previous)
    # What the step before moved from q to q + before(q) is expected at q - before(q).
    x, y = flow_targets(before)
    goes_on = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(goes_on, np.float32)


def to_sample(window: Window, guess: NDArray[np.float32]) -> MotionSample:
    """Bring a window (H, W, 3) uint8 and its guess (H, W, 2) float32 px to tensors, as copies."""
    previous, source, target = (
        torch.from_numpy(frame).permute(2, 0, 1).float() / 255 for frame in window
    )
    return MotionSample(previous, source, torch.tensor(guess).permute(2, 0, 1), target)


def to_batch(window: Window, guess: NDArray[np.float32], device: torch.device) -> MotionSample:
    """Bring a window and its guess to a device, as a batch of one."""
    return MotionSample(*(tensor[None].to(device) for tensor in to_sample(window, guess)))


def to_flow(vectors: Tensor) -> NDArray[np.float32]:
    """Bring the vectors of a batch of one, (1, 2, H, W) px, to (H, W, 2) float32."""
    flow: NDArray[np.float32] = vectors[0].permute(1, 2, 0).contiguous().cpu().numpy()
    return flow


class MotionWindows(Dataset[MotionSample]):
    """The windows of a training run, by their number."""

    def __init__(
        self, scenes: Sequence[Scene], config: MotionConfig, flow: 'FlowMethod | None'
    ) -> None:
        """Check the scenes.

        Args:
            scenes: Each is drawn equally often, whatever its length.
            config: Gives mode, spacing, crop and seed.
            flow: See `first_guess`.

        Raises:
            ParameterError: If a frame is smaller than the crop.
        """
        height, width = config.crop_size
        for scene in scenes:
            have = scene.frames[0].shape
            if have[0] < height or have[1] < width:
                msg = (
                    f'crop_size {width}x{height} is larger than the frames of {scene.name}, '
                    f'{have[1]}x{have[0]}; give a smaller one'
                )
                raise ParameterError(msg)
        self._scenes, self._config, self._flow = scenes, config, flow

    def __getitem__(self, number: int) -> MotionSample:
        """Draw a window; its number counts all windows of the run, from 0."""
        rng = np.random.default_rng((self._config.seed, number))
        scene = self._scenes[int(rng.integers(len(self._scenes)))]
        window = _crop(self._frames(scene, rng), self._config.crop_size, rng)
        return to_sample(window, first_guess(window, self._config.mode, self._flow))

    def _frames(self, scene: Scene, rng: np.random.Generator) -> Window:
        """Draw three frames, half of the time in reverse order."""
        frames = scene.frames
        spacing = int(rng.integers(1, min(self._config.spacing, (len(frames) - 1) // 2) + 1))
        start = int(rng.integers(len(frames) - 2 * spacing))
        window = [frames[start + step * spacing] for step in range(3)]
        if rng.random() < 0.5:
            window.reverse()
        if rng.random() < _WITHOUT_PREVIOUS:
            window[0] = window[1]
        return Window(*window)


def _crop(window: Window, size: tuple[int, int], rng: np.random.Generator) -> Window:
    """Cut the same place of (h, w) px out of all frames, half of the time mirrored."""
    height, width = size
    top = int(rng.integers(window.source.shape[0] - height + 1))
    left = int(rng.integers(window.source.shape[1] - width + 1))
    mirror = -1 if rng.random() < 0.5 else 1
    return Window(
        *(
            np.ascontiguousarray(frame[top : top + height, left : left + width][:, ::mirror])
            for frame in window
        )
    )
