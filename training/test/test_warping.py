# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from vidseg_ros.core.motion import warp_labels
from vidseg_training.warping import backward_warp


def test_no_motion_changes_nothing() -> None:
    images = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(backward_warp(images, images.new_zeros(2, 2, 4, 5)), images)


def test_whole_and_half_pixels_by_hand() -> None:
    """A row 0 10 20 30: one and a half pixels to the right it reads 15, 25, then the border."""
    images = torch.tensor([[[[0.0, 10.0, 20.0, 30.0]]]])
    vectors = torch.zeros(1, 2, 1, 4)
    vectors[:, 0] = 1.0
    assert backward_warp(images, vectors).flatten().tolist() == [10.0, 20.0, 30.0, 30.0]
    vectors[:, 0] = 1.5
    expected = torch.tensor([15.0, 25.0, 30.0, 30.0])
    torch.testing.assert_close(backward_warp(images, vectors).flatten(), expected)


def test_x_and_y_are_those_of_the_label_warp() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, (6, 7)).astype(np.uint8)
    flow = rng.integers(-1, 2, (6, 7, 2)).astype(np.float32)
    carried = warp_labels(labels, flow)
    warped = backward_warp(
        torch.from_numpy(labels)[None, None].double(),
        torch.from_numpy(flow).permute(2, 0, 1)[None].double(),
    )
    inside = carried != 255
    assert inside.sum() > 20
    np.testing.assert_allclose(warped[0, 0].numpy()[inside], carried[inside], atol=1e-9)


def test_the_gradient_is_right() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    vectors = (torch.rand(1, 2, 4, 4, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(backward_warp, (images, vectors[:, :, :, :]))
