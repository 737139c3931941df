"""Storage tanks seen from above. Colours are BGR."""

from __future__ import annotations

import cv2
import numpy as np

from explorer.data.aerial.paints import TANKS, choose
from explorer.data.aerial.pen import Colour, Light, Pen, Sprite, disc, shaded
from explorer.types import Array


def storage_tank(rng: np.random.Generator, px_per_m: float, light: Light, diameter: float | None = None) -> Sprite:
    """Draws an upright cylindrical tank with a cone roof or a floating one; its wall shows on the camera's far side."""
    diameter = float(rng.uniform(10, 45)) if diameter is None else diameter
    radius = diameter / 2
    height = float(np.clip(diameter * rng.uniform(0.35, 0.6), 5, 16))
    lean = np.array(light.tilt) * height
    pen = Pen(diameter + 2 * abs(lean[0]), diameter + 2 * abs(lean[1]), px_per_m, light)
    paint = choose(rng, TANKS, 0.06)
    ground = disc(0, 0, radius, points=72)
    wall = cv2.convexHull(np.concatenate([ground, ground + lean]).astype(np.float32))[:, 0]
    pen.body(wall, shaded(paint, 0.62))
    top = ground + lean
    pen.fill(top, shaded(paint, 1.06))
    (_floating_roof if rng.random() < 0.45 else _cone_roof)(rng, pen, lean, radius, paint)
    steps = rng.uniform(0, 2 * np.pi)
    arc = np.linspace(steps, steps + 0.9, 8)
    pen.line(np.stack([np.cos(arc), np.sin(arc)], axis=1) * (radius * 0.985) + lean, 0.5, shaded(paint, 0.5))
    return pen.sprite(height, base=ground)


def _cone_roof(rng: np.random.Generator, pen: Pen, centre: Array, radius: float, paint: Colour) -> None:
    sun = np.arctan2(pen.light.sun[1], pen.light.sun[0])
    sectors = 36
    for k in range(sectors):
        a = 2 * np.pi * np.array([k, k + 1.03]) / sectors
        gain = 0.94 + 0.13 * np.cos(a.mean() - sun)
        rim = np.stack([np.cos(a), np.sin(a)], axis=1) * (radius * 0.95) + centre
        pen.fill(np.concatenate([[centre], rim]), shaded(paint, float(gain)))
    for a in np.arange(0, 2 * np.pi, np.pi / 6) + rng.uniform(0, 1):
        pen.line(
            [tuple(centre), tuple(centre + radius * 0.94 * np.array([np.cos(a), np.sin(a)]))], 0.12, shaded(paint, 0.82)
        )
    pen.raised(disc(centre[0], centre[1], 0.05 * radius + 0.3, points=16), 0.8, shaded(paint, 0.75))


def _floating_roof(rng: np.random.Generator, pen: Pen, centre: Array, radius: float, paint: Colour) -> None:
    sunk = rng.uniform(0.5, 5)
    inner = disc(centre[0], centre[1], radius * 0.94, points=72)
    pen.fill(inner, shaded(paint, 0.5))
    lit = np.array(pen.light.shadow) * sunk * 0.8
    shift = lit * min(1.0, 0.5 * radius / (np.hypot(*lit) + 1e-6))
    mask = np.zeros((2, *pen.alpha.shape), np.uint8)
    for layer, outline in zip(mask, (inner, inner + shift), strict=True):
        cv2.fillPoly(layer, [np.round(pen.px(outline)).astype(np.int32)], (255,), cv2.LINE_AA)
    deck = shaded(paint, rng.uniform(0.8, 1.0))
    weight = (cv2.min(mask[0], mask[1]).astype(np.float32) / 255)[..., None]
    pen.bgr[:] = (pen.bgr * (1 - weight) + np.array(deck, np.float32) * weight).astype(np.uint8)
    pen.line(disc(centre[0], centre[1], radius * 0.72), 0.3, shaded(deck, 0.8))
    a = rng.uniform(0, 2 * np.pi)
    end = centre + radius * 0.9 * np.array([np.cos(a), np.sin(a)])
    pen.line([tuple(centre), tuple(end)], 0.9, shaded(deck, 0.6))
