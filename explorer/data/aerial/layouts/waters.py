"""Scenes of water: a port, a marina, the open sea, a river with a bridge."""

from __future__ import annotations

import cv2
import numpy as np

from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.categories import IGNORE, stuff_id
from explorer.data.aerial.pen import Vector, across, box, disc, fill, moved
from explorer.data.aerial.placing import Grove, put_container, put_thing
from explorer.data.aerial.roads import CITY, drive, pave, straight
from explorer.data.aerial.textures import fractal

_GRASS, _CONCRETE, _ROAD, _WATER = stuff_id("grass"), stuff_id("concrete"), stuff_id("road"), stuff_id("water")
_FOAM = (226, 226, 216)


def _wake(canvas: Canvas, xy: Vector, heading: float, length: float) -> None:
    """Draws the foam behind and beside a moving ship."""
    beam = 0.2 * length
    tail = [(0.3, 0), (-0.5, 0.55), (-2.2, 0.9), (-2.2, -0.9), (-0.5, -0.55)]
    arms = [[(0.5, 0), (-1.3, side * 1.5), (-1.5, side * 2.3), (0.35, side * 0.5)] for side in (-1, 1)]
    cos, sin = np.cos(heading), np.sin(heading)
    mask = np.zeros(canvas.size, np.uint8)
    for outline, value in ((tail, 160), (arms[0], 104), (arms[1], 104)):
        layer = np.zeros(canvas.size, np.uint8)
        turned = (np.array(outline) * (length, beam)) @ np.array([[cos, sin], [-sin, cos]])
        fill(layer, canvas.px(moved(turned, *xy)), value)
        mask[:] = cv2.max(mask, layer)
    centre = canvas.px([xy])[0]
    rows, cols = np.ogrid[: canvas.size[0], : canvas.size[1]]
    distance = np.hypot(cols - centre[0], rows - centre[1]) / canvas.px_per_m / length
    noise = fractal(canvas.rng, canvas.size, max(4.0, 0.12 * length * canvas.px_per_m), 3)
    fade = np.clip(1.25 - 0.55 * distance, 0, 1) * np.clip(0.55 + 0.4 * noise, 0, 1)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.03 * length * canvas.px_per_m))
    foam = np.where(canvas.stuff == _WATER, soft * fade, 0)
    canvas.tint_mask(foam.astype(np.uint8), _FOAM)


def open_sea(canvas: Canvas) -> None:
    """Ships under way, sometimes off a sandy shore with surf."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("sea", _WATER)
    if rng.random() < 0.45:
        _shore(canvas, float(rng.uniform(0.35, 0.6)) * reach)
    placed = 0
    for _ in range(60):
        length = float(rng.choice([rng.uniform(7, 14), rng.uniform(24, 60), rng.uniform(85, 190)], p=[0.3, 0.4, 0.3]))
        length = min(length, 0.9 * reach)
        xy = (float(rng.uniform(-0.9, 0.9)) * reach, float(rng.uniform(-0.9, 0.9)) * reach)
        if placed < 9 and _afloat(canvas, xy, length) and canvas.take(xy, 0.62 * length):
            heading = float(rng.uniform(0, 2 * np.pi))
            if rng.random() < 0.6:
                _wake(canvas, xy, heading, length)
            put_thing(canvas, "ship", xy, heading, length=length)
            placed += 1
    canvas.flush()
    Grove(canvas).scatter(60)
    canvas.flush()


def _shore(canvas: Canvas, edge: float) -> None:
    """Lays land beyond `edge`: shallows, surf, sand, grass."""
    rng, reach = canvas.rng, canvas.radius_m
    wander = np.cumsum(rng.normal(0, 0.03, 14)) * reach
    line = np.stack([np.linspace(-1.3, 1.3, 14) * reach, edge + wander], axis=1)
    land = np.concatenate([line, [(1.3 * reach, 3 * reach), (-1.3 * reach, 3 * reach)]])
    shallows, surf, inland = (moved(land, 0, away * reach) for away in (-0.1, -0.03, 0.12))
    canvas.tint(shallows, colour=(150, 150, 96), strength=0.45, soft_m=0.05 * reach)
    canvas.tint(surf, colour=_FOAM, strength=0.7, soft_m=0.01 * reach)
    canvas.lay(land, "sand", IGNORE, ragged_m=0.015 * reach)
    canvas.lay(inland, "grass", _GRASS, ragged_m=0.03 * reach)


def _afloat(canvas: Canvas, xy: Vector, length: float) -> bool:
    """Says whether a ship can lie there with any heading and touch no land that is in the picture."""
    around = [(float(x), float(y)) for x, y in disc(*xy, 0.55 * length, points=12)]
    return all(canvas.stuff_at(spot) == _WATER for spot in (xy, *around) if canvas.sees(spot, 0))


def marina(canvas: Canvas) -> None:
    """Boats side by side along floating piers; in some pictures one pier's boats are a crowd."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("sea", _WATER)
    quay = -0.62 * reach
    canvas.lay(box(-2 * reach, 2 * reach, -3 * reach, quay), "concrete", _CONCRETE)
    canvas.lay(box(-2 * reach, 2 * reach, -3 * reach, quay - 8), "asphalt", _ROAD)
    canvas.mark(across(-2 * reach, 2 * reach, quay - 0.4), width_m=0.8, colour=(90, 100, 106))
    size = float(rng.uniform(8, 14))
    pitch = 2.9 * size
    crowded = not canvas.near and rng.random() < 0.92
    for number, x in enumerate(np.arange(-reach, reach + pitch, pitch) + float(rng.uniform(0, pitch))):
        end = quay + float(rng.uniform(0.8, 1.3)) * reach
        _pier(canvas, float(x), quay, end)
        crowd = number + 1 if crowded and number % 3 != 0 else None
        for side in (-1, 1):
            y = quay + 4.0
            while y < end - 3:
                length = size * float(rng.uniform(0.75, 1.1))
                if rng.random() < (0.95 if crowd else 0.9 if canvas.near else 0.22):
                    at = (float(x) + side * (1.4 + length / 2), y + float(rng.normal(0, 0.1)))
                    facing = float(rng.random() < 0.8)
                    put_thing(canvas, "ship", at, np.pi * (facing if side > 0 else 1 - facing), crowd, length=length)
                y += 0.46 * size
    for x in np.arange(-reach, reach, 3.2):
        if rng.random() < 0.35:
            put_thing(canvas, "car", (float(x), quay - 12), np.pi / 2)
    if rng.random() < 0.7:
        length = size * 1.3
        xy = (float(rng.uniform(-0.5, 0.5)) * reach, quay + 1.5 * reach)
        _wake(canvas, xy, 0.1, length)
        put_thing(canvas, "ship", xy, 0.1, length=length)
    canvas.flush()


def _pier(canvas: Canvas, x: float, start: float, end: float) -> None:
    deck = box(x - 1.1, x + 1.1, start, end)
    canvas.tint(deck + np.array(canvas.world_shadow()) * 0.8, colour=(20, 24, 24), strength=0.5)
    canvas.lay(deck, "concrete", _CONCRETE)
    planks = [across(x - 1.1, x + 1.1, float(y)) for y in np.arange(start, end, 1.2)]
    canvas.mark(*planks, width_m=0.12, colour=(90, 100, 110), strength=0.6)


def port(canvas: Canvas) -> None:
    """A container quay: ships alongside, stacks, lorries."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("sea", _WATER)
    quay = float(rng.uniform(-0.25, 0.1)) * reach
    canvas.lay(box(-2 * reach, 2 * reach, -3 * reach, quay), "concrete", _CONCRETE)
    canvas.lay(box(-2 * reach, 2 * reach, quay - 20, quay - 10), "asphalt", _ROAD)
    canvas.mark(across(-2 * reach, 2 * reach, quay - 15), width_m=0.3, dash=(3, 4))
    rails = [across(-2 * reach, 2 * reach, quay - rail) for rail in (3.0, 8.0)]
    canvas.mark(*rails, width_m=0.3, colour=(80, 90, 96))
    canvas.tint(box(-2 * reach, 2 * reach, quay, quay + 4), colour=(20, 26, 26), strength=0.5, soft_m=1.0)
    x = -1.1 * reach
    while x < reach:
        length = float(rng.choice([rng.uniform(28, 60), rng.uniform(90, 180)], p=[0.45, 0.55]))
        beam = 0.25 * length if length < 80 else 0.18 * length
        put_thing(
            canvas, "ship", (x + length / 2, quay + beam / 2 + 1.5), float(rng.choice([0.0, np.pi])), length=length
        )
        x += length + float(rng.uniform(8, 40))
    for x in np.arange(-reach, reach, 24.0):
        for lane, heading in ((-17.4, np.pi), (-12.6, 0.0)):
            if rng.random() < 0.4:
                kind = str(rng.choice(["truck", "car"], p=[0.85, 0.15]))
                put_thing(canvas, kind, (float(x) + float(rng.uniform(0, 6)), quay + lane), heading)
    if rng.random() < 0.6:
        length = float(rng.uniform(22, 34))
        xy = (float(rng.uniform(-0.6, 0.6)) * reach, quay + 0.3 * reach + 40)
        _wake(canvas, xy, 0.2, length)
        put_thing(canvas, "ship", xy, 0.2, length=length)
    _stacks(canvas, quay - 26)
    canvas.flush()


def _stacks(canvas: Canvas, front: float) -> None:
    """Stacks containers in blocks of six rows."""
    rng, reach = canvas.rng, canvas.radius_m
    for block in np.arange(front, -reach - 20, -30.0):
        for x in np.arange(-1.1 * reach, 1.1 * reach, 14.0):
            for row in range(6):
                if rng.random() < 0.7:
                    put_container(canvas, (float(x) + 6, float(block) - 2.6 * row), 0.0)


def river(canvas: Canvas) -> None:
    """A river with a road bridge: traffic above, boats below, woods on the banks."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("grass", _GRASS)
    half = float(rng.uniform(0.3, 0.5)) * reach
    t = np.linspace(-1.3, 1.3, 16) * reach
    wander = np.cumsum(rng.normal(0, 0.03, 16)) * reach
    left = np.stack([t, -half + wander], axis=1)
    right = np.stack([t, half + wander + rng.normal(0, 0.02, 16) * reach], axis=1)
    canvas.lay(
        np.concatenate([moved(left, 0, -0.05 * reach), moved(right[::-1], 0, 0.05 * reach)]),
        "soil",
        IGNORE,
        ragged_m=0.02 * reach,
    )
    canvas.lay(np.concatenate([left, right[::-1]]), "river", _WATER, ragged_m=0.015 * reach)
    placed = 0
    for _ in range(30):
        length = min(float(rng.choice([rng.uniform(7, 13), rng.uniform(24, 70)])), 1.3 * half)
        x = float(rng.uniform(-0.95, 0.95)) * reach
        middle = float(np.interp(x, t, wander))
        xy = (x, middle + float(rng.uniform(-0.6, 0.6)) * half)
        if placed < 7 and canvas.take(xy, 0.6 * length):
            heading = float(rng.choice([0.0, np.pi])) + float(rng.normal(0, 0.1))
            if rng.random() < 0.6:
                _wake(canvas, xy, heading, length)
            put_thing(canvas, "ship", xy, heading, length=length)
            placed += 1
    canvas.flush()
    road = straight(
        canvas,
        (float(rng.uniform(-0.4, 0.4)) * reach, 0.0),
        np.pi / 2 + float(rng.uniform(-0.3, 0.3)),
        int(rng.integers(1, 3)),
    )
    canvas.tint(
        road.band(-road.half_m - 1, road.half_m + 1) + np.array(canvas.world_shadow()) * 6,
        colour=(18, 22, 20),
        strength=0.55,
        soft_m=0.5,
    )
    pave(canvas, road, kerb_m=1.2)
    drive(canvas, road, float(rng.uniform(8, 25)), CITY)
    canvas.flush()
    Grove(canvas).scatter(int(rng.integers(40, 140)), clumps=int(rng.integers(3, 8)))
    canvas.flush()
