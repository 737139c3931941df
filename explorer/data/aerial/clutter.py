"""What stands about and is not labelled: trees, houses, halls. It hides things and throws shadows. Colours are BGR."""

from __future__ import annotations

import cv2
import numpy as np

from explorer.data.aerial.paints import FLAT_ROOFS, FREIGHT, LEAVES, TILES, choose
from explorer.data.aerial.pen import Colour, Light, Pen, Sprite, box, disc, moved, shaded
from explorer.data.aerial.textures import grain
from explorer.types import Array


def tree(rng: np.random.Generator, px_per_m: float, light: Light) -> Sprite:
    """Draws a canopy of overlapping tufts, bright on the sunny side, 3 to 9 metres across."""
    radius = float(rng.uniform(1.6, 4.4))
    pen = Pen(2.4 * radius, 2.4 * radius, px_per_m, light)
    leaf = choose(rng, LEAVES, 0.2)
    sun = np.array(light.sun)
    pen.body(disc(0, 0, 0.75 * radius, points=18) + rng.normal(0, 0.04 * radius, (18, 2)), shaded(leaf, 0.6))
    tufts = int(np.clip(radius * px_per_m * 1.2, 8, 46))
    angle, reach = rng.uniform(0, 2 * np.pi, tufts), radius * 0.85 * np.sqrt(rng.uniform(0, 1, tufts))
    centres = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
    order = np.argsort(centres @ sun)
    for x, y in centres[order]:
        lit = 0.95 + 0.45 * float((np.array([x, y]) @ sun) / radius) + rng.uniform(-0.16, 0.16)
        size = radius * rng.uniform(0.16, 0.3)
        pen.body(disc(x, y, size, points=9), shaded(leaf, lit * 0.8))
        pen.fill(disc(x + 0.3 * size * sun[0], y + 0.3 * size * sun[1], 0.6 * size, points=8), shaded(leaf, lit * 1.2))
    return pen.sprite(rng.uniform(1.2, 1.9) * radius, base=disc(0, 0, 0.85 * radius, points=16))


def _tiled(pen: Pen, rng: np.random.Generator, strength: float, turn: float) -> None:
    texture = grain(rng, "brick", (pen.alpha.shape[0], pen.alpha.shape[1]), max(0.22, pen.px_per_m / 130), turn)
    pen.gain(1 + strength * np.clip(texture, -2, 2))


def _standing(
    length: float, width: float, height: float, px_per_m: float, light: Light, wall: Colour
) -> tuple[Pen, Array]:
    """Starts a building: its walls; returns the pen and the displacement of the roof."""
    lean = np.array(light.tilt) * height
    pen = Pen(length + 2 * abs(lean[0]), width + 2 * abs(lean[1]), px_per_m, light)
    floor = box(-length / 2, length / 2, -width / 2, width / 2)
    pen.body(cv2.convexHull(np.concatenate([floor, floor + lean]).astype(np.float32))[:, 0], wall)
    return pen, lean


def house(rng: np.random.Generator, px_per_m: float, light: Light) -> Sprite:
    """Draws a house of 9 to 16 metres with a gabled or hipped roof of tiles."""
    length, width = rng.uniform(9, 16), rng.uniform(7.5, 10)
    pen, lean = _standing(length, width, 3.2, px_per_m, light, shaded((190, 200, 206), rng.uniform(0.5, 0.9)))
    tile = choose(rng, TILES, 0.15)
    x, y = length / 2 + 0.4, width / 2 + 0.4
    hip = rng.choice([0.0, 0.5 * width])
    ridge = [(-x + hip, 0.0), (x - hip, 0.0)]
    slopes = [
        ([(-x, y), (x, y), ridge[1], ridge[0]], (0, 1)),
        ([(-x, -y), (x, -y), ridge[1], ridge[0]], (0, -1)),
        ([(-x, -y), (-x, y), ridge[0]], (-1, 0)),
        ([(x, -y), (x, y), ridge[1]], (1, 0)),
    ]
    pen.body(box(-x, x, -y, y) + lean, tile)
    for slope, facing in slopes:
        gain = 0.92 + 0.26 * (facing[0] * light.sun[0] + facing[1] * light.sun[1])
        pen.fill(np.array(slope) + lean, shaded(tile, gain))
    _tiled(pen, rng, 0.07, 0.0)
    pen.line(np.array(ridge) + lean, 0.2, shaded(tile, 1.25))
    if rng.random() < 0.6:
        u, v = rng.uniform(-0.3, 0.3) * length, rng.uniform(-0.2, 0.2) * width
        pen.raised(moved(box(-0.4, 0.4, -0.4, 0.4), u, v) + lean, 1.5, (70, 80, 110))
    if rng.random() < 0.2:
        v = 0.25 * width * (1 if light.sun[1] > 0 else -1)
        panels = moved(box(-0.25 * length, 0.25 * length, -0.13 * width, 0.13 * width), 0, v) + lean
        pen.fill(panels, (88, 52, 32))
    return pen.sprite(6.0, base=box(-length / 2, length / 2, -width / 2, width / 2))


def hall(rng: np.random.Generator, px_per_m: float, light: Light, length: float, width: float) -> Sprite:
    """Draws a flat-roofed building with a parapet, roof units and skylights."""
    height = float(rng.uniform(6, 14))
    roof = choose(rng, FLAT_ROOFS)
    pen, lean = _standing(length, width, height, px_per_m, light, shaded(roof, rng.uniform(0.45, 0.7)))
    x, y = length / 2, width / 2
    pen.fill(box(-x, x, -y, y) + lean, shaded(roof, 1.1))
    pen.fill(box(-x + 0.5, x - 0.5, -y + 0.5, y - 0.5) + lean, roof)
    inner = box(-x + 0.5, x - 0.5, -y + 0.5, y - 0.5) + lean
    stains = grain(rng, "gravel", (pen.alpha.shape[0], pen.alpha.shape[1]), 0.5)
    pen.gain(1 + 0.035 * stains)
    if rng.random() < 0.5:
        for u in np.arange(inner[:, 0].min() + 2, inner[:, 0].max() - 1, rng.uniform(3, 7)):
            pen.line([(u, inner[0, 1]), (u, inner[2, 1])], 0.18, shaded(roof, 0.82))
    for _ in range(int(np.clip(length * width / 110, 2, 14))):
        u, v = rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.36, 0.36) * width
        size = rng.uniform(0.6, 1.7)
        unit = moved(box(-size, size, -0.7 * size, 0.7 * size), u, v) + lean
        pen.raised(unit, 1.4, shaded((196, 198, 198), rng.uniform(0.7, 1.15)))
        pen.fill(disc(u + lean[0], v + lean[1], 0.4 * size, points=12), (90, 90, 92))
    return pen.sprite(height, base=box(-x, x, -y, y))


def container(rng: np.random.Generator, px_per_m: float, light: Light) -> Sprite:
    """Draws a shipping container of forty feet."""
    paint = choose(rng, FREIGHT, 0.15)
    pen = Pen(12.2, 2.45, px_per_m, light, margin_m=0.1)
    pen.body(box(-6.1, 6.1, -1.22, 1.22), paint)
    for x in np.arange(-5.5, 6, 1.1):
        pen.line([(x, -1.2), (x, 1.2)], 0.25, shaded(paint, 0.85))
    return pen.sprite(5.0)
