# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A procedural driving clip with exact labels, motion and occlusion of every pixel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import functools
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.street_figures import join, LABEL, Shape
from vidseg_ros.core.street_raster import motion, project, Projection, Raster, rasterize
from vidseg_ros.core.street_scene import BACKDROP, World

Motion = tuple[NDArray[np.float32], NDArray[np.bool_]]

_NOISE_MARGIN: Final = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class StreetFrame:
    """One picture of a clip and the truth about it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 ids of `vidseg_ros.core.labels.STREET`; every pixel has one.
        stamp_ns: Time since the start of the clip, ns.
        compute_motion: Makes `flow` and `occluded` when one of them is first asked for.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    stamp_ns: int
    compute_motion: Callable[[], Motion] = field(repr=False)

    @functools.cached_property
    def _motion(self) -> Motion:
        return self.compute_motion()

    @property
    def flow(self) -> NDArray[np.float32]:
        """How far the point shown moves until the next frame: (H, W, 2) float32 pixels.

        Right and down are positive. It is geometrically exact where the point is hidden then,
        too, and 0 where the point is behind the camera.
        """
        return self._motion[0]

    @property
    def occluded(self) -> NDArray[np.bool_]:
        """Where the point shown cannot be seen in the next frame: (H, W) bool.

        It has left the picture, or another piece is in front of it. Which piece that could be is
        looked up at the nearest pixel, so along an outline the answer is good to half a pixel.
        """
        return self._motion[1]


class StreetClip:
    """An hours-long drive along a street that follows from a seed.

    Args:
        seed: Decides world, camera, weather and noise; 0 or more.
        size: (height, width) of the pictures.
        fps: Frames per second.
    """

    def __init__(
        self, *, seed: int = 0, size: tuple[int, int] = (360, 640), fps: float = 15.0
    ) -> None:
        """Paint the textures; blocks of houses are made when the camera comes near."""
        rng = np.random.default_rng((seed, 1))
        height, width = size
        self._seed, self._size, self._fps = seed, size, fps
        self._world = World(seed)
        focal = width * rng.uniform(0.7, 1.0)
        horizon = (height - 1) * rng.uniform(0.38, 0.52)
        self._lens = np.array([[focal, 0, (width - 1) / 2], [0, focal, horizon], [0, 0, 1]])
        self._fog = rng.uniform(0.0005, 0.007)
        self._tint = rng.uniform(0.75, 1.3) * rng.uniform(0.93, 1.07, 3)
        angle = rng.uniform(0, 2 * np.pi)
        self._sun = np.array([np.cos(angle), -0.6, np.sin(angle)]) / np.sqrt(1.36)
        margin = (height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3)
        self._noise = rng.uniform(0.5, 3.0) * rng.standard_normal(margin, np.float32)
        self._raster = functools.lru_cache(maxsize=2)(self._make_raster)

    def frame(self, index: int) -> StreetFrame:
        """Return one frame; the same seed, size, rate and index give the same bytes.

        Args:
            index: Number of the frame, 0 or more.

        Returns:
            The frame; its image and labels belong to the caller.
        """
        shape, raster = self._raster(index)
        return StreetFrame(
            image=self._develop(shape, raster, index),
            labels=raster.labels.copy(),
            stamp_ns=round(index * 1e9 / self._fps),
            compute_motion=functools.partial(self._make_motion, index, index + 1),
        )

    def frames(self, count: int) -> Iterator[StreetFrame]:
        """Yield the first frames of the clip."""
        return map(self.frame, range(count))

    def flow_between(self, first: int, second: int) -> NDArray[np.float32]:
        """Return how far the points shown in one frame move until another one.

        Args:
            first: Number of the frame whose pixels are followed, 0 or more.
            second: Number of the other frame, before or after it.

        Returns:
            (H, W, 2) float32 px, right and down positive: geometrically exact where the point is
            hidden in the other frame, too, and 0 where it is behind the camera.
        """
        return self._make_motion(first, second)[0]

    def _scene(self, index: int, since: int) -> Shape:
        """Return the pieces around the camera at frame `since`, placed as at frame `index`."""
        shapes = self._world.shapes(index / self._fps, since / self._fps)
        return join([self._world.backdrop, *shapes])

    def _project(self, shape: Shape, index: int) -> Projection:
        """Look at the pieces with the camera of a frame."""
        time = index / self._fps
        yaw, pitch = self._world.drive.attitude(time)
        tilt = cv2.Rodrigues(np.array([pitch, 0.0, 0.0]))[0]
        turn = cv2.Rodrigues(np.array([0.0, -yaw, 0.0]))[0]
        camera = np.asarray(self._lens @ tilt @ turn, np.float64)
        return project(shape.frames, camera, self._world.drive.position(time))

    def _make_raster(self, index: int) -> tuple[Shape, Raster]:
        """Draw the pieces of a frame."""
        shape = self._scene(index, index)
        return shape, rasterize(shape, self._project(shape, index), self._size)

    def _make_motion(self, first: int, second: int) -> Motion:
        """Follow the points of a frame to another one."""
        moved = self._project(self._scene(second, first), second)
        return motion(self._raster(first)[1], moved, self._raster(second)[1])

    def _develop(self, shape: Shape, raster: Raster, index: int) -> NDArray[np.uint8]:
        """Light the colours, then add haze, the blur of a lens and the noise of a sensor."""
        normal = np.cross(shape.frames[:, :, 0], shape.frames[:, :, 1])
        facing = np.abs(normal @ self._sun) / np.linalg.norm(normal, axis=1)
        lit = [skin.label in (LABEL['building'], LABEL['car']) for skin in shape.skins]
        light = np.where(lit, 0.7 + 0.4 * facing, 1.0).astype(np.float32)
        clear = cv2.exp(-self._fog / np.maximum(raster.nearness, 1e-3))
        clear[raster.ids < BACKDROP] = 1.0
        bright = cv2.merge([light[raster.ids] * clear] * 3)
        colors = np.ascontiguousarray(raster.color[..., :3])
        image = np.asarray(cv2.multiply(colors, bright, dtype=cv2.CV_32F), np.float32)
        for channel, (haze, tint) in enumerate(zip(self._world.haze, self._tint, strict=True)):
            image[..., channel] += haze * (1 - clear)
            image[..., channel] *= tint
        image = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.55), np.float32)
        row, column = np.random.default_rng((self._seed, 2, index)).integers(0, _NOISE_MARGIN, 2)
        height, width = self._size
        image += self._noise[row : row + height, column : column + width]
        return np.clip(image, 0, 255).astype(np.uint8)
