# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Procedural textures of the street clip: each function paints one RGBA picture.

Alpha is 0 or 255 (shape), and colours go on beyond the shape, so shrinking bleeds no black in.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Rng = np.random.Generator
Rgb = tuple[int, int, int]

PADDING: Final = 1
"""Transparent texels around each level of a texture."""

WALLS: Final[tuple[Rgb, ...]] = (
    (168, 92, 72),
    (205, 188, 158),
    (150, 150, 148),
    (222, 216, 204),
    (204, 168, 96),
    (128, 140, 158),
    (120, 84, 66),
    (188, 140, 126),
)
PAINTS: Final[tuple[Rgb, ...]] = (
    (212, 212, 214),
    (36, 38, 44),
    (150, 24, 28),
    (28, 58, 128),
    (122, 126, 130),
    (52, 84, 62),
    (196, 170, 110),
    (232, 232, 228),
    (70, 120, 170),
)
GLASS: Final[Rgb] = (38, 48, 58)
CLOTHES: Final[tuple[Rgb, ...]] = (
    (176, 40, 44),
    (38, 60, 116),
    (44, 44, 48),
    (214, 208, 196),
    (70, 112, 74),
    (212, 168, 52),
    (120, 72, 128),
    (96, 84, 70),
    (226, 110, 50),
)
SKINS: Final[tuple[Rgb, ...]] = ((226, 184, 154), (188, 138, 104), (122, 82, 60))
HAIRS: Final[tuple[Rgb, ...]] = ((40, 30, 26), (104, 70, 40), (190, 160, 100), (150, 148, 146))


class Texture:
    """An RGBA picture with versions shrunk on their own in each direction, made when asked for."""

    def __init__(self, pixels: Pixels) -> None:
        """Keep the (h, w, 4) uint8 picture."""
        self.pixels = pixels
        self._levels: dict[tuple[int, int], Pixels] = {}

    def level(self, across: int, down: int) -> Pixels:
        """Return the picture shrunk by 2**across and 2**down, with a transparent border."""
        found = self._levels.get((across, down))
        if found is None:
            height, width = self.pixels.shape[:2]
            size = (max(1, width >> across), max(1, height >> down))
            small = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
            edges = (PADDING,) * 4
            found = cv2.copyMakeBorder(small, *edges, cv2.BORDER_REPLICATE).astype(np.uint8)
            found[..., 3] = 0
            found[PADDING:-PADDING, PADDING:-PADDING, 3] = small[..., 3]
            self._levels[across, down] = found
        return found


def noise(rng: Rng, height: int, width: int, coarsest: int = 4) -> NDArray[np.float32]:
    """Return (height, width) float32 smooth noise of about unit spread, over several scales."""
    total = np.zeros((height, width), np.float32)
    cells, weight = coarsest, 1.0
    while cells < max(height, width):
        rows = max(2, min(cells, height))
        columns = max(2, min(cells, width))
        grid = rng.standard_normal((rows, columns), np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
        cells, weight = cells * 3, weight * 0.7
    return (total / max(float(total.std()), 1e-6)).astype(np.float32)


def pick(rng: Rng, colors: tuple[Rgb, ...]) -> Rgb:
    """Return one of the colours, slightly changed."""
    red, green, blue = np.clip(
        np.array(colors[rng.integers(len(colors))]) + rng.integers(-12, 13, 3), 0, 255
    ).tolist()
    return red, green, blue


def surface(rng: Rng, height: int, width: int, color: Rgb, roughness: float) -> Pixels:
    """Return an opaque uneven surface; roughness is the spread of its brightness (0 to 255)."""
    pixels = np.full((height, width, 4), 255, np.uint8)
    spread = roughness * noise(rng, height, width)
    pixels[..., :3] = np.clip(np.array(color) + spread[..., None], 0, 255)
    return pixels


def _box(pixels: Pixels, corners: tuple[float, float, float, float], color: Rgb) -> None:
    """Fill a rectangle, corners in fractions of the picture (left, top, right, bottom)."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = (
        round(c * s) for c, s in zip(corners, (width, height) * 2, strict=True)
    )
    pixels[max(top, 0) : bottom, max(left, 0) : right] = (*color, 255)


def facade(rng: Rng, floors: int, bays: int) -> Pixels:
    """Paint the front of a house: a shop floor or doors below, rows of windows above."""
    cell_h, cell_w = 72, 60
    color = pick(rng, WALLS)
    pixels = surface(rng, floors * cell_h, bays * cell_w, color, 5.0)
    trim = pick(rng, ((228, 224, 214), (90, 84, 80), (60, 70, 66), color))
    half_w, top, bottom = rng.uniform(0.2, 0.38), rng.uniform(0.12, 0.25), rng.uniform(0.75, 0.88)
    shop = pick(rng, CLOTHES) if rng.random() < 0.6 else None
    for row in range(floors):
        for column in range(bays):
            cell = pixels[row * cell_h :, column * cell_w :][:cell_h, :cell_w]
            tone = float(rng.uniform(0.7, 1.9)) if rng.random() < 0.8 else 3.2
            glass = (int(GLASS[0] * tone), int(GLASS[1] * tone), int(GLASS[2] * tone))
            if row == floors - 1 and shop:
                _box(cell, (0.06, 0.25, 0.94, 0.9), glass)
                _box(cell, (0.0, 0.05, 1.0, 0.28), shop)
            elif row == floors - 1 and column % 3 == 1:
                _box(cell, (0.28, 0.2, 0.72, 1.0), (70, 50, 40))
            else:
                _box(cell, (0.46 - half_w, top - 0.05, 0.54 + half_w, bottom + 0.07), trim)
                _box(cell, (0.5 - half_w, top, 0.5 + half_w, bottom), glass)
                _box(cell, (0.485, top, 0.515, bottom), trim)
    _box(pixels, (0, 0, 1, 0.16 / floors), trim)
    return pixels


def foliage(rng: Rng, height: int, width: int, color: Rgb) -> Pixels:
    """Return opaque leaves, lighter above."""
    pixels = surface(rng, height, width, color, 10.0)
    blotches = 22 * noise(rng, height, width, 9) + np.linspace(22, -26, height)[:, None]
    pixels[..., :3] = np.clip(pixels[..., :3] + blotches[..., None], 0, 255)
    return pixels


def tree(rng: Rng, color: Rgb) -> Pixels:
    """Paint a tree: a trunk and a crown of leaf clusters, with holes."""
    side = 192
    pixels = foliage(rng, side, side, color)
    crown = np.zeros((side, side), np.float32)
    middle, slim = rng.uniform(0.34, 0.4) * side, rng.uniform(0.65, 1.0)
    for _ in range(16):
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.25) * side
        center = (
            int(side / 2 + slim * radius * np.cos(angle)),
            int(middle + radius * np.sin(angle)),
        )
        cv2.circle(crown, center, int(rng.uniform(0.08, 0.13) * side), 1.0, -1)
    leaves = (
        cv2.GaussianBlur(crown, (0, 0), 4) + np.clip(0.15 * noise(rng, side, side, 14), -0.3, 0.3)
        > 0.5
    )
    trunk = np.zeros((side, side), np.uint8)
    width = rng.uniform(0.02, 0.035) * side
    base = [(side / 2 - width, side), (side / 2 + width, side)]
    top = [(side / 2 + width * 0.7, middle), (side / 2 - width * 0.7, middle)]
    cv2.fillPoly(trunk, [np.array(base + top, np.int32)], 1)
    bark = (trunk > 0) & ~leaves
    pixels[bark, :3] = np.clip(np.array((84, 66, 52)) + rng.normal(0, 8, (bark.sum(), 1)), 0, 255)
    pixels[..., 3] = np.where(leaves | bark, 255, 0)
    return pixels


def hedge(rng: Rng, color: Rgb) -> Pixels:
    """Paint a row of bushes, ragged above."""
    pixels = foliage(rng, 96, 384, color)
    top = 26 + 9 * noise(rng, 2, 384, 12)[0] + rng.normal(0, 1.5, 384)
    pixels[..., 3] = np.where(np.arange(96)[:, None] > top, 255, 0)
    return pixels


def road(rng: Rng, color: Rgb, marks: str) -> Pixels:
    """Paint 12 m of road: across = x, down = towards the far end; marks 'lane' or 'zebra'."""
    height, width = 384, 640
    pixels = surface(rng, height, width, color, 5.0)
    pixels[..., :3] = np.clip(pixels[..., :3] + rng.normal(0, 6, (height, width, 1)), 0, 255)
    for _ in range(rng.integers(0, 4)):  # repairs
        left, top = rng.uniform(0, 0.8), rng.uniform(0, 0.8)
        patch = (left, top, left + rng.uniform(0.05, 0.2), top + rng.uniform(0.1, 0.3))
        shade = int(rng.integers(-14, 8))
        _box(pixels, patch, (color[0] + shade, color[1] + shade, color[2] + shade))
    white = (206, 206, 200)
    if marks == 'zebra':
        for left in np.arange(0.03, 0.97, 0.09):
            _box(pixels, (left, 0.06, left + 0.045, 0.32), white)
    else:
        for top in (0.0, 0.5):
            _box(pixels, (0.494, top + 0.1, 0.506, top + 0.35), white)
        for left in (0.185, 0.803):
            _box(pixels, (left, 0, left + 0.012, 1), white)
    return pixels


def pavement(rng: Rng, color: Rgb) -> Pixels:
    """Paint 12 m of sidewalk with slabs and a kerb stone on its left edge."""
    pixels = surface(rng, 384, 128, color, 5.0)
    pixels[::32, :, :3] = np.array(color) * 0.8
    pixels[:, 16::28, :3] = np.array(color) * 0.82
    _box(pixels, (0, 0, 0.08, 1), (176, 174, 168))
    return pixels


def sky(rng: Rng) -> tuple[Pixels, Rgb]:
    """Paint a sky with clouds; returns it with its colour at the horizon."""
    zenith, horizon = (
        ((84, 136, 204), (198, 216, 232)),
        ((150, 164, 180), (206, 210, 214)),
        ((92, 112, 170), (240, 206, 170)),
        ((52, 112, 200), (176, 208, 238)),
    )[rng.integers(4)]
    side = 512  # rows: 3 upward to 1 downward, so the horizon is at row 384
    height = np.clip((384 - np.arange(side)) / 256, 0, 1)[:, None, None] ** 0.6
    colors = np.array(horizon) * (1 - height) + np.array(zenith) * height
    cover = np.clip(noise(rng, side, side, 12) - rng.uniform(-0.3, 1.6), 0, 1)[..., None]
    cover = cover * np.clip(height * 2.5, 0, 0.85)
    colors = colors * (1 - cover) + rng.uniform(215, 250) * cover
    pixels = np.full((side, side, 4), 255, np.uint8)
    pixels[..., :3] = np.clip(colors, 0, 255)
    return pixels, horizon


def skyline(rng: Rng, haze: Rgb) -> Pixels:
    """Paint far, hazy houses."""
    pixels = np.zeros((64, 512, 4), np.uint8)
    pixels[..., :3] = haze
    for left in np.arange(0, 1, 0.02):
        tone = rng.uniform(0.72, 0.9)
        color = (int(haze[0] * tone), int(haze[1] * tone), int(haze[2] * tone))
        _box(pixels, (left, rng.uniform(0.1, 0.8), left + rng.uniform(0.02, 0.05), 1), color)
    return pixels


def sign(rng: Rng, kind: str) -> Pixels:
    """Paint a traffic sign: 'limit', 'warning', 'blue', 'board' or 'light'."""
    pixels = np.full((96, 96, 4), 255, np.uint8)
    pixels[..., :3] = {'blue': (24, 78, 170), 'board': (20, 110, 80), 'light': (30, 32, 34)}.get(
        kind, (200, 26, 32)
    )
    shape = np.zeros((96, 96), np.uint8)
    black, white = (24, 24, 24, 255), (240, 240, 236, 255)
    if kind == 'warning':
        cv2.fillPoly(shape, [np.array([(48, 2), (95, 92), (1, 92)])], 255)
        cv2.fillPoly(pixels, [np.array([(48, 26), (76, 80), (20, 80)])], white)
        cv2.line(pixels, (48, 44), (48, 70), black, 7)
    elif kind in ('limit', 'blue'):
        cv2.circle(shape, (48, 48), 47, 255, -1)
        text = 'P' if kind == 'blue' else str(rng.integers(2, 6) * 10)
        if kind == 'limit':
            cv2.circle(pixels, (48, 48), 35, white, -1)
        ink, left = (white, 30) if kind == 'blue' else (black, 20)
        cv2.putText(pixels, text, (left, 64), cv2.FONT_HERSHEY_SIMPLEX, 1.5, ink, 6)
    else:
        shape[:] = 255
        lit = int(rng.integers(3))
        for row, top in enumerate((0.12, 0.42, 0.7)):
            if kind == 'board':
                _box(pixels, (0.1, top, rng.uniform(0.5, 0.9), top + 0.12), white[:3])
            else:
                lamp = ((250, 60, 50), (250, 190, 60), (70, 240, 140))[row]
                color = lamp if row == lit else (60, 60, 60)
                cv2.ellipse(pixels, (48, int(96 * (top + 0.06))), (30, 12), 0, 0, 360, color, -1)
    pixels[..., 3] = shape
    return pixels


def shadow() -> Pixels:
    """Paint a soft dark spot: the first channel is the light that is left, of 255."""
    across = np.linspace(-1, 1, 64)
    depth = np.clip(1.6 - 1.6 * (across[:, None] ** 4 + across**4), 0, 1)
    return np.repeat((255 - 130 * depth)[..., None], 4, axis=2).astype(np.uint8)
