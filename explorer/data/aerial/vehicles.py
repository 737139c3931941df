"""Road vehicles seen from above: cars, trucks and buses. Colours are BGR."""

from __future__ import annotations

import numpy as np

from explorer.data.aerial.paints import BUSES, CARS, FREIGHT, GLASS, LORRIES, RUBBER, WHITE, choose
from explorer.data.aerial.pen import Colour, Light, Pen, Sprite, Vector, box, disc, rounded, shaded


def car(rng: np.random.Generator, px_per_m: float, light: Light) -> Sprite:
    """Draws a hatchback, saloon, estate, van or pickup."""
    style = str(rng.choice(["saloon", "hatch", "estate", "van", "pickup"], p=[0.36, 0.26, 0.18, 0.12, 0.08]))
    length = {"saloon": 4.7, "hatch": 4.0, "estate": 4.7, "van": 5.1, "pickup": 5.3}[style] * rng.uniform(0.94, 1.06)
    half = length / 2
    side = rng.uniform(0.88, 0.97) if style != "van" else 1.0
    weights = np.array([w for _, w in CARS], float)
    paint = shaded(CARS[int(rng.choice(len(weights), p=weights / weights.sum()))][0], rng.uniform(0.85, 1.1))
    pen = Pen(length, 2 * side, px_per_m, light)
    pen.body(rounded(-half, half, side, 0.3 * side, 0.55 * side), paint)
    pen.body(box(0.12 * length, 0.15 * length, -1.1 * side, 1.1 * side), shaded(paint, 0.7))
    pen.round_sides(side, 0.3)
    glass = shaded(GLASS, rng.uniform(0.8, 1.5))
    screen = {"van": 0.33, "pickup": 0.18}.get(style, 0.2) * length
    roof_front = screen - rng.uniform(0.11, 0.14) * length
    roof_rear = {"saloon": -0.24, "hatch": -0.36, "estate": -0.40, "van": -0.44, "pickup": -0.06}[style] * length
    rear = roof_rear - {"saloon": 0.12, "hatch": 0.08, "estate": 0.05, "van": 0.02, "pickup": 0.05}[style] * length
    pen.fill([(screen, -0.84 * side), (screen, 0.84 * side), (rear, 0.8 * side), (rear, -0.8 * side)], glass)
    roof = shaded(paint, rng.uniform(1.0, 1.12))
    pen.fill(rounded(roof_rear, roof_front, 0.68 * side, 0.1 * side, 0.12 * side), roof)
    pen.fill([(0.75 * screen, 0.69 * side), (roof_front, 0.69 * side), (roof_front, 0.84 * side)], roof, mirrored=True)
    pen.line([(half * 0.93, 0.55 * side), (screen, 0.62 * side)], 0.05, shaded(paint, 0.8), mirrored=True)
    if style == "pickup":
        pen.fill(box(-0.46 * length, -0.13 * length, -0.78 * side, 0.78 * side), shaded(paint, 0.45))
    elif rng.random() < 0.15:
        pen.fill(rounded(0.3 * roof_rear, 0.6 * roof_front, 0.45 * side, 0.1, 0.1), glass)
    pen.fill(box(half - 0.32, half - 0.1, 0.5 * side, 0.8 * side), (226, 232, 236), mirrored=True)
    pen.fill(box(-half + 0.03, -half + 0.2, 0.5 * side, 0.85 * side), (30, 26, 150), mirrored=True)
    return pen.sprite(2.0 if style == "van" else 1.5)


def _cab(pen: Pen, x0: float, x1: float, side: float, paint: Colour) -> None:
    pen.body(rounded(x0, x1, side, 0.1, 0.35), paint)
    pen.body(box(x1 - 0.5, x1 - 0.3, -1.14 * side, 1.14 * side), RUBBER)
    pen.fill(
        [(x1 - 0.12, -0.8 * side), (x1 - 0.12, 0.8 * side), (x1 - 0.62, 0.88 * side), (x1 - 0.62, -0.88 * side)], GLASS
    )
    pen.fill(rounded(x0 + 0.25, x1 - 0.75, 0.8 * side, 0.1, 0.25), shaded(paint, 1.12))


def _load(rng: np.random.Generator, pen: Pen, x0: float, x1: float, side: float) -> None:
    """Draws what stands on the chassis: a box, a container, a tarpaulin or a tipper full of gravel."""
    kind = rng.choice(["box", "container", "tipper", "planks"], p=[0.5, 0.25, 0.15, 0.1])
    kind = "container" if kind == "tipper" and x1 - x0 > 8 else str(kind)
    if kind == "box":
        paint = choose(rng, (WHITE, WHITE, *LORRIES))
        pen.body(box(x0, x1, -side, side), paint)
        pen.fill(box(x0 + 0.15, x1 - 0.15, -side + 0.15, side - 0.15), shaded(paint, 0.95))
        if rng.random() < 0.4:
            pen.fill(box(x0 + 0.3 * (x1 - x0), x0 + 0.5 * (x1 - x0), -side, side), choose(rng, LORRIES))
    elif kind == "container":
        paint = choose(rng, FREIGHT)
        pen.body(box(x0, x1, -side, side), paint)
        for x in np.arange(x0 + 0.3, x1 - 0.2, 0.55):
            pen.line([(x, -side + 0.08), (x, side - 0.08)], 0.2, shaded(paint, 0.82))
    elif kind == "tipper":
        pen.body(box(x0, x1, -side, side), choose(rng, LORRIES))
        pen.fill(box(x0 + 0.2, x1 - 0.2, -side + 0.2, side - 0.2), shaded((92, 116, 132), rng.uniform(0.6, 1.2)))
        for x in (0.35, 0.65):
            heap = disc(x0 + x * (x1 - x0), 0, 0.17 * (x1 - x0), 0.6 * side, points=11) + rng.normal(0, 0.08, (11, 2))
            pen.fill(heap, shaded((112, 136, 152), rng.uniform(0.75, 1.2)))
    else:
        pen.body(box(x0, x1, -side, side), (88, 96, 104))
        for y in np.arange(-side + 0.3, side - 0.2, 0.42):
            pen.fill(box(x0 + 0.4, x1 - 0.6, y, y + 0.34), shaded((104, 150, 184), rng.uniform(0.75, 1.1)))


def truck(rng: np.random.Generator, px_per_m: float, light: Light) -> Sprite:
    """Draws a rigid lorry or an articulated one, the cab set off from the load by a dark gap."""
    articulated = rng.random() < 0.5
    length = rng.uniform(13, 16.5) if articulated else rng.uniform(7, 10)
    half, side = length / 2, 1.27
    cab = rng.uniform(2.1, 2.6)
    pen = Pen(length, 2 * side, px_per_m, light, margin_m=0.4)
    pen.body(box(-half + 0.3, half - 0.5, -0.45 * side, 0.45 * side), RUBBER)
    for x in np.linspace(-half + 0.8, -half + 3.2, 3 if articulated else 2):
        pen.body(box(x - 0.45, x + 0.45, -0.97 * side, 0.97 * side), RUBBER)
    gap = rng.uniform(0.7, 1.1) if articulated else 0.35
    _cab(pen, half - cab, half, side * 0.97, choose(rng, LORRIES))
    _load(rng, pen, -half, half - cab - gap, side)
    x0, x1 = half - cab - gap, half - cab
    pen.darken(box(x0, x1, -side, side), 0.6)
    pen.round_sides(side, 0.12)
    return pen.sprite(3.6)


def _roof_unit(pen: Pen, x: float, length: float, side: float) -> None:
    pen.raised(box(x - length / 2, x + length / 2, -0.55 * side, 0.55 * side), 0.3, (206, 206, 204))
    for y in (-0.27, 0.27):
        pen.fill(disc(x, y * side, 0.28, points=12), (96, 96, 96))


def bus(rng: np.random.Generator, px_per_m: float, light: Light) -> Sprite:
    """Draws a city bus or coach: one long rounded body with roof units, some with a bellows."""
    articulated = rng.random() < 0.18
    length = 17.5 if articulated else rng.uniform(10.5, 13)
    half, side = length / 2, 1.28
    paint = choose(rng, BUSES, 0.08)
    pen = Pen(length, 2 * side, px_per_m, light)
    pen.body(rounded(-half, half, side, 0.25, 0.4), paint)
    pen.body(box(half - 0.9, half - 0.6, -1.12 * side, 1.12 * side), RUBBER)
    pen.line([(-half + 0.5, 0.95 * side), (half - 0.7, 0.95 * side)], 0.12, GLASS, mirrored=True)
    pen.fill(
        [
            (half - 0.08, -0.78 * side),
            (half - 0.08, 0.78 * side),
            (half - 0.4, 0.86 * side),
            (half - 0.4, -0.86 * side),
        ],
        GLASS,
    )
    roof = (236, 238, 238) if rng.random() < 0.45 else shaded(paint, 1.1)
    pen.fill(rounded(-half + 0.25, half - 0.6, 0.84 * side, 0.2, 0.3), roof)
    ridge: list[Vector] = [(-half + 0.6, 0.5 * side), (half - 1.0, 0.5 * side)]
    pen.line(ridge, 0.09, shaded(roof, 0.82), mirrored=True)
    for x in np.linspace(-0.28, 0.28, 2) * length:
        pen.fill(box(x - 0.45, x + 0.45, -0.4, 0.4), shaded(roof, 0.72))
        pen.fill(box(x - 0.36, x + 0.36, -0.31, 0.31), shaded(roof, 0.92))
    _roof_unit(pen, (0.22 if articulated else rng.uniform(-0.1, 0.1)) * length, rng.uniform(1.8, 2.6), side)
    if articulated:
        for x in np.arange(-1.9, -0.5, 0.28):
            pen.fill(box(x, x + 0.16, -side, side), (58, 58, 58))
    pen.round_sides(side, 0.16)
    return pen.sprite(3.1)
