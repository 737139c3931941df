"""Scenes of airports: an apron with stands, a runway, an airfield of small planes."""

from __future__ import annotations

import numpy as np

from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.categories import stuff_id
from explorer.data.aerial.pen import across, box
from explorer.data.aerial.placing import Grove, put_hall, put_thing, rows
from explorer.data.aerial.roads import YELLOW

_GRASS, _CONCRETE, _ROAD = stuff_id("grass"), stuff_id("concrete"), stuff_id("road")


def apron(canvas: Canvas) -> None:
    """A row of airliners at their stands before a terminal, service traffic between them."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("grass", _GRASS)
    front = float(rng.uniform(-0.3, 0.3)) * reach - 36
    taxi, left, right = front + 98, -1.2 * reach, 1.2 * reach
    canvas.lay(box(left, right, front - 60, front + 150), "concrete", _CONCRETE)
    _slabs(canvas, left, right, front - 60, front + 150, 7.5)
    canvas.mark(across(left, right, taxi), width_m=0.5, colour=YELLOW)
    canvas.lay(box(left, right, front - 1, front + 7), "asphalt", _ROAD)
    canvas.mark(across(left, right, front + 3), width_m=0.2, dash=(2, 3))
    # Narrow stands are common; only wide ones take the largest planes.
    pitch = float(rng.choice([rng.uniform(40, 50), rng.uniform(66, 72)], p=[0.75, 0.25]))
    for x in rows(-reach - pitch, reach + pitch, float(rng.uniform(-0.5, 0.5)) * reach, pitch):
        _stand(canvas, x, front, taxi, pitch)
    for x in np.arange(-reach, reach, 26.0):
        if rng.random() < 0.5:
            put_thing(canvas, str(rng.choice(["car", "truck", "bus"])), (float(x), front + 4.9), 0.0)
    if rng.random() < 0.6:
        at = (float(rng.uniform(-0.6, 0.6) * reach), taxi + 12)
        put_thing(canvas, "plane", at, float(rng.choice([0.0, np.pi])), length=float(rng.uniform(28, 40)))
    put_hall(canvas, (0.0, front - 22), 0.0, 2.6 * reach, 34)
    canvas.flush()


def _stand(canvas: Canvas, x: float, front: float, taxi: float, pitch: float) -> None:
    """Marks one stand, and mostly puts a plane and its service vehicles there."""
    rng = canvas.rng
    canvas.mark([(x, front + 10), (x, taxi)], width_m=0.4, colour=YELLOW)
    canvas.mark([(x - pitch / 2, front + 8), (x - pitch / 2, front + 60)], width_m=0.3, colour=(60, 60, 200))
    canvas.tint(box(x - 2.5, x + 2.5, front + 28, front + 34), colour=(60, 60, 62), strength=0.35, soft_m=1.5)
    if rng.random() > 0.92:
        return
    length = float(rng.uniform(28, min(0.86 * pitch, 66)))
    put_thing(canvas, "plane", (x, front + 36), -np.pi / 2 + float(rng.normal(0, 0.02)), length=length)
    for _ in range(int(rng.integers(0, 4))):
        kind = str(rng.choice(["truck", "car", "bus"], p=[0.5, 0.3, 0.2]))
        at = (x + float(rng.choice([-1, 1])) * float(rng.uniform(14, 20)), front + float(rng.uniform(12, 20)))
        if canvas.take(at, 7):
            put_thing(canvas, kind, at, float(rng.choice([0.0, np.pi / 2, 0.4])))


def _slabs(canvas: Canvas, x0: float, x1: float, y0: float, y1: float, pitch: float) -> None:
    """Draws the joints between concrete slabs."""
    joints = [[(float(x), y0), (float(x), y1)] for x in np.arange(x0, x1, pitch)]
    joints += [across(x0, x1, float(y)) for y in np.arange(y0, y1, pitch)]
    canvas.mark(*joints, width_m=0.12, colour=(116, 120, 124), strength=0.5)


def runway(canvas: Canvas) -> None:
    """A runway and a taxiway through grass, with planes on both."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("grass", _GRASS)
    half, left, right = 22.5, -2 * reach, 2 * reach
    taxi = float(rng.uniform(-0.1, 0.5)) * reach
    y = taxi - half - float(rng.uniform(26, 50))
    _runway_strip(canvas, y, half)
    canvas.lay(box(left, right, taxi - 11, taxi + 11), "asphalt", _ROAD)
    link, slope = float(rng.uniform(-0.4, 0.4)) * reach, float(rng.uniform(-25, 25))
    corners = [(link - 11, taxi), (link + 11, taxi), (link + 11 + slope, y), (link - 11 + slope, y)]
    canvas.lay(corners, "asphalt", _ROAD)
    canvas.mark(across(left, right, taxi), [(link, taxi), (link + slope, y + half)], width_m=0.5, colour=YELLOW)
    if rng.random() < 0.8:
        at = (float(rng.uniform(-0.5, 0.5)) * reach, y)
        put_thing(canvas, "plane", at, float(rng.choice([0.0, np.pi])), length=_plane_length(rng))
    x = -reach + float(rng.uniform(0, 60))
    while x < reach:
        put_thing(canvas, "plane", (x, taxi), np.pi, length=_plane_length(rng))
        canvas.take((x, taxi), 24)
        x += float(rng.uniform(46, 90))
    for x in np.arange(-reach, reach, 30.0):
        if rng.random() < 0.3 and canvas.take((float(x), taxi + 6), 6):
            put_thing(canvas, str(rng.choice(["car", "truck"])), (float(x), taxi + 6), 0.0)
    canvas.flush()
    Grove(canvas).scatter(20, clumps=2)
    canvas.flush()


def _runway_strip(canvas: Canvas, y: float, half: float) -> None:
    """Lays a runway along the x axis with rubber, edge lines, centre line and threshold bars."""
    rng, reach = canvas.rng, canvas.radius_m
    left, right = -2 * reach, 2 * reach
    canvas.lay(box(left, right, y - half - 4, y + half + 4), "concrete", _CONCRETE)
    canvas.lay(box(left, right, y - half, y + half), "asphalt", _ROAD)
    starts, lanes = rng.uniform(-1.4, 1.4, 30) * reach, y + rng.normal(0, 4, 30)
    rubber = [
        box(x, x + length, lane - 0.5, lane + 0.5)
        for x, lane, length in zip(starts, lanes, rng.uniform(15, 60, 30), strict=True)
    ]
    canvas.tint(*rubber, colour=(30, 30, 32), strength=0.4, soft_m=0.5)
    canvas.mark(across(left, right, y), width_m=0.9, dash=(30, 20))
    canvas.mark(*(across(left, right, y + side * (half - 1.5)) for side in (-1, 1)), width_m=0.9)
    threshold = float(rng.uniform(-0.7, 0.7)) * reach
    bars = [across(threshold, threshold + 30, y + float(bar)) for bar in np.arange(-half + 4, half - 3, 3.6)]
    canvas.mark(*bars, width_m=1.8)


def _plane_length(rng: np.random.Generator) -> float:
    return float(rng.choice([rng.uniform(8, 12), rng.uniform(28, 42)], p=[0.35, 0.65]))


def airfield(canvas: Canvas) -> None:
    """Small planes parked in rows on concrete or grass, hangars, a few cars."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("grass", _GRASS)
    top, bottom = (-0.9 * reach, 0.95 * reach) if canvas.near else (-0.45 * reach, 0.55 * reach)
    if rng.random() < 0.75:
        canvas.lay(box(-2 * reach, 2 * reach, top, bottom), "concrete", _CONCRETE)
        _slabs(canvas, -1.1 * reach, 1.1 * reach, top, bottom, 5.0)
    canvas.lay(box(-2 * reach, 2 * reach, bottom + 6, bottom + 16), "asphalt", _ROAD)
    canvas.mark(across(-2 * reach, 2 * reach, bottom + 11), width_m=0.3, colour=YELLOW)
    _parked_planes(canvas, top, bottom)
    for x in np.arange(-reach, reach, 12.0):
        if rng.random() < 0.25:
            put_thing(canvas, str(rng.choice(["car", "truck"], p=[0.7, 0.3])), (float(x), bottom + 8.6), 0.0)
    x = -reach
    while x < reach:
        length = float(rng.uniform(18, 34))
        put_hall(canvas, (x + length / 2, top - 14), 0.0, length, 20)
        x += length + float(rng.uniform(4, 14))
    grove = Grove(canvas)
    for x in np.arange(-reach, reach, 9.0):
        if rng.random() < 0.4:
            grove.plant((float(x), bottom + 22 + float(rng.uniform(0, 12))))
    canvas.flush()


def _parked_planes(canvas: Canvas, top: float, bottom: float) -> None:
    rng, reach = canvas.rng, canvas.radius_m
    slant, spacing = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(13, 16))
    share = 0.95 if canvas.near else 0.33
    for row, y in enumerate(rows(top + 7, bottom - 4, float(rng.uniform(-0.2, 0.2)) * reach, spacing)):
        for x in rows(-reach, reach, float(rng.uniform(-0.3, 0.3)) * reach, float(rng.uniform(15, 19))):
            if rng.random() < share:
                at = (x + float(rng.normal(0, 0.6)), y + float(rng.normal(0, 0.6)))
                heading = np.pi / 2 * (1 if row % 2 else -1) + slant + float(rng.normal(0, 0.08))
                put_thing(canvas, "plane", at, heading, length=float(rng.uniform(7.5, 12)))
