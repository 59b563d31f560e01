# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from math import cos, pi, sin

import pytest
import torch

from vidseg_training.consistency.equivariance import (
    affine_motion,
    draw_movement,
    invert,
    move_camera,
    SHIFT,
    ZOOM,
)
from vidseg_training.consistency.temporal_loss import photometric_weight


def test_the_motion_of_an_affine_map_by_hand() -> None:
    """Twice the size and 3 px to the right, about the centre (1, 0.5) of 3x2 pixels."""
    matrices = torch.tensor([[[2.0, 0.0, 3.0], [0.0, 2.0, 0.0]]])
    motion = affine_motion(matrices, (2, 3))
    assert motion[0, 0].tolist() == [[2, 3, 4], [2, 3, 4]]
    assert motion[0, 1].tolist() == [[-0.5] * 3, [0.5] * 3]


def test_the_inverse_undoes_a_map() -> None:
    angle = pi / 7
    map_ = torch.tensor([[[cos(angle), -sin(angle), 4.0], [sin(angle), cos(angle), -2.0]]])
    square = torch.cat((map_, torch.tensor([[[0.0, 0.0, 1.0]]])), 1)
    undone = torch.cat((invert(map_), torch.tensor([[[0.0, 0.0, 1.0]]])), 1)
    torch.testing.assert_close(undone @ square, torch.eye(3)[None])


def test_movements_stay_in_their_ranges_and_come_from_the_seed() -> None:
    torch.manual_seed(3)
    matrices = draw_movement(500, 100)
    zoom = torch.linalg.det(matrices[..., :2]).sqrt()
    assert (zoom - 1).abs().max().item() == pytest.approx(ZOOM, rel=0.05)
    assert matrices[..., 2].abs().max().item() == pytest.approx(100 * SHIFT, rel=0.05)
    torch.manual_seed(3)
    torch.testing.assert_close(draw_movement(500, 100), matrices, rtol=0, atol=0)


def test_the_view_shows_along_the_motion_what_the_picture_shows() -> None:
    """A smooth picture: the neighbour explains it everywhere that both of them show."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(60), torch.arange(80), indexing='ij')
    picture = torch.stack((2 * x, 3 * y, x + y)).to(torch.uint8)[None].expand(4, -1, -1, -1)
    view = move_camera(picture)
    weights = photometric_weight(view.pair)
    visible = view.pair.visible
    assert 0.7 < visible.float().mean() < 1
    inner = visible[:, 5:-5, 5:-5]
    assert weights[:, 5:-5, 5:-5][inner].min() > 0.95
    still = view.pair._replace(motion=torch.zeros_like(view.pair.motion))
    assert photometric_weight(still)[:, 5:-5, 5:-5][inner].mean() < 0.97
    difference = view.altered.float() - view.pair.neighbour.float()
    assert difference.abs().mean() > 1


def test_a_black_picture_is_nothing_special() -> None:
    torch.manual_seed(0)
    view = move_camera(torch.zeros(2, 3, 16, 24, dtype=torch.uint8))
    assert photometric_weight(view.pair).min() == 1
    assert view.pair.visible.any()
