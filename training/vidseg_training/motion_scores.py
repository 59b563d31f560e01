# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How well motion vectors rebuild a frame out of its neighbour."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from vidseg_ros.core.motion import FlowMethod
from vidseg_training.data.clips import Window
from vidseg_training.data.motion_windows import first_guess, to_batch, to_flow
from vidseg_training.motion_pictures import MotionView
from vidseg_training.networks.motion import MotionNet
from vidseg_training.warping import backward_warp

_PEAK: Final = 255.0
_MOST_VIEWS: Final = 3


class WarpScores(NamedTuple):
    """Scores of one warped frame; of perfect ones `psnr` would be infinite."""

    psnr: float
    """Peak signal-to-noise ratio, dB."""
    ssim: float
    """Structural similarity (Wang et al. 2004; Gaussian windows of 11x11), at most 1."""
    interpolation_error: float
    """Root mean square difference of grey levels, 0 to 255 (Baker et al., IJCV 2011)."""


def score_warp(warped: Tensor, target: Tensor) -> WarpScores:
    """Compare a warped frame with what it should be.

    Args:
        warped: (1, 3, H, W) float, 0 to 1.
        target: The same shape.
    """
    psnr = peak_signal_noise_ratio(warped * _PEAK, target * _PEAK, data_range=_PEAK)
    ssim = structural_similarity_index_measure(warped * _PEAK, target * _PEAK, data_range=_PEAK)
    assert isinstance(ssim, Tensor)  # it is a pair only when asked for the full picture
    error = ((warped - target) * _PEAK).square().mean().sqrt()
    return WarpScores(psnr.item(), ssim.item(), error.item())


def score_motion(
    network: MotionNet, flow: 'FlowMethod | None', windows: Sequence[Window]
) -> tuple[dict[str, float], list[MotionView]]:
    """Score a network, and the first guess it starts from, on windows of frames.

    Args:
        network: In evaluation mode.
        flow: Of the first guess, see `first_guess`.
        windows: At least one.

    Returns:
        The means of `WarpScores` by name, those of the guess as ``guess_...``, and up to three
        views at equal distances.
    """
    scores: list[WarpScores] = []
    guessed: list[WarpScores] = []
    views: list[MotionView] = []
    device = next(network.parameters()).device
    for number, window in enumerate(windows):
        batch = to_batch(window, first_guess(window, network.mode, flow), device)
        with torch.inference_mode():
            vectors = network(*batch)
        warped = backward_warp(batch.source, vectors)
        scores.append(score_warp(warped, batch.target))
        guessed.append(score_warp(backward_warp(batch.source, batch.guess), batch.target))
        if len(views) * len(windows) <= number * min(len(windows), _MOST_VIEWS):
            views.append(MotionView(window.target, _to_image(warped), to_flow(vectors)))
    return _means('', scores) | _means('guess_', guessed), views


def _means(prefix: str, scores: Sequence[WarpScores]) -> dict[str, float]:
    means = np.mean(scores, axis=0).tolist()
    return {f'{prefix}{name}': mean for name, mean in zip(WarpScores._fields, means, strict=True)}


def _to_image(image: Tensor) -> NDArray[np.uint8]:
    """Bring (1, 3, H, W) float, 0 to 1, to (H, W, 3) uint8."""
    grey_levels = (image[0] * _PEAK).round().clamp(0, _PEAK).permute(1, 2, 0)
    return grey_levels.cpu().numpy().astype(np.uint8)
