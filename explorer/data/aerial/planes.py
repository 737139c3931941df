"""Planes seen from above: airliners and propeller planes. Colours are BGR."""

from __future__ import annotations

import cv2
import numpy as np

from explorer.data.aerial.paints import ACCENTS, FUSELAGES, GLASS, LIGHT_AIRCRAFT, choose
from explorer.data.aerial.pen import Colour, Light, Pen, Sprite, box, moved, rounded, shaded
from explorer.types import Array

_AIRLINER_FROM_M, _WIDE_BODY_FROM_M = 20, 50


def plane(rng: np.random.Generator, px_per_m: float, light: Light, length: float) -> Sprite:
    """Draws a plane of that length: an airliner from 20 m, below that a propeller plane with straight wings."""
    return (_airliner if length >= _AIRLINER_FROM_M else _propeller_plane)(rng, px_per_m, light, length)


def _fuselage(length: float, radius: float) -> Array:
    half = length / 2
    t = np.linspace(np.pi / 2, 0, 9)
    nose = np.stack([half - 2.6 * radius + 2.6 * radius * np.cos(t), radius * np.sin(t)], axis=1)
    upper = np.concatenate([[(-half, 0.12 * radius), (-half + 0.28 * length, radius)], nose])
    return np.concatenate([upper, upper[::-1] * (1, -1)])


def _wing(root: float, chord: float, span: float, sweep: float, tip: float, foot: float) -> Array:
    """Both wings as one polygon: leading edge at `root` on the axis, swept back by `sweep` at tips of chord `tip`."""
    out = span / 2
    upper = np.array(
        [(root, 0), (root - sweep, out), (root - sweep - tip, out), (root - chord * 0.92, foot), (root - chord, 0)]
    )
    return np.concatenate([upper, upper[::-1] * (1, -1)])


def _airliner(rng: np.random.Generator, px_per_m: float, light: Light, length: float) -> Sprite:
    wide = length > _WIDE_BODY_FROM_M
    span, radius = length * float(rng.uniform(0.88, 1.0)), length * (0.047 if wide else 0.05)
    paint, accent = choose(rng, FUSELAGES, 0.05), choose(rng, ACCENTS)
    pen = Pen(length, span, px_per_m, light, margin_m=1)
    engines = [(0.07, 0.17)] if not wide or rng.random() < 0.6 else [(0.07, 0.16), (-0.01, 0.29)]
    engine_paint = accent if rng.random() < 0.4 else shaded(paint, 0.93)
    for x, y in engines:
        _engines(pen, x * length, y * span, 0.07 * length, 0.5 * radius, engine_paint)
    metal = shaded(paint, float(rng.uniform(0.78, 0.9)))
    pen.body(_wing(0.13 * length, 0.25 * length, span, 0.25 * length, 0.035 * length, 0.16 * span), metal)
    flaps = [(-0.03 * length, 0.1 * span), (-0.135 * length, 0.46 * span)]
    pen.line(flaps, 0.25, shaded(metal, 0.75), mirrored=True)
    slats = [(0.1 * length, 0.05 * span), (-0.115 * length, 0.48 * span)]
    pen.line(slats, 0.4, shaded(metal, 1.12), mirrored=True)
    pen.body(_wing(-0.37 * length, 0.11 * length, 0.36 * span, 0.085 * length, 0.03 * length, 0.04 * span), metal)
    body = _fuselage(length, radius)
    pen.darken(body + np.array(light.shadow) * radius * 0.9, 0.4, 0.2)
    pen.body(body, paint)
    _round_body(pen, body, radius)
    _livery(rng, pen, length, radius, accent)
    return pen.sprite(0.1 * length, on_legs=True)


def _engines(pen: Pen, x: float, y: float, behind: float, radius: float, paint: Colour) -> None:
    """Draws one engine under each wing, its intake half as far ahead of `x` as its nozzle is behind."""
    for side in (-1, 1):
        ahead = x + behind / 2
        pen.body(moved(rounded(x - behind, ahead, radius, 0.4 * radius, 0.5 * radius), 0, side * y), paint)
        pen.fill(moved(box(ahead - 0.2 * behind, ahead, -radius, radius), 0, side * y), (60, 60, 60))


def _round_body(pen: Pen, body: Array, radius: float) -> None:
    """Shades the fuselage like a tube."""
    mask = np.zeros(pen.alpha.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(pen.px(body)).astype(np.int32)], (1,))
    _, y = pen.grid()
    height = np.clip(y / radius, -1, 1)
    pen.gain(np.where(mask > 0, 1 - 0.32 * height**2 + 0.16 * height * pen.light.sun[1], 1))


def _livery(rng: np.random.Generator, pen: Pen, length: float, radius: float, accent: Colour) -> None:
    """Draws the cockpit windows and the fin, sometimes a coloured tail."""
    half = length / 2
    windows = [(-1.0, 0.1), (-1.0, 0.62), (-1.5, 0.8), (-1.35, 0.1)]
    pen.fill([(half + x * radius, y * radius) for x, y in windows], GLASS, mirrored=True)
    root, tip = -half + 0.06 * length, 0.13 * radius
    fin = [(-0.3 * length, 0), (root, tip), (-half, 0.2 * radius), (-half, -0.2 * radius), (root, -tip)]
    pen.darken(np.array(fin) + np.array(pen.light.shadow) * radius * 1.2, 0.3)
    pen.fill(fin, accent)
    if rng.random() < 0.35:
        pen.fill(box(-0.36 * length, -0.24 * length, -0.8 * radius, 0.8 * radius), accent)


def _propeller_plane(rng: np.random.Generator, px_per_m: float, light: Light, length: float) -> Sprite:
    span, radius, half = length * float(rng.uniform(1.2, 1.45)), 0.075 * length, length / 2
    paint, accent = choose(rng, LIGHT_AIRCRAFT, 0.05), choose(rng, ACCENTS)
    pen = Pen(length, span, px_per_m, light, margin_m=0.4)
    pen.body(_fuselage(length, radius), paint)
    pen.fill(rounded(0.3 * half, 0.62 * half, 0.8 * radius, 0.1, 0.1), GLASS)
    pen.body(rounded(-half, -half + 0.13 * length, 0.19 * span, 0.05, 0.1 * length), shaded(paint, 0.95))
    pen.fill(box(-half, -half + 0.05 * length, -0.19 * span, 0.19 * span), accent)
    wing = _wing(0.2 * length, 0.17 * length, span, 0.02 * length, 0.13 * length, 0.1 * span)
    pen.darken(wing + np.array(light.shadow) * 0.5, 0.3)
    pen.body(wing, shaded(paint, 1.04))
    pen.fill(box(0.03 * length, 0.2 * length, 0.42 * span, 0.5 * span), accent, mirrored=True)
    pen.line([(0.06 * length, 0.1 * span), (0.06 * length, 0.4 * span)], 0.06, shaded(paint, 0.72), mirrored=True)
    pen.body(box(half - 0.16, half + 0.02, -0.13 * length, 0.13 * length), (70, 70, 74))
    pen.fill(box(-half, -0.2 * length, -0.1, 0.1), accent)
    return pen.sprite(1.8, on_legs=True)
