# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How well motion vectors rebuild a frame out of its neighbour."""

from typing import NamedTuple

from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

_PEAK = 255.0


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
