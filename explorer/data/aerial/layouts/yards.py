"""Scenes of paved yards: car parks, bus and lorry depots, tank farms."""

from __future__ import annotations

import numpy as np

from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.categories import IGNORE, stuff_id
from explorer.data.aerial.pen import across, box
from explorer.data.aerial.placing import Grove, put_hall, put_thing, rows
from explorer.data.aerial.roads import CITY, drive, pave, straight
from explorer.types import Array

_GRASS, _CONCRETE, _ROAD = stuff_id("grass"), stuff_id("concrete"), stuff_id("road")
_BAY_M, _BAY_DEPTH_M, _AISLE_M = 2.6, 5.2, 6.4


def car_park(canvas: Canvas) -> None:
    """Rows of marked bays; seen from high up, most blocks of rows are full and labelled as a crowd."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("grass", _GRASS)
    half_x, half_y = float(rng.uniform(0.6, 1.3)) * reach + 2, float(rng.uniform(0.6, 1.2)) * reach + 8
    canvas.lay(box(-half_x - 2, half_x + 2, -half_y - 2, half_y + 2), "concrete", _CONCRETE)
    canvas.lay(box(-half_x, half_x, -half_y, half_y), "asphalt", _ROAD)
    share = float(rng.uniform(0.7, 0.95) if canvas.near else rng.uniform(0.12, 0.3))
    crowded = not canvas.near and rng.random() < 0.85
    grove = Grove(canvas)
    pitch = 2 * _BAY_DEPTH_M + _AISLE_M
    through = float(rng.uniform(-0.4, 0.4)) * reach
    for block, middle in enumerate(rows(-half_y + _BAY_DEPTH_M, half_y - _BAY_DEPTH_M, through, pitch)):
        crowd = 1 if crowded and block % 4 != 1 else None
        _block(canvas, middle, half_x, 0.95 if crowd else share, crowd)
        if rng.random() < 0.5:
            for x in np.arange(-half_x + 6, half_x, 4 * _BAY_M):
                if rng.random() < 0.5:
                    grove.plant((float(x), middle))
        for x in np.arange(-half_x + 6, half_x - 6, 22.0):
            if rng.random() < 0.15:
                put_thing(canvas, "car", (float(x), middle + _BAY_DEPTH_M + 0.28 * _AISLE_M), 0.0)
    canvas.flush()
    grove.scatter(40)
    put_hall(canvas, (float(rng.uniform(-0.3, 0.3)) * half_x, -half_y - 18), 0.0, min(1.4 * half_x, 70), 24)
    canvas.flush()


def _block(canvas: Canvas, middle: float, half_x: float, share: float, crowd: int | None) -> None:
    """Marks two rows of bays, front to front, and fills a `share` of them."""
    rng = canvas.rng
    edges = np.arange(-half_x + 1.5, half_x - 2, _BAY_M)
    left, right = float(edges[0]), float(edges[-1]) + _BAY_M
    lines = [[(float(x), middle - _BAY_DEPTH_M), (float(x), middle + _BAY_DEPTH_M)] for x in (*edges, right)]
    canvas.mark(*lines, across(left, right, middle), width_m=0.12)
    for row in (middle - _BAY_DEPTH_M / 2, middle + _BAY_DEPTH_M / 2):
        for x in edges:
            if rng.random() < share:
                heading = np.pi / 2 * float(rng.choice([-1, 1])) + float(rng.normal(0, 0.03))
                at = (float(x) + _BAY_M / 2 + float(rng.normal(0, 0.1)), row + float(rng.normal(0, 0.2)))
                put_thing(canvas, "car", at, heading, crowd)


def depot(canvas: Canvas) -> None:
    """Lorries or buses side by side before a hall, with a street beside the yard; some full rows are crowds."""
    rng, reach = canvas.rng, canvas.radius_m
    canvas.cover("grass", _GRASS)
    half_x, half_y = float(rng.uniform(0.8, 1.5)) * reach, float(rng.uniform(0.5, 0.8)) * reach + 8
    ground = ("concrete", _CONCRETE) if rng.random() < 0.5 else ("asphalt", _ROAD)
    canvas.lay(box(-half_x, half_x, -half_y, half_y), *ground)
    road = straight(canvas, (0.0, half_y + 9), 0.0, 1)
    pave(canvas, road)
    drive(canvas, road, 25.0, CITY)
    kinds = [str(kind) for kind in rng.permutation(["truck", "bus"])]
    through, spacing = float(rng.uniform(-0.4, 0.4)) * reach, float(rng.uniform(24, 30))
    for row, y in enumerate(rows(-half_y + 8, half_y - 8, through, spacing)):
        kind = kinds[row % 2] if rng.random() < 0.8 else "car"
        pitch = 2.7 if kind == "car" else 3.8
        slant = float(rng.choice([0.0, 0.0, 0.35]))
        edges = np.arange(-half_x + 4, half_x - 3, pitch * (1 + 0.4 * slant))
        lines = [[(float(x) - pitch / 2, y - 7), (float(x) - pitch / 2, y + 7)] for x in edges]
        canvas.mark(*lines, width_m=0.15, strength=0.6)
        crowd = row + 1 if not canvas.near and rng.random() < 0.35 else None
        share = 0.95 if crowd else 0.8 if canvas.near else 0.25
        for x in edges:
            if rng.random() < share:
                at = (float(x) + float(rng.normal(0, 0.1)), y + float(rng.normal(0, 0.5)))
                put_thing(canvas, kind, at, np.pi / 2 * (1 if row % 2 else -1) + slant, crowd)
    put_hall(canvas, (0.0, -half_y - 14), 0.0, 1.2 * half_x, 22)
    canvas.flush()
    Grove(canvas).scatter(30)
    canvas.flush()


def tank_farm(canvas: Canvas) -> None:
    """Storage tanks in bunded basins, pipes between them, lorries on the service roads."""
    rng, reach = canvas.rng, canvas.radius_m
    kind = str(rng.choice(["soil", "gravel", "grass"], p=[0.25, 0.25, 0.5]))
    canvas.cover(kind, _GRASS if kind == "grass" else IGNORE)
    small = canvas.px_per_m < 4.7
    diameter = float(rng.uniform(9, 18) if small else rng.uniform(20, 40))
    pitch = diameter * float(rng.uniform(1.5, 1.9) if small else rng.uniform(1.3, 1.5))
    count, every = int(reach / pitch) + 1, int(rng.integers(2, 4))
    steps = np.arange(-count, count + 1)
    shift = rng.uniform(-0.5, 0.5, 2) * pitch
    basins = [(column * pitch + shift[0], row * pitch + shift[1]) for column in steps for row in steps]
    _basins(canvas, basins, pitch)
    for column in steps[steps % every == 0]:
        road = straight(canvas, (float((column + 0.5) * pitch + shift[0]), 0.0), np.pi / 2, 1, lane_m=3.0)
        pave(canvas, road, lines=False)
        drive(canvas, road, 25.0, {"truck": 0.7, "car": 0.3})
    canvas.flush()
    for number, (x, y) in enumerate(basins):
        if rng.random() < (0.26 if small else 0.95):
            # Beside a road the tank stands back from it.
            offset = 2.2 if steps[number // len(steps)] % every == 0 else 0.0
            size = diameter * float(rng.choice([1.0, 1.0, 0.75])) * float(rng.uniform(0.95, 1.02))
            put_thing(canvas, "storage tank", (float(x) - offset, y), 0.0, diameter=min(size, pitch - 9))
    canvas.flush()


def _basins(canvas: Canvas, centres: list[tuple[float, float]], pitch: float) -> None:
    half = pitch / 2 - 1.2
    walls: list[Array] = []
    for centre in centres:
        floor = box(-half, half, -half, half) + centre
        if canvas.sees(centre, pitch):
            canvas.lay(floor, "concrete", _CONCRETE)
            walls.append(np.concatenate([floor, floor[:1]]))
    canvas.mark(*walls, width_m=0.7, colour=(150, 158, 160))
    pipes = [[(x + side, y), (x + side, y + pitch)] for x, y in centres for side in (-0.6, 0.2)]
    canvas.mark(*pipes, width_m=0.35, colour=(170, 176, 178))
