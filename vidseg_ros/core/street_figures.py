# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The things in the street clip, each a set of flat textured pieces: cars, people, trees, signs.

World axes in metres: x right, y down (the road is y = 0), z along the road.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import itertools
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core import street_textures as paint
from vidseg_ros.core.labels import STREET
from vidseg_ros.core.street_textures import Pixels, Rgb, Rng, Texture

LABEL: Final = {name: index for index, name in enumerate(STREET.names)}
SHADOW: Final = 254
"""Stands for a label on pieces that only darken the ground under them."""

Point = tuple[float, float, float]
Frames = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Skin:
    """How a flat piece looks.

    Attributes:
        texture: Its picture; where the alpha is 0 there is a hole.
        label: STREET id, or SHADOW.
    """

    texture: Texture
    label: int


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Some flat pieces.

    Attributes:
        frames: (N, 3, 3) float64; the texture point (s, t), both 0 to 1 from its top left corner,
            lies at frames[n] @ (s, t, 1).
        skins: The look of each piece.
    """

    frames: Frames
    skins: tuple[Skin, ...]

    def placed(self, x: float, z: float, heading: float = 0.0, y: float = 0.0) -> 'Shape':
        """Return the shape turned about the upright axis (radians, clockwise), then moved."""
        cos, sin = np.cos(heading), np.sin(heading)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        frames = turn @ self.frames
        frames[:, :, 2] += (x, y, z)
        return Shape(frames=frames, skins=self.skins)


def join(shapes: Sequence[Shape]) -> Shape:
    """Return all pieces as one shape."""
    frames = np.concatenate([shape.frames for shape in shapes])
    return Shape(frames=frames, skins=tuple(skin for shape in shapes for skin in shape.skins))


def piece(texture: Texture, label: str, origin: Point, across: Point, down: Point) -> Shape:
    """Return one flat piece: where its texture's top left lies, and its two edges in metres."""
    frames = np.array([across, down, origin], np.float64).T[None]
    return Shape(frames=frames, skins=(Skin(texture=texture, label=LABEL[label]),))


def upright(  # noqa: PLR0913 (a rectangle is its place and its size)
    texture: Texture,
    label: str,
    *,
    width: float,
    height: float,
    x: float = 0.0,
    z: float = 0.0,
    foot: float = 0.0,
) -> Shape:
    """Return a piece that faces along the road, centred at x, its foot so high over the road."""
    return piece(texture, label, (x - width / 2, -foot - height, z), (width, 0, 0), (0, height, 0))


_SHADOW_SKIN: Final = Skin(texture=Texture(paint.shadow()), label=SHADOW)


def shadow(width: float, length: float) -> Shape:
    """Return a soft shadow on the ground, centred at the origin."""
    frame = np.array([[width, 0, -width / 2], [0, 0, 0], [0, length, -length / 2]], np.float64)
    return Shape(frames=frame[None], skins=(_SHADOW_SKIN,))


def plain(color: Rgb) -> Texture:
    """Return a texture of one colour."""
    return Texture(np.full((4, 4, 4), (*color, 255), np.uint8))


def tree(texture: Texture, size: float) -> Shape:
    """Return a tree so many metres tall, from two crossed pictures."""
    front = upright(texture, 'tree', width=size, height=size)
    return join([front, front.placed(0, 0, np.pi / 2), shadow(0.7 * size, 0.5 * size)])


_BODIES: Final[tuple[tuple[tuple[float, float], ...], ...]] = (  # (metres from the tail, height)
    ((0, 0.85), (0.1, 0.98), (0.75, 1.02), (1.35, 1.42), (2.5, 1.44), (3.3, 0.98), (4.4, 0.75)),
    ((0, 0.9), (0.05, 1.0), (0.4, 1.48), (0.6, 1.53), (2.2, 1.52), (3.05, 1.0), (3.9, 0.8)),
    ((0, 0.95), (0.05, 1.1), (0.3, 1.68), (0.5, 1.74), (2.6, 1.72), (3.4, 1.14), (4.5, 0.95)),
    ((0, 1.0), (0.02, 1.2), (0.1, 1.95), (0.25, 2.05), (3.7, 2.02), (4.5, 1.25), (5.0, 0.95)),
)
CAR_WIDTH: Final = 1.8


def _car_side(body: tuple[tuple[float, float], ...], color: Rgb) -> Pixels:
    """Paint the outline of a car from its side, tail left, with windows and wheels."""
    length, tall = body[-1][0], max(height for _, height in body)
    scale = 60.0
    pixels = np.full((int(tall * scale), int(length * scale), 4), (*color, 255), np.uint8)
    mask = np.zeros(pixels.shape[:2], np.uint8)

    def spot(along: float, height: float) -> list[int]:
        return [round(along * scale), round((tall - height) * scale)]

    outline = [spot(0, 0.28), *(spot(*corner) for corner in body), spot(length, 0.28)]
    cv2.fillPoly(mask, [np.array(outline)], 255)
    belt = body[1][1]
    slope = [spot(a, h - 0.07) for a, h in body[2:5] if h > belt]
    window = [spot(body[2][0] - 0.1, belt), *slope, spot(body[5][0] - 0.12, belt)]
    cv2.fillPoly(pixels, [np.array(window)], (*paint.GLASS, 255))
    dark = tuple(int(0.75 * channel) for channel in color)
    for along in (0.36 * length, 0.56 * length):
        cv2.line(pixels, spot(along, tall), spot(along, 0.4), (*dark, 255), 3)
    pixels[-round(0.42 * scale) :, :, :3] = dark
    for along in (0.19 * length, 0.81 * length):
        center = spot(along, 0.31)
        cv2.circle(mask, center, round(0.31 * scale), 255, -1)
        cv2.circle(pixels, center, round(0.36 * scale), (22, 22, 24, 255), -1)
        cv2.circle(pixels, center, round(0.19 * scale), (150, 152, 156, 255), -1)
    pixels[..., 3] = mask
    return pixels


def _car_end(color: Rgb, light: Rgb) -> Pixels:
    """Paint the lower tail or nose of a car: lamps, plate, bumper, tyres below."""
    pixels = np.full((64, 120, 4), (*color, 255), np.uint8)
    pixels[42:, :, :3] = (40, 40, 42)
    cv2.rectangle(pixels, (4, 6), (26, 20), (*light, 255), -1)
    cv2.rectangle(pixels, (94, 6), (116, 20), (*light, 255), -1)
    cv2.rectangle(pixels, (44, 22), (76, 32), (226, 226, 214, 255), -1)
    pixels[48:, 18:102, 3] = 0
    pixels[48:, :4, 3] = 0
    pixels[48:, 116:, 3] = 0
    return pixels


def car(rng: Rng) -> Shape:
    """Return a car that heads along +z, centred on the origin."""
    body = _BODIES[rng.choice(4, p=(0.35, 0.3, 0.2, 0.15))]
    color = paint.pick(rng, paint.PAINTS)
    length, tall = body[-1][0], max(height for _, height in body)
    half = CAR_WIDTH / 2
    roof = plain((int(color[0] * 0.94), int(color[1] * 0.94), int(color[2] * 0.94)))
    glass = plain(paint.GLASS)
    side = Texture(_car_side(body, color))
    parts = [
        piece(side, 'car', (x, -tall, -length / 2), (0, 0, length), (0, tall, 0))
        for x in (-half, half)
    ]
    for (along, height), light in ((body[0], (190, 20, 24)), (body[-1], (244, 240, 214))):
        lower = Texture(_car_end(color, light))
        parts.append(upright(lower, 'car', width=CAR_WIDTH, height=height, z=along - length / 2))
    for index, ((start, low), (stop, high)) in enumerate(itertools.pairwise(body)):
        look = glass if index in (2 if body is _BODIES[0] else 1, 4) else roof
        parts.append(
            piece(
                look,
                'car',
                (-half, -high, stop - length / 2),
                (CAR_WIDTH, 0, 0),
                (0, high - low, start - stop),
            )
        )
    return join([*parts, shadow(CAR_WIDTH * 1.5, length * 1.2)])


def _blank(height: int, width: int, color: Rgb) -> tuple[Pixels, Pixels]:
    """Return a one-coloured picture and an empty outline for it."""
    pixels = np.full((height, width, 4), (*color, 255), np.uint8)
    return pixels, np.zeros((height, width), np.uint8)


def _torso(rng: Rng) -> Texture:
    """Paint a person from the hips up, 0.6 m wide and 0.95 m tall."""
    skin = paint.pick(rng, paint.SKINS)
    pixels, mask = _blank(114, 72, paint.pick(rng, paint.CLOTHES))
    pixels[..., :3] = np.clip(pixels[..., :3] - np.abs(np.arange(72) - 32)[:, None], 0, 255)
    cv2.ellipse(mask, (36, 16), (11, 15), 0, 0, 360, 255, -1)
    chest = [(30, 26), (42, 26), (56, 34), (64, 92), (54, 94), (52, 113), (20, 113), (18, 94),
             (8, 92), (16, 34)]  # fmt: skip
    cv2.fillPoly(mask, [np.array(chest)], 255)
    pixels[:29, :, :3] = skin
    cv2.ellipse(pixels, (36, 8), (14, 11), 0, 0, 360, (*paint.pick(rng, paint.HAIRS), 255), -1)
    for hand in (10, 60):
        cv2.circle(pixels, (hand, 92), 6, (*skin, 255), -1)
    if rng.random() < 0.4:  # a rucksack or bag
        bag = paint.pick(rng, paint.CLOTHES)
        cv2.rectangle(pixels, (24, 44), (48, 80), (*bag, 255), -1)
    pixels[..., 3] = mask
    return Texture(pixels)


def _leg(rng: Rng, color: Rgb) -> Texture:
    """Paint a leg with a shoe, 0.2 m wide and 0.9 m tall."""
    pixels, mask = _blank(108, 24, color)
    cv2.fillPoly(mask, [np.array([(3, 0), (21, 0), (17, 96), (22, 107), (5, 107), (7, 96)])], 255)
    pixels[98:, :, :3] = paint.pick(rng, ((30, 30, 30), (210, 210, 210), (96, 64, 44)))
    pixels[..., 3] = mask
    return Texture(pixels)


class Person:
    """Somebody on foot, whose legs swing with the distance walked."""

    def __init__(self, rng: Rng) -> None:
        """Draw clothes and a size."""
        trousers = paint.pick(rng, ((36, 40, 60), (60, 60, 62), (28, 28, 30), (130, 116, 92)))
        leg = _leg(rng, trousers)
        self._size = rng.uniform(0.9, 1.08)
        self._looks = (_torso(rng), leg, leg)
        self._phase = rng.uniform(0, 2 * np.pi)

    def shape(self, x: float, z: float, walked: tuple[float, float], foot: float) -> Shape:
        """Return the person at (x, z), feet at this height, after (x, z) metres of walking."""
        along = abs(walked[0]) + abs(walked[1])
        swing = 0.5 * np.sin(self._phase + 4.2 * along / self._size) if along else 0.05
        sideways = abs(walked[0]) > abs(walked[1])
        size = self._size
        parts = [upright(self._looks[0], 'pedestrian', width=0.6 * size, height=0.95 * size,
                         foot=foot + 0.83 * size)]  # fmt: skip
        for leg, angle, place in ((1, swing, 0.0), (2, -swing, 0.0 if sideways else 0.18)):
            tip = 0.9 * size * np.array([np.sin(angle), np.cos(angle)])
            down = (tip[0], tip[1], 0.0) if sideways else (0.0, tip[1], tip[0])
            left = -0.1 if sideways else -0.19 + place
            drop = -foot - 0.9 * size
            parts.append(piece(self._looks[leg], 'pedestrian', (left * size, drop, 0.02 * leg),
                               (0.2 * size, 0, 0), down))  # fmt: skip
        return join([*parts, shadow(0.9, 0.6).placed(0, 0, 0, -foot)]).placed(x, z)


def cyclist(rng: Rng) -> Shape:
    """Return somebody on a bicycle who heads along +z: a side view crossed with a front view."""
    shirt, skin = paint.pick(rng, paint.CLOTHES), paint.pick(rng, paint.SKINS)
    frame, helmet = paint.pick(rng, paint.CLOTHES), paint.pick(rng, paint.CLOTHES)
    trousers = (44, 46, 58)
    views = []
    for width in (102, 40):
        pixels, mask = _blank(108, width, shirt)

        def stroke(
            points: list[tuple[int, int]], thick: int, color: Rgb,
            picture: Pixels = pixels, outline: Pixels = mask,
        ) -> None:  # fmt: skip
            line = [np.array(points)]
            cv2.polylines(picture, line, isClosed=False, color=(*color, 255), thickness=thick + 2)
            cv2.polylines(outline, line, isClosed=False, color=255, thickness=thick)

        if width > 40:
            for center in ((20, 87), (81, 87)):
                cv2.circle(pixels, center, 19, (26, 26, 28, 255), 5)
                cv2.circle(mask, center, 18, 255, 4)
            stroke([(20, 87), (44, 87), (36, 52), (72, 52), (81, 87)], 4, frame)
            stroke([(44, 87), (72, 52), (70, 44)], 4, frame)
            stroke([(36, 50), (56, 62), (48, 90), (56, 92)], 9, trousers)
            stroke([(38, 46), (54, 22)], 15, shirt)
            stroke([(54, 24), (58, 40), (72, 44)], 6, skin)
            head = (60, 10)
        else:
            stroke([(20, 70), (20, 107)], 4, (26, 26, 28))
            stroke([(15, 54), (12, 72), (13, 92)], 7, trousers)
            stroke([(25, 54), (28, 72), (27, 86)], 7, trousers)
            stroke([(20, 28), (20, 50)], 17, shirt)
            stroke([(10, 24), (5, 36), (8, 46)], 5, shirt)
            stroke([(30, 24), (35, 36), (32, 46)], 5, shirt)
            head = (20, 10)
        cv2.circle(mask, head, 9, 255, -1)
        cv2.circle(pixels, head, 10, (*skin, 255), -1)
        pixels[: head[1], :, :3] = helmet
        pixels[..., 3] = mask
        views.append(Texture(pixels))
    side, front = views
    along = piece(side, 'cyclist', (0, -1.75, -0.85), (0, 0, 1.7), (0, 1.75, 0))
    across = upright(front, 'cyclist', width=0.66, height=1.75)
    return join([along, across, shadow(0.6, 1.8)])


def lamp_post(texture: Texture, reach: float) -> Shape:
    """Return a street lamp whose arm reaches so many metres to the right."""
    pole = upright(texture, 'pole', width=0.2, height=6.6)
    arm = upright(texture, 'pole', width=abs(reach), height=0.14, x=reach / 2, foot=6.5)
    lamp = upright(texture, 'pole', width=0.7, height=0.2, x=reach, z=-0.05, foot=6.4)
    return join([pole, arm, lamp, shadow(0.5, 0.5)])


def sign_post(post: Texture, face: Texture, size: tuple[float, float], foot: float) -> Shape:
    """Return a sign of (width, height) metres at this height on a post."""
    pole = upright(post, 'pole', width=0.11, height=foot + size[1])
    board = upright(face, 'sign', width=size[0], height=size[1], z=-0.06, foot=foot)
    return join([pole, board])
