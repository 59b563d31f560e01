# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Draws the flat textured pieces of the street clip, and says where their points go.

Between a piece and the picture there is a homography, so what a pixel shows, how far off it is
and where it goes next come from the geometry and are not estimated (Hartley and Zisserman,
Multiple View Geometry, 2004, section 13.1).
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.street_figures import Frames, LABEL, SHADOW, Shape
from vidseg_ros.core.street_scene import BACKDROP, SIGHT
from vidseg_ros.core.street_textures import PADDING

_NEAR: Final = 0.2
"""Nothing nearer to the camera than this many metres is drawn."""
_FAR: Final = 1e-9
"""Steps of nearness (1/m) between the pieces at infinity."""
_THIN: Final = 1e-6
"""A piece whose homography has a smaller determinant is seen from its edge: not at all."""
_CORNERS: Final = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]], np.float64)
"""Texture points (s, t, 1) of a piece's corners, as columns, in order around it."""
_GROUND: Final = (LABEL['road'], LABEL['sidewalk'])


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Pieces as a camera sees them.

    Attributes:
        to_image: (N, 3, 3) homographies, texture (s, t, 1) -> pixel (x, y, 1) times depth.
        from_image: (N, 3, 3) their inverses.
        nearness: (N, 3) planes; nearness @ (x, y, 1) is 1 / depth in 1/m.
    """

    to_image: Frames
    from_image: Frames
    nearness: Frames


@dataclass(frozen=True, kw_only=True)
class Raster:
    """What each pixel shows.

    Attributes:
        projection: The pieces.
        color: (H, W, 4) uint8 RGB and unused, without haze.
        ids: (H, W) int16, index of the piece.
        labels: (H, W) uint8 STREET ids.
        nearness: (H, W) float32, 1 / depth in 1/m.
    """

    projection: Projection
    color: NDArray[np.uint8]
    ids: NDArray[np.int16]
    labels: NDArray[np.uint8]
    nearness: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _View:
    """How to draw a piece.

    Attributes:
        picture: Its texture, as sharp as needed.
        matrix: (3, 3) from pixels of the box to texels of the picture.
        box: (left, top, right, bottom) pixels of the image, ends excluded.
    """

    picture: NDArray[np.uint8]
    matrix: Frames
    box: tuple[int, ...]


def project(frames: Frames, camera: Frames, position: tuple[float, float, float]) -> Projection:
    """Look at pieces, of which the first BACKDROP lie at infinity.

    Args:
        frames: (N, 3, 3) as in `Shape`.
        camera: (3, 3) from world directions to pixels (intrinsics times rotation).
        position: Of the camera in the world, metres.
    """
    seen = frames.copy()
    seen[BACKDROP:, :, 2] -= position
    to_image = camera @ seen
    edge_on = np.abs(np.linalg.det(to_image)) < _THIN
    from_image = np.linalg.inv(np.where(edge_on[:, None, None], np.eye(3), to_image))
    nearness = from_image[:, 2].copy()
    nearness[edge_on] = (0, 0, -1)  # never in front
    nearness[:BACKDROP] = 0
    nearness[:BACKDROP, 2] = _FAR * np.arange(1, BACKDROP + 1)
    return Projection(to_image=to_image, from_image=from_image, nearness=nearness)


def rasterize(shape: Shape, projection: Projection, size: tuple[int, int]) -> Raster:
    """Draw pieces of which the first covers everything, into a picture of (height, width)."""
    raster = Raster(
        projection=projection,
        color=np.empty((*size, 4), np.uint8),
        ids=np.zeros(size, np.int16),
        labels=np.empty(size, np.uint8),
        nearness=np.full(size, projection.nearness[0, 2], np.float32),
    )
    boxes, spans, depth = _outlines(projection.to_image, size)
    boxes[0] = (0, 0, size[1], size[0])
    extents = boxes[:, 2:] - boxes[:, :2]
    labels = np.array([skin.label for skin in shape.skins], np.uint8)
    visible = np.flatnonzero((extents.min(axis=1) > 0) & (extents.sum(axis=1) > 3))
    views = _views(shape, projection, boxes, spans, visible)
    raster.color[:] = _look(views[0], cv2.BORDER_REPLICATE)
    order = visible[np.argsort(depth[visible], kind='stable')]  # near first: less to draw
    for piece in order[(labels[order] != SHADOW) & (order > 0)].tolist():
        _draw(raster, piece, views[piece])
    raster.labels[:] = labels[raster.ids]
    ground = np.isin(raster.labels, _GROUND).view(np.uint8)
    for piece in order[labels[order] == SHADOW].tolist():
        left, top, right, bottom = views[piece].box
        area = raster.color[top:bottom, left:right]
        dark = cv2.multiply(area, _look(views[piece], cv2.BORDER_CONSTANT), scale=1 / 255)
        cv2.copyTo(dark, ground[top:bottom, left:right], area)
    return raster


def motion(before: Raster, moved: Projection, after: Raster) -> tuple[
    NDArray[np.float32], NDArray[np.bool_]
]:  # fmt: skip
    """Follow every pixel to the next frame.

    Args:
        before: What the pixels show.
        moved: The same pieces, in the same order, as seen in the next frame.
        after: What is shown then.

    Returns:
        (H, W, 2) float32 displacement in pixels, 0 where the point is behind the camera; (H, W)
        bool, the point is out of the picture, or hidden by what the nearest pixel shows then.
    """
    height, width = before.ids.shape
    steps = moved.to_image @ before.projection.from_image
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    across, down, deeper = (_apply(steps[:, row], before.ids, x, y) for row in range(3))
    # depth grows by the factor `deeper`; behind the camera it is negative
    ahead = deeper > _NEAR * np.maximum(before.nearness, _FAR)
    deeper = np.where(ahead, deeper, 1.0)
    to_x, to_y = np.where(ahead, across / deeper, x), np.where(ahead, down / deeper, y)
    column, row = np.rint(to_x), np.rint(to_y)
    inside = ahead & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column = np.where(inside, column, 0).astype(np.intp)
    row = np.where(inside, row, 0).astype(np.intp)
    here = _apply(moved.nearness, before.ids, to_x, to_y)
    front = _apply(after.projection.nearness, after.ids[row, column], to_x, to_y)
    hidden = front > here * (1 + 1e-4) + _FAR / 2
    flow = np.stack([to_x - x, to_y - y], axis=-1).astype(np.float32)
    return flow, ~inside | hidden


def _apply(
    rows: Frames, ids: NDArray[np.signedinteger], x: Frames, y: Frames
) -> NDArray[np.float64]:
    """Return rows[id] @ (x, y, 1) of every pixel."""
    total: NDArray[np.float64] = rows[:, 0][ids] * x
    total += rows[:, 1][ids] * y
    total += rows[:, 2][ids]
    return total


def _outlines(
    to_image: Frames, size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return where pieces can be seen, how large they are there, and how far off.

    Returns:
        (N, 4) boxes (left, top, right, bottom) in pixels, ends excluded, empty if out of sight;
        (N, 2) longest edges along s and t, pixels; (N,) depth of the nearest corner, metres.
    """
    corners = (to_image @ _CORNERS).transpose(0, 2, 1)  # (N, 4, 3)
    following = np.roll(corners, -1, axis=1)
    depth, depth_after = corners[..., 2], following[..., 2]
    crossing = (depth - _NEAR) * (depth_after - _NEAR) < 0
    share = (_NEAR - depth) / np.where(crossing, depth_after - depth, 1.0)
    cuts = corners + share[..., None] * (following - corners)
    points = np.concatenate([corners, cuts], axis=1)  # (N, 8, 3)
    valid = np.concatenate([depth >= _NEAR, crossing], axis=1)
    flat = points[..., :2] / np.where(valid, points[..., 2], 1.0)[..., None]
    low = np.where(valid[..., None], flat, np.inf).min(axis=1)
    high = np.where(valid[..., None], flat, -np.inf).max(axis=1)
    limits = np.array([size[1], size[0]], np.float64)
    first = np.clip(np.ceil(low - 0.5), 0, limits)
    last = np.clip(np.floor(high + 0.5) + 1, 0, limits)
    nearest = depth.min(axis=1)
    last[nearest > SIGHT] = 0
    edges = np.linalg.norm(flat[:, :4] - np.roll(flat[:, :4], -1, axis=1), axis=2)
    whole = valid[:, :4].all(axis=1)
    spans = np.stack([edges[:, ::2].max(axis=1), edges[:, 1::2].max(axis=1)], axis=1)
    spans[~whole] = 1e6
    return np.concatenate([first, last], axis=1).astype(np.int64), spans, nearest


def _views(
    shape: Shape,
    projection: Projection,
    boxes: NDArray[np.int64],
    spans: NDArray[np.float64],
    visible: NDArray[np.intp],
) -> dict[int, _View]:
    """Choose the sharpness of each visible piece's texture, and find its way into the box."""
    textures = [shape.skins[piece].texture for piece in visible.tolist()]
    texels = np.array([texture.pixels.shape[1::-1] for texture in textures])
    shrink = np.rint(np.log2(texels / np.maximum(spans[visible], 1)))
    levels = np.clip(shrink, 0, np.floor(np.log2(texels))).astype(int).tolist()
    pictures = [texture.level(*level) for texture, level in zip(textures, levels, strict=True)]
    to_texel = np.zeros((len(textures), 3, 3))
    to_texel[:, :2, 2] = PADDING - 0.5
    to_texel[:, 2, 2] = 1
    sizes = np.array([picture.shape[1::-1] for picture in pictures]) - 2 * PADDING
    to_texel[:, 0, 0], to_texel[:, 1, 1] = sizes.T
    to_place = np.tile(np.eye(3), (len(textures), 1, 1))
    to_place[:, :2, 2] = boxes[visible, :2]
    matrices = to_texel @ projection.from_image[visible] @ to_place
    keys, places = visible.tolist(), boxes[visible].tolist()
    return {
        key: _View(picture=picture, matrix=matrix, box=tuple(box))
        for key, picture, matrix, box in zip(keys, pictures, matrices, places, strict=True)
    }


def _look(view: _View, border: int) -> NDArray[np.uint8]:
    """Return a piece's texture as the pixels of its box see it, (h, w, 4) uint8."""
    left, top, right, bottom = view.box
    return cv2.warpPerspective(  # type: ignore[return-value]  # OpenCV's stubs have no dtypes
        view.picture,
        view.matrix,
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
        borderValue=(255, 255, 255, 0),
    )


def _draw(raster: Raster, piece: int, view: _View) -> None:
    """Draw a piece where it is nearer than what is there."""
    left, top, right, bottom = view.box
    a, b, c = raster.projection.nearness[piece].tolist()
    columns = np.arange(left, right, dtype=np.float32)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    nearness = (np.float32(a) * columns + np.float32(c)) + np.float32(b) * rows
    before = raster.nearness[top:bottom, left:right]
    mask = nearness > before
    if not mask.any():
        return
    colors = _look(view, cv2.BORDER_CONSTANT)
    mask &= colors[..., 3] > 127
    cv2.copyTo(colors, mask.view(np.uint8), raster.color[top:bottom, left:right])
    np.copyto(before, nearness, where=mask)
    np.copyto(raster.ids[top:bottom, left:right], piece, where=mask)
