"""Putting things and clutter on a canvas, if they would be seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from explorer.data.aerial import clutter, planes, ships, tanks, vehicles
from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.categories import stuff_id
from explorer.data.aerial.pen import Sprite, Vector

_DRAW: dict[str, Callable[..., Sprite]] = {
    "car": vehicles.car,
    "truck": vehicles.truck,
    "bus": vehicles.bus,
    "plane": planes.plane,
    "ship": ships.ship,
    "storage tank": tanks.storage_tank,
}
_REACH_M = {"car": 3.5, "truck": 10.0, "bus": 10.0, "plane": 50.0, "ship": 100.0, "storage tank": 45.0}


def rows(low: float, high: float, through: float, pitch: float) -> list[float]:
    """Returns evenly spaced positions between `low` and `high`, one of them at `through`."""
    before = np.floor((through - low) / pitch)
    return [float(position) for position in np.arange(through - pitch * before, high, pitch)]


def put_thing(
    canvas: Canvas, category: str, xy: Vector, heading: float, crowd: int | None = None, **details: float
) -> None:
    """Queues a thing at a world position, unless it is out of sight."""
    if canvas.sees(xy, _REACH_M[category]):
        light = canvas.light.turned(canvas.heading + heading)
        sprite = _DRAW[category](canvas.rng, canvas.px_per_m, light, **details)
        canvas.put(sprite, xy, heading, category, crowd)


def put_house(canvas: Canvas, xy: Vector, heading: float) -> None:
    """Queues a house."""
    if canvas.sees(xy, 15):
        light = canvas.light.turned(canvas.heading + heading)
        canvas.put(clutter.house(canvas.rng, canvas.px_per_m, light), xy, heading)


def put_hall(canvas: Canvas, xy: Vector, heading: float, length: float, width: float) -> None:
    """Queues a flat-roofed building."""
    if canvas.sees(xy, float(np.hypot(length, width)) / 2 + 8):
        light = canvas.light.turned(canvas.heading + heading)
        canvas.put(clutter.hall(canvas.rng, canvas.px_per_m, light, length, width), xy, heading)


def put_container(canvas: Canvas, xy: Vector, heading: float) -> None:
    """Queues a shipping container, unlabelled."""
    if canvas.sees(xy, 8):
        light = canvas.light.turned(canvas.heading + heading)
        canvas.put(clutter.container(canvas.rng, canvas.px_per_m, light), xy, heading)


class Grove:
    """A few canopies, each drawn once and planted many times over."""

    def __init__(self, canvas: Canvas, kinds: int = 6) -> None:
        self.canvas = canvas
        self._kinds = kinds
        self._sprites: dict[int, Sprite] = {}

    def plant(self, xy: Vector) -> None:
        """Queues one tree."""
        canvas = self.canvas
        if not canvas.sees(xy, 6):
            return
        kind = int(canvas.rng.integers(self._kinds))
        if kind not in self._sprites:
            self._sprites[kind] = clutter.tree(canvas.rng, canvas.px_per_m, canvas.light.turned(canvas.heading))
        canvas.put(self._sprites[kind], xy, float(canvas.rng.normal(0, 0.25)))

    def scatter(self, count: int, clumps: int = 0, on: str = "grass") -> None:
        """Queues about `count` trees where the ground is `on`, evenly or in clumps."""
        rng, reach = self.canvas.rng, self.canvas.radius_m
        centres = rng.uniform(-reach, reach, (max(clumps, 1), 2))
        for _ in range(count):
            if clumps:
                centre = centres[int(rng.integers(clumps))]
                spot = centre + rng.normal(0, 0.12 * reach + 4, 2)
            else:
                spot = rng.uniform(-reach, reach, 2)
            xy = (float(spot[0]), float(spot[1]))
            if self.canvas.stuff_at(xy) == stuff_id(on):
                self.plant(xy)
