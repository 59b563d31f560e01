# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The world of the street clip: blocks of houses with traffic, drawn up from a seed by distance.

A block is made only from (seed, its number), so any moment can be reached without those before.
"""

from collections.abc import Callable
from dataclasses import dataclass
import functools
from typing import Final

import numpy as np

from vidseg_ros.core import street_figures as figures
from vidseg_ros.core import street_textures as paint
from vidseg_ros.core.street_figures import CAR_WIDTH, join, Person, piece, Shape, upright
from vidseg_ros.core.street_textures import Rng, Texture

BLOCK: Final = 60.0
"""Length of a block, metres."""
TILE: Final = 12.0
"""Length of a piece of road, metres; a junction is one long."""
SIGHT: Final = 120.0
"""Things further ahead than this many metres are left out."""
KERB: Final = 5.6
"""Half of the road's width, metres."""
FRONT: Final = 9.6
"""Distance of the houses from the middle of the road, metres."""
STEP: Final = 0.12
"""Height of the sidewalk over the road, metres."""
END: Final = 1e5
"""Where the road ends, metres."""

BACKDROP: Final = 2
"""The first pieces of a scene that lie at infinity: sky and skyline."""

Actor = Callable[[float], Shape]
"""Something that moves: its shape at a time in seconds."""


@dataclass(frozen=True, kw_only=True)
class Drive:
    """How the camera moves.

    Attributes:
        speed: Mean speed, m/s.
        surge: How far it runs ahead and falls back, metres.
        pace: How fast it does, rad/s.
        phase: Where in that it begins, rad.
        lane: Mean place across the road, metres from its middle.
        height: Camera height over the road, metres.
    """

    speed: float
    surge: float
    pace: float
    phase: float
    lane: float
    height: float

    @classmethod
    def drawn(cls, rng: Rng) -> 'Drive':
        """Return a random drive in the right-hand lane."""
        speed = rng.uniform(5.0, 12.0)
        pace = rng.uniform(0.2, 0.5)
        return cls(
            speed=speed,
            surge=0.4 * speed / pace * rng.uniform(0.1, 1.0),
            pace=pace,
            phase=rng.uniform(0, 2 * np.pi),
            lane=rng.uniform(1.5, 2.0),
            height=rng.uniform(1.2, 1.9),
        )

    def distance(self, time: float) -> float:
        """Return how far along the road the camera is after so many seconds, metres."""
        wave = np.sin(self.pace * time + self.phase) - np.sin(self.phase)
        return float(self.speed * time + self.surge * wave)

    def position(self, time: float) -> tuple[float, float, float]:
        """Return where the camera is, metres."""
        sway = 0.25 * np.sin(0.7 * time + self.phase)
        bounce = 0.012 * np.sin(7.3 * time)
        return float(self.lane + sway), float(bounce - self.height), self.distance(time)

    def attitude(self, time: float) -> tuple[float, float]:
        """Return the camera's (yaw right, pitch down), rad."""
        yaw = 0.03 * np.sin(0.41 * time + 2 * self.phase) + 0.012 * np.cos(0.7 * time)
        return float(yaw), float(0.004 * np.sin(5.1 * time) + 0.003 * np.sin(1.3 * time))

    def arrival(self, distance: float) -> float:
        """Return when the camera gets there, seconds."""
        time = distance / self.speed
        for _ in range(20):
            time += (distance - self.distance(time)) / (1.4 * self.speed)
        return time


class Look:
    """The textures that a clip's blocks choose from."""

    def __init__(self, rng: Rng) -> None:
        """Paint them."""
        grey = int(rng.integers(68, 120))
        self.road_color = (grey, grey, grey + 4)
        light = int(rng.integers(120, 178))
        slab = (light, light - int(rng.integers(0, 10)), light - int(rng.integers(2, 22)))
        leaf = ((62, 98, 44), (84, 116, 48), (48, 82, 52), (150, 110, 44))[rng.integers(4)]
        self.facades = [
            (Texture(paint.facade(rng, floors, bays)), floors, bays)
            for floors, bays in zip(
                rng.integers(2, 8, 7).tolist(), rng.integers(3, 7, 7).tolist(), strict=True
            )
        ]
        self.walls = [
            Texture(paint.surface(rng, 128, 128, paint.pick(rng, paint.WALLS), 7)) for _ in '123'
        ]
        self.trees = [Texture(paint.tree(rng, leaf)) for _ in range(4)]
        self.hedge = Texture(paint.hedge(rng, leaf))
        self.lanes = [Texture(paint.road(rng, self.road_color, 'lane')) for _ in '123']
        self.zebra = Texture(paint.road(rng, self.road_color, 'zebra'))
        self.pavement = Texture(paint.pavement(rng, slab))
        self.kerb = figures.plain((150, 148, 142))
        self.asphalt = figures.plain(self.road_color)
        self.earth = figures.plain(slab)
        steel = int(rng.integers(50, 150))
        self.steel = figures.plain((steel, steel, steel))
        kinds = ('limit', 'warning', 'blue', 'board', 'light')
        self.signs = {kind: Texture(paint.sign(rng, kind)) for kind in kinds}
        self.cars = [figures.car(rng) for _ in range(8)]
        self.cyclists = [figures.cyclist(rng) for _ in range(3)]
        self.people = [Person(rng) for _ in range(8)]
        self.parked = rng.uniform(0.2, 0.85)
        self.planted = rng.uniform(0.15, 0.8)

    def car(self, rng: Rng) -> Shape:
        """Return one of the cars."""
        return self.cars[rng.integers(len(self.cars))]

    def person(self, rng: Rng) -> Person:
        """Return one of the people."""
        return self.people[rng.integers(len(self.people))]


def _ground(look: Look, rng: Rng, near: float, *, junction: bool) -> list[Shape]:
    """Return the road and sidewalks of a block that starts at near."""
    parts = []
    for tile in range(5):
        start = near + tile * TILE
        crossing = junction and tile == 4
        top = look.zebra if crossing else look.lanes[rng.integers(3)]
        parts.append(piece(top, 'road', (-KERB, 0, start), (2 * KERB, 0, 0), (0, 0, TILE)))
        for side in (-1, 1):
            edge, wide = side * KERB, side * (FRONT - KERB + 3)
            if crossing:
                across, corner = (side * 80.0, 0.0, 0.0), (edge, -STEP, start + TILE)
                kerb = piece(look.kerb, 'sidewalk', corner, across, (0, STEP, 0))
                flat = piece(look.asphalt, 'road', (edge, 0, start), across, (0, 0, TILE))
            else:
                corner = (edge, -STEP, start)
                kerb = piece(look.kerb, 'sidewalk', corner, (0, 0, TILE), (0, STEP, 0))
                flat = piece(look.pavement, 'sidewalk', corner, (wide, 0, 0), (0, 0, TILE))
            parts += [flat, kerb]
    return parts


def _houses(look: Look, rng: Rng, side: int, near: float, far: float) -> list[Shape]:
    """Return a row of house fronts with their end walls, or now and then a park."""
    if rng.random() < 0.15:
        tall, line = rng.uniform(1.2, 3.0), side * (FRONT + 1.5)
        parts = [piece(look.hedge, 'tree', (line, -tall, z), (0, 0, 12), (0, tall, 0))
                 for z in np.arange(near, far - 6, 12)]  # fmt: skip
        parts.append(upright(look.hedge, 'tree', width=20, height=tall, x=line + side * 10,
                             z=near))  # fmt: skip
        for z in np.arange(near + 2, far, 4.5):
            trunk = look.trees[rng.integers(4)]
            across = side * (FRONT + rng.uniform(3, 9))
            parts.append(figures.tree(trunk, rng.uniform(6, 11)).placed(across, z))
        return parts
    parts = []
    while near < far - 4:
        front, floors, bays = look.facades[rng.integers(len(look.facades))]
        wide = min(bays * rng.uniform(2.4, 3.2), far - near)
        wide = far - near if far - near - wide < 6 else wide
        tall = floors * rng.uniform(2.9, 3.4)
        line = side * (FRONT + rng.choice((0.0, 0.0, 0.8, 1.6)))
        parts.extend(
            (
                piece(front, 'building', (line, -tall, near), (0, 0, wide), (0, tall, 0)),
                upright(
                    look.walls[rng.integers(3)],
                    'building',
                    width=26,
                    height=tall,
                    x=line + side * 13,
                    z=near,
                ),
            )
        )
        near += wide + (rng.uniform(1.5, 5) if rng.random() < 0.15 else 0.0)
    return parts


def _kerbside(look: Look, rng: Rng, side: int, near: float, far: float) -> list[Shape]:
    """Return what stands still at the kerb: trees, lamps, parked cars, signs."""
    parts, post = [], side * (KERB + 0.5)
    for z in np.arange(near + 4, far - 3, 8):
        if rng.random() < look.planted:
            crown = figures.tree(look.trees[rng.integers(4)], rng.uniform(4.5, 8.5))
            parts.append(crown.placed(side * (KERB + 1.1), z + rng.uniform(-1, 1), 0, -STEP))
    for z in np.arange(near + 1.5, far, 25):
        lamp = figures.lamp_post(look.steel, -side * 1.8)
        parts.append(lamp.placed(post, z, 0, -STEP))
    for z in np.arange(near + 3, far - 5, 5.8):
        if rng.random() < look.parked:
            place = side * (KERB - 1.05 + rng.uniform(-0.1, 0.1))
            turn = rng.normal(0, 0.02) + (np.pi if side < 0 else 0)
            parts.append(look.car(rng).placed(place, z + rng.uniform(0, 0.6), turn))
    for z in rng.uniform(near + 4, far - 4, rng.integers(1, 3)):
        face = look.signs[('limit', 'warning', 'blue')[rng.integers(3)]]
        wide = rng.uniform(0.6, 0.85)
        sign = figures.sign_post(look.steel, face, (wide, wide), 2.1)
        parts.append(sign.placed(post, z, 0, -STEP))
    return parts


def _corner(look: Look, rng: Rng, far: float, *, junction: bool) -> list[Shape]:
    """Return what stands at the end of a block: traffic lights, or now and then a sign board."""
    if not junction:
        board = figures.sign_post(look.steel, look.signs['board'], (2.2, 1.3), 3.0)
        return [board.placed(KERB + 1.3, far - 6, 0, -STEP)] if rng.random() < 0.5 else []
    light = figures.sign_post(look.steel, look.signs['light'], (0.36, 0.95), 2.6)
    parts = [light.placed(side * (KERB + 0.4), far - 0.4, 0, -STEP) for side in (-1, 1)]
    if rng.random() < 0.6:
        parts.append(look.car(rng).placed(FRONT + 3, far + 9, -np.pi / 2))
    return parts


def _walker(person: Person, start: tuple[float, float], pace: tuple[float, float],
            since: float) -> Actor:  # fmt: skip
    """Return somebody who is at start at the time since; across the road they stop at its edge."""

    def shape(time: float) -> Shape:
        step = time - since
        edge = KERB + 1.2
        x = float(np.clip(start[0] + pace[0] * step, -edge, edge)) if pace[0] else start[0]
        foot = STEP if abs(x) > KERB else 0.0
        return person.shape(x, start[1] + pace[1] * step, (x - start[0], pace[1] * step), foot)

    return shape


def _rider(shape: Shape, x: float, start: float, pace: float, since: float) -> Actor:
    """Return a vehicle that is start metres along the road at the time since."""
    heading = np.pi if pace < 0 else 0.0
    return lambda time: shape.placed(x, start + pace * (time - since), heading)


class World:
    """All there is along the road.

    Args:
        seed: What everything follows from.
    """

    def __init__(self, seed: int) -> None:
        """Draw the camera's way and the textures."""
        rng = np.random.default_rng((seed, 0))
        self._seed = seed
        self.drive = Drive.drawn(rng)
        self._look = Look(rng)
        sky, self.haze = paint.sky(rng)
        far = tuple(int(0.86 * channel) for channel in self.haze)
        towers = paint.skyline(rng, (far[0], far[1], far[2]))
        # directions, not places: see `backdrop`
        self.backdrop = join(
            [
                piece(Texture(sky), 'sky', (-4, -3, 1), (8, 0, 0), (0, 4, 0)),
                piece(Texture(towers), 'building', (-3, -0.1, 1), (6, 0, 0), (0, 0.12, 0)),
            ]
        )
        """Two pieces at infinity: their points are directions from wherever the camera is."""
        self._plain = join(
            [
                piece(self._look.earth, 'sidewalk', (-500, 0.04, -100), (1000, 0, 0), (0, 0, END)),
                piece(self._look.asphalt, 'road', (-KERB, 0.02, -100), (2 * KERB, 0, 0),
                      (0, 0, END)),
            ]
        )  # fmt: skip
        self._lead = self._look.car(rng) if rng.random() < 0.5 else None
        self._gap = (rng.uniform(14, 22), rng.uniform(2, 6))
        self._block = functools.lru_cache(maxsize=8)(self._make_block)

    def shapes(self, time: float, since: float) -> list[Shape]:
        """Return what is around the camera at the time since, placed as at the given time.

        Asking for two times with one since gives the same pieces in the same order.
        """
        here = self.drive.distance(since)
        first, last = int((here - 8) // BLOCK), int((here + SIGHT) // BLOCK)
        shapes = [self._plain]
        for number in range(first, last + 1):
            still, actors = self._block(number)
            shapes.append(still)
            shapes.extend(actor(time) for actor in actors)
        if self._lead is not None:
            gap = self._gap[0] + self._gap[1] * np.sin(0.3 * time)
            x = self.drive.lane + 0.2 * np.sin(0.5 * time)
            shapes.append(self._lead.placed(x, self.drive.distance(time) + gap))
        return shapes

    def _make_block(self, number: int) -> tuple[Shape, tuple[Actor, ...]]:
        """Return what stands still in a block, and what moves."""
        rng = np.random.default_rng((self._seed, 1000 + number))
        near = number * BLOCK
        junction = bool(rng.random() < 0.45)
        far = near + BLOCK - (TILE if junction else 0.0)
        parts = _ground(self._look, rng, near, junction=junction)
        for side in (-1, 1):
            parts += _houses(self._look, rng, side, near, far)
            parts += _kerbside(self._look, rng, side, near, far)
        parts += _corner(self._look, rng, far, junction=junction)
        return join(parts), tuple(self._actors(rng, near, far, junction=junction))

    def _actors(self, rng: Rng, near: float, far: float, *, junction: bool) -> list[Actor]:
        """Return the people and vehicles that the camera meets in a block."""
        actors, look, arrival = [], self._look, self.drive.arrival
        for _ in range(rng.integers(4, 11)):  # along the sidewalks
            z, side = rng.uniform(near, far), rng.choice((-1.0, 1.0))
            pace = rng.choice((-1.3, 0.0, 1.2)) * rng.uniform(0.8, 1.2)
            place = (side * (KERB + rng.uniform(0.7, 3.4)), z)
            actors.append(_walker(look.person(rng), place, (0.0, pace), arrival(z)))
        headway = self._gap[0] + self._gap[1] if self._lead is not None else 0.0
        lines = [far + 2.4] * 4 if junction else rng.uniform(near + 15, far, 2).tolist()
        for z in lines:  # over the road, out of the lane before anybody drives there
            way = rng.choice((-1.0, 1.0))
            clear = (self.drive.lane + way * rng.uniform(2.0, 3.2), z + rng.uniform(-0.6, 0.6))
            pace = way * rng.uniform(1.0, 1.6)
            actors.append(_walker(look.person(rng), clear, (pace, 0.0), arrival(z - headway - 3)))
        for way in (-1, 1):  # cyclists between lane and parked cars
            z = rng.uniform(near, far)
            bike = look.cyclists[rng.integers(3)]
            x = way * (KERB - 2.1 - 0.4)
            pace = way * rng.uniform(0.3, 0.6) * self.drive.speed
            actors.append(_rider(bike, x, z, pace, arrival(z)))
        for _ in range(rng.integers(0, 3)):  # cars in the other lane
            z = near + rng.uniform(0, BLOCK)
            x = -(CAR_WIDTH / 2 + 0.8)
            pace = -self.drive.speed * rng.uniform(0.8, 1.2)
            actors.append(_rider(look.car(rng), x, z, pace, arrival(z)))
        return actors
