"""Scenes of roads: a motorway, a town crossing, a suburb."""

from __future__ import annotations

import numpy as np

from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.categories import IGNORE, stuff_id
from explorer.data.aerial.pen import box
from explorer.data.aerial.placing import Grove, put_hall, put_house, put_thing
from explorer.data.aerial.roads import CITY, MOTORWAY, WHITE, YELLOW, Road, curved, drive, pave, straight

_GRASS, _CONCRETE, _ROAD = stuff_id("grass"), stuff_id("concrete"), stuff_id("road")


def motorway(canvas: Canvas) -> None:
    """A dual carriageway through fields and woods."""
    rng = canvas.rng
    canvas.cover("grass", _GRASS)
    reach = canvas.radius_m
    lanes = int(rng.integers(2, 4))
    through = (
        0.0,
        float(rng.uniform(-0.25, 0.25)) * reach + (1.75 * lanes * float(rng.choice([-1, 1])) if canvas.near else 0.0),
    )
    bend = float(rng.uniform(-0.25, 0.25) / reach)
    road = curved(canvas, through, 0.0, lanes, bend, median_m=float(rng.choice([1.2, 4.0])), shoulder_m=2.2)
    for side in (-1, 1):
        if rng.random() < 0.35:
            edge = side * (road.half_m + rng.uniform(6, 14))
            canvas.lay(road.band(edge, edge + side * 3 * reach), "soil", IGNORE)
    pave(canvas, road)
    drive(canvas, road, float(rng.uniform(8, 30)), MOTORWAY)
    canvas.flush()
    grove = Grove(canvas)
    grove.scatter(int(rng.integers(20, 120)), clumps=int(rng.integers(3, 9)))
    canvas.flush()


def crossing(canvas: Canvas) -> None:
    """Two city streets that cross, with zebra crossings, pavements and flat roofs."""
    rng = canvas.rng
    canvas.cover("concrete", _CONCRETE)
    reach = canvas.radius_m
    # Close views look at the traffic that waits before the junction.
    aside = float(rng.choice([-1, 1])) * (12 + 0.6 * reach) if canvas.near else float(rng.uniform(-0.3, 0.3)) * reach
    centre = (aside, float(rng.uniform(-0.3, 0.3)) * reach)
    first = straight(canvas, centre, 0.0, int(rng.integers(1, 4)), shoulder_m=1.0)
    second = straight(
        canvas, centre, np.pi / 2 + float(rng.uniform(-0.15, 0.15)), int(rng.integers(1, 3)), shoulder_m=1.0
    )
    pave(canvas, first, YELLOW if rng.random() < 0.5 else WHITE)
    pave(canvas, second, YELLOW if rng.random() < 0.5 else WHITE)
    for road, other in ((first, second), (second, first)):
        half_way, edge = float(road.along[-1]) / 2, road.half_m - 0.4
        junction = other.half_m + 5
        canvas.lay(road.stretch(half_way - junction, half_way + junction, -edge, edge), "asphalt", _ROAD)
    for road, other in ((first, second), (second, first)):
        _stop_lines(canvas, road, other)
    for road, gap in ((first, rng.uniform(6, 22)), (second, rng.uniform(6, 22))):
        half_way, clear = float(road.along[-1]) / 2, float(max(first.half_m, second.half_m)) + 9
        drive(canvas, road, float(gap), CITY, keep_clear=(half_way - clear, half_way + clear))
    for _ in range(int(rng.integers(0, 4))):
        kind = str(rng.choice(["car", "car", "bus", "truck"]))
        spot = rng.uniform(-0.8, 0.8, 2) * (second.half_m, first.half_m) + centre
        xy = (float(spot[0]), float(spot[1]))
        if canvas.take(xy, 3 if kind == "car" else 8):
            put_thing(canvas, kind, xy, float(rng.uniform(0, 2 * np.pi)))
    canvas.flush()
    _blocks(canvas, first.half_m, second.half_m, centre)
    canvas.flush()


def _stop_lines(canvas: Canvas, road: Road, other: Road) -> None:
    """Marks where a road meets another one: a stop line, then a zebra crossing, on both sides."""
    half_way = float(road.along[-1]) / 2
    for way in (-1, 1):
        stop, zebra = (half_way + way * (other.half_m + away) for away in (5.2, 2.6))
        side = -way * (road.half_m - road.shoulder_m)
        canvas.mark([road.at(stop, 0.0)[0], road.at(stop, side)[0]], width_m=0.4)
        offsets = np.arange(-road.half_m + 0.5, road.half_m - 0.3, 1.1)
        stripes = [[road.at(zebra + end, float(offset))[0] for end in (-1.4, 1.4)] for offset in offsets]
        canvas.mark(*stripes, width_m=0.5)


def _blocks(canvas: Canvas, half_y: float, half_x: float, centre: tuple[float, float]) -> None:
    """Fills the four quarters around a crossing with lawns, trees and buildings."""
    rng = canvas.rng
    grove = Grove(canvas)
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = centre[0] + sx * (half_x + 5.5), centre[1] + sy * (half_y + 4.5)
            for _ in range(4):
                length, width = float(rng.uniform(16, 34)), float(rng.uniform(14, 26))
                spot = (x + sx * length / 2, y + sy * width / 2)
                if rng.random() < 0.3:
                    canvas.lay(box(-length / 2, length / 2, -width / 2, width / 2) + spot, "grass", _GRASS)
                    for _ in range(int(length * width / 60)):
                        u, v = rng.uniform(-0.45, 0.45, 2)
                        grove.plant((spot[0] + float(u) * length, spot[1] + float(v) * width))
                else:
                    put_hall(canvas, spot, 0.0, length, width)
                x += sx * (length + float(rng.uniform(2, 6)))
                if abs(x - centre[0]) > 1.6 * canvas.radius_m:
                    break
    for offset in np.arange(-2 * canvas.radius_m, 2 * canvas.radius_m, 9.0):
        for sy in (-1, 1):
            if rng.random() < 0.4 and abs(offset) > half_x + 6:
                grove.plant((centre[0] + float(offset), centre[1] + sy * (half_y + 1.8)))


def suburb(canvas: Canvas) -> None:
    """Parallel residential streets: houses in gardens, drives, trees over parked cars."""
    rng = canvas.rng
    canvas.cover("grass", _GRASS)
    reach, pitch = canvas.radius_m, float(rng.uniform(44, 56))
    first = float(rng.uniform(-0.35, 0.35)) * reach if canvas.near else float(rng.uniform(-0.5, 0.5)) * pitch
    count = int(reach / pitch) + 1
    grove = Grove(canvas)
    for row in range(-count, count + 1):
        road = straight(canvas, (0.0, first + row * pitch), 0.0, 1, lane_m=3.4, shoulder_m=1.9)
        pave(canvas, road, centre=None, kerb_m=1.6, lines=False)
        for side in (-1, 1):
            x = -reach - float(rng.uniform(0, 18))
            while x < reach:
                y = first + row * pitch
                house = (x, y + side * float(rng.uniform(15, 18)))
                drive_x = x + float(rng.choice([-7.6, 7.6]))
                canvas.lay(
                    box(
                        drive_x - 1.7,
                        drive_x + 1.7,
                        min(y + side * 4.8, y + side * 15),
                        max(y + side * 4.8, y + side * 15),
                    ),
                    "concrete",
                    _CONCRETE,
                )
                if rng.random() < (0.8 if canvas.near else 0.35):
                    heading = float(rng.choice([-1, 1])) * np.pi / 2
                    put_thing(canvas, "car", (drive_x, y + side * float(rng.uniform(9.5, 12))), heading)
                if rng.random() < (0.8 if canvas.near else 0.3):
                    put_thing(
                        canvas, "car", (x + float(rng.uniform(-2, 2)), y + side * 4.3), 0.0 if side > 0 else np.pi
                    )
                put_house(canvas, house, float(rng.choice([0, np.pi / 2])) if rng.random() < 0.3 else 0.0)
                for _ in range(int(rng.integers(1, 4))):
                    grove.plant((x + float(rng.uniform(-9, 9)), y + side * float(rng.uniform(6.5, 26))))
                x += float(rng.uniform(20, 25))
        drive(canvas, road, float(rng.uniform(25, 60)), {"car": 0.8, "truck": 0.12, "bus": 0.08})
    canvas.flush()
