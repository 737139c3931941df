"""Ships seen from above, from motor boats to container ships. Colours are BGR."""

from __future__ import annotations

import numpy as np

from explorer.data.aerial.paints import ACCENTS, BOATS, DECKS, FREIGHT, GLASS, HATCHES, HULLS, TEAK, WHITE, choose
from explorer.data.aerial.pen import Colour, Light, Pen, Sprite, box, disc, moved, rounded, shaded
from explorer.types import Array


def _hull(length: float, beam: float, bow: float, stern: float) -> Array:
    """A ship's outline: straight sides, a bow of `bow` metres that runs to a point, a rounded stern."""
    t = np.linspace(0, 1, 10)
    side = np.stack([length / 2 - bow + bow * t, beam / 2 * (1 - t**2.1)], axis=1)
    rear = [(-length / 2, beam / 2 * stern), (-length / 2 + 0.07 * length, beam / 2)]
    upper = np.concatenate([rear, side])
    return np.concatenate([upper, upper[::-1] * (1, -1)])


def ship(rng: np.random.Generator, px_per_m: float, light: Light, length: float | None = None) -> Sprite:
    """Draws a ship of about `length` metres: boats under 22, then tugs and ferries, cargo ships over 80."""
    length = float(rng.uniform(60, 180)) if length is None else length
    if length < 22:
        return _boat(rng, px_per_m, light, length)
    beam = length * rng.uniform(0.15, 0.18) if length > 80 else length * rng.uniform(0.2, 0.26)
    pen = Pen(length, beam, px_per_m, light, margin_m=0.5)
    pen.body(_hull(length, beam, 0.24 * length, 0.78), choose(rng, HULLS))
    deck = choose(rng, DECKS)
    rim = max(0.6, 0.045 * beam)
    pen.fill(_hull(length - 3 * rim, beam - 2 * rim, 0.24 * length, 0.78), deck)
    kind = "ferry" if length <= 80 else str(rng.choice(["container", "bulk", "tanker"], p=[0.5, 0.25, 0.25]))
    {"ferry": _ferry, "container": _container_ship, "bulk": _bulk_carrier, "tanker": _tanker}[kind](
        rng, pen, length, beam
    )
    return pen.sprite(min(0.06 * length + 2, 11))


def _bridge(rng: np.random.Generator, pen: Pen, x0: float, x1: float, half: float) -> None:
    pen.raised(box(x0, x1, -half, half), 9, shaded(WHITE, 0.92))
    pen.raised(box(x1 - 0.4 * (x1 - x0), x1, -1.08 * half, 1.08 * half), 2, WHITE)
    pen.line([(x1, -half), (x1, half)], 0.8, GLASS)
    middle = 0.75 * x0 + 0.25 * x1
    funnel = 0.22 * half
    pen.raised(box(middle - funnel, middle + funnel, -funnel, funnel), 4, choose(rng, ACCENTS))
    pen.fill(box(middle - 0.5 * funnel, middle + 0.5 * funnel, -0.5 * funnel, 0.5 * funnel), (40, 40, 40))


def _container_ship(rng: np.random.Generator, pen: Pen, length: float, beam: float) -> None:
    rear = -0.34 * length
    step, row = 13.2, 2.6
    rows = max(2, int(0.88 * beam / row))
    full = rng.uniform(0.7, 1.0)
    for x in np.arange(rear + 2, 0.3 * length - step, step + 1.2):
        reach = rows if x < 0.16 * length else max(2, rows - 2)
        cast = box(x, x + step, -reach * row / 2, reach * row / 2) + np.array(pen.light.shadow) * 4
        pen.darken(cast, 0.45)
        for k in range(reach):
            if rng.random() < full:
                y = (k - reach / 2) * row
                pen.fill(box(x, x + step, y + 0.06, y + row - 0.06), shaded(choose(rng, FREIGHT), 1.1))
    _bridge(rng, pen, rear - 0.06 * length, rear, 0.42 * beam)


def _bulk_carrier(rng: np.random.Generator, pen: Pen, length: float, beam: float) -> None:
    hatch = choose(rng, HATCHES)
    for x in np.linspace(-0.27, 0.27, 6) * length:
        pen.raised(box(x - 0.036 * length, x + 0.036 * length, -0.3 * beam, 0.3 * beam), 1.5, hatch)
        pen.line([(x, -0.3 * beam), (x, 0.3 * beam)], 0.5, shaded(hatch, 0.7))
    for x in (-0.215, 0.0, 0.215):
        pen.raised(box(x * length - 1.2, x * length + 1.2, -1.2, 1.2), 9, (60, 190, 225))
        pen.line([(x * length, 0), (x * length + 0.09 * length, 0.1 * beam)], 0.8, (60, 190, 225))
    _bridge(rng, pen, -0.44 * length, -0.35 * length, 0.42 * beam)


def _tanker(rng: np.random.Generator, pen: Pen, length: float, beam: float) -> None:
    pipe = (150, 160, 170)
    for y in (-0.06, 0, 0.06):
        pen.line([(-0.3 * length, y * beam), (0.36 * length, y * beam)], 0.6, pipe)
    for x in np.linspace(-0.25, 0.3, 7) * length:
        pen.line([(x, -0.36 * beam), (x, 0.36 * beam)], 0.4, shaded(pipe, 0.8))
        pen.fill(disc(x, 0.2 * beam, 0.035 * beam, points=12), (170, 176, 180), mirrored=True)
    pen.raised(box(-0.02 * length, 0.02 * length, -0.3 * beam, 0.3 * beam), 2, shaded(pipe, 0.9))
    pen.fill(disc(0.3 * length, 0, 0.16 * beam), (70, 140, 90))
    _bridge(rng, pen, -0.44 * length, -0.34 * length, 0.43 * beam)


def _ferry(rng: np.random.Generator, pen: Pen, length: float, beam: float) -> None:
    pen.fill(_hull(0.94 * length, 0.86 * beam, 0.24 * length, 0.9), shaded(WHITE, 0.86))
    pen.raised(rounded(-0.38 * length, 0.24 * length, 0.36 * beam, 0.04 * length, 0.1 * beam), 3, shaded(WHITE, 0.95))
    pen.raised(rounded(-0.3 * length, 0.16 * length, 0.28 * beam, 0.03 * length, 0.1 * beam), 3, WHITE)
    pen.fill(box(0.13 * length, 0.16 * length, -0.27 * beam, 0.27 * beam), GLASS)
    pen.raised(box(-0.2 * length, -0.1 * length, -0.12 * beam, 0.12 * beam), 4, choose(rng, ACCENTS))
    lifeboat = moved(rounded(-0.025 * length, 0.025 * length, 0.03 * beam, 0.2, 0.4), 0, 0.37 * beam)
    for x in np.linspace(-0.28, 0.1, 5) * length:
        pen.fill(moved(lifeboat, float(x), 0), (40, 110, 235), mirrored=True)


def _boat(rng: np.random.Generator, px_per_m: float, light: Light, length: float) -> Sprite:
    beam = length * float(rng.uniform(0.28, 0.36))
    pen = Pen(length, beam, px_per_m, light, margin_m=0.2)
    paint, wood = choose(rng, BOATS, 0.04), choose(rng, TEAK)
    pen.body(_hull(length, beam, 0.5 * length, 0.86), paint)
    deck = shaded(wood, 1.05) if rng.random() < 0.5 else shaded(paint, 0.93)
    pen.fill(_hull(0.88 * length, 0.8 * beam, 0.48 * length, 0.9), deck)
    if rng.random() < 0.4:
        _sailing_deck(rng, pen, length, beam, paint, wood)
        return pen.sprite(2.0)
    pen.fill(rounded(-0.44 * length, -0.02 * length, 0.34 * beam, 0.2, 0.2), shaded(wood, 0.72))
    pen.raised(rounded(-0.16 * length, 0.16 * length, 0.33 * beam, 0.2, 0.26 * beam), 1.0, shaded(paint, 1.02))
    pen.fill(rounded(0.04 * length, 0.14 * length, 0.3 * beam, 0.02, 0.2 * beam), GLASS)
    engine = choose(rng, ((150, 70, 30), (60, 60, 60), (230, 230, 230)))
    pen.fill(box(-0.42 * length, -0.36 * length, -0.3 * beam, 0.3 * beam), engine)
    return pen.sprite(1.4)


def _sailing_deck(rng: np.random.Generator, pen: Pen, length: float, beam: float, paint: Colour, wood: Colour) -> None:
    """Draws a cockpit, a low cabin, and the boom with its sail furled under a cover."""
    pen.fill(rounded(-0.42 * length, -0.12 * length, 0.24 * beam, 0.2, 0.2), shaded(wood, 0.8))
    pen.raised(rounded(-0.1 * length, 0.24 * length, 0.24 * beam, 0.1, 0.3 * beam), 0.5, paint)
    cover = choose(rng, ((150, 70, 30), (230, 230, 230), (90, 60, 40)))
    pen.raised(box(-0.36 * length, 0.1 * length, -0.07 * beam, 0.07 * beam), 0.6, cover)
    pen.fill(disc(0.1 * length, 0, 0.02 * length, points=12), (190, 190, 190))
