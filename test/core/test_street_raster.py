# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vidseg_ros.core.street_figures import join, plain, Shape, upright
from vidseg_ros.core.street_raster import motion, project, Projection, rasterize
from vidseg_ros.core.street_textures import Texture

SIZE = (40, 60)
# 100 px focal length: a metre at 10 m is 10 px wide; the optical axis goes through pixel (30, 20)
LENS = np.array([[100.0, 0, 30], [0, 100, 20], [0, 0, 1]])


def scene(square_x: float = 0.0, depth: float = 5.0) -> Shape:
    """Sky, a wide wall at 10 m up to the horizon, and a 0.55 m square before it."""
    white = plain((250, 250, 250))
    far = upright(white, 'sky', width=9, height=9, foot=-4.5, z=1)
    wall = upright(white, 'building', width=20, height=3, foot=-3, z=10)
    square = upright(white, 'sign', width=0.55, height=0.55, x=square_x, foot=-0.775, z=depth)
    return join([far, far, wall, square])


def seen(shape: Shape, x: float = 0.0, z: float = 0.0) -> Projection:
    return project(shape.frames, LENS, (x, 0.0, z))


def test_pieces_lie_where_the_pinhole_camera_puts_them() -> None:
    raster = rasterize(scene(), seen(scene()), SIZE)
    assert np.all(raster.labels[:20] == 0)  # sky above the horizon
    rows, columns = np.nonzero(raster.labels == 6)
    # x from -0.275 to 0.275 and y from 0.225 to 0.775 m at 5 m: 24.5 to 35.5 px both ways
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (25, 35, 25, 35)
    assert raster.nearness[30, 30] == pytest.approx(1 / 5)
    assert raster.nearness[30, 10] == pytest.approx(1 / 10)


def test_still_scene_has_no_motion_and_hides_nothing() -> None:
    raster = rasterize(scene(), seen(scene()), SIZE)
    flow, hidden = motion(raster, seen(scene()), raster)
    np.testing.assert_allclose(flow, 0, atol=1e-6)
    assert not hidden.any()


def test_camera_to_the_right_moves_near_points_further_left() -> None:
    before = rasterize(scene(), seen(scene()), SIZE)
    moved = seen(scene(), x=0.2)
    flow, hidden = motion(before, moved, rasterize(scene(), moved, SIZE))
    sky, wall, square = (before.labels == label for label in (0, 3, 6))
    assert np.abs(flow[sky] - 0).max() < 1e-5  # at infinity
    assert np.abs(flow[wall] - (-2, 0)).max() < 1e-5
    assert np.abs(flow[square] - (-4, 0)).max() < 1e-5
    # the wall leaves the picture on the left (a pixel reaches half a pixel around its centre) ...
    assert hidden[25:35, :2].all()
    # ... and the square, from 21 px on, covers the wall's points that come from 23 px on
    np.testing.assert_array_equal(np.flatnonzero(hidden[30]), [0, 1, 23, 24])


def test_moving_thing_carries_its_own_motion_and_opens_what_was_behind() -> None:
    before = rasterize(scene(), seen(scene()), SIZE)
    later = scene(square_x=0.15)
    flow, hidden = motion(before, seen(later), rasterize(later, seen(later), SIZE))
    assert np.abs(flow[before.labels == 6] - (3, 0)).max() < 1e-5
    assert np.abs(flow[before.labels == 3] - 0).max() < 1e-5
    np.testing.assert_array_equal(np.flatnonzero(hidden[30]), [36, 37, 38])


def test_driving_forward_expands_from_the_optical_axis() -> None:
    before = rasterize(scene(), seen(scene()), SIZE)
    moved = seen(scene(), z=2.0)
    flow, _ = motion(before, moved, rasterize(scene(), moved, SIZE))
    # the wall comes from 10 to 8 m: offsets from (30, 20) grow by 10 / 8
    assert np.abs(flow[24, 50] - (5, 1)).max() < 1e-5


def test_point_that_passes_behind_the_camera_has_no_flow_and_is_hidden() -> None:
    before = rasterize(scene(), seen(scene()), SIZE)
    moved = seen(scene(), z=7.0)
    flow, hidden = motion(before, moved, rasterize(scene(), moved, SIZE))
    square = before.labels == 6
    assert np.all(flow[square] == 0)
    assert hidden[square].all()


def test_a_hole_in_a_texture_shows_what_is_behind() -> None:
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[:, 4:, 3] = 0
    shape = join(
        [scene(), upright(Texture(pixels), 'tree', width=1, height=1, x=0.01, foot=-1, z=4)]
    )
    labels = rasterize(shape, seen(shape), SIZE).labels
    # 17.75 to 42.75 px, of which the right half is a hole
    np.testing.assert_array_equal(np.flatnonzero(labels[22] == 4), range(18, 31))


def test_piece_seen_from_its_edge_is_not_drawn() -> None:
    edge = upright(plain((0, 0, 0)), 'car', width=4, height=4, foot=-2).placed(0, 5, np.pi / 2)
    edge.frames[:, 0] = 0  # exactly in the plane x = 0 of the camera
    shape = join([scene(), edge])
    assert not np.any(rasterize(shape, seen(shape), SIZE).labels == 7)
