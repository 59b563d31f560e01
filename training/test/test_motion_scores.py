# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import log10

import numpy as np
import pytest
import torch

from vidseg_training.data.clips import Window
from vidseg_training.motion_scores import score_motion, score_warp
from vidseg_training.networks.motion import MotionNet


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


def test_a_network_is_scored_beside_its_guess() -> None:
    network = MotionNet(width=8).eval()
    torch.nn.init.zeros_(network.head.weight)  # it never corrects the guess
    rng = np.random.default_rng(0)
    windows = []
    for _ in range(5):
        frame = rng.integers(20, 200, (32, 48, 3)).astype(np.uint8)
        windows.append(Window(frame, frame, frame + np.uint8(10)))
    scores, views = score_motion(network, None, windows)
    assert scores['interpolation_error'] == pytest.approx(10, rel=1e-4)
    assert scores['guess_psnr'] == scores['psnr'] == pytest.approx(20 * log10(255 / 10), rel=1e-4)
    assert scores['guess_ssim'] == scores['ssim']
    for view, window in zip(views, windows[::2], strict=True):
        np.testing.assert_array_equal(view.target, window.target)
        np.testing.assert_array_equal(view.warped, window.source)
        np.testing.assert_array_equal(view.vectors, np.zeros((32, 48, 2)))
