# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import log10

import pytest
import torch

from vidseg_training.motion_scores import score_warp


def test_scores_of_a_frame_that_is_ten_grey_levels_too_bright() -> None:
    target = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0)) * 0.9
    scores = score_warp(target + 10 / 255, target)
    assert scores.interpolation_error == pytest.approx(10, rel=1e-4)
    assert scores.psnr == pytest.approx(20 * log10(255 / 10), rel=1e-4)
    assert 0.9 < scores.ssim < 1


def test_the_same_frame_is_similar() -> None:
    target = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    scores = score_warp(target, target)
    assert (scores.interpolation_error, scores.ssim) == (0, pytest.approx(1))
