"""Roads with lanes, and what drives on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.categories import stuff_id
from explorer.data.aerial.pen import Colour, Vector
from explorer.data.aerial.placing import put_thing
from explorer.types import Array

WHITE: Colour = (222, 224, 224)
YELLOW: Colour = (60, 170, 220)
_ROAD = stuff_id("road")
_HEADWAY_M = {"car": 6.5, "truck": 18.5, "bus": 19.0}

CITY: Mapping[str, float] = {"car": 0.72, "truck": 0.12, "bus": 0.16}
MOTORWAY: Mapping[str, float] = {"car": 0.62, "truck": 0.28, "bus": 0.10}


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line `(n, 2)` in metres with the same number of lanes each way; traffic keeps right."""

    path: Array
    lanes: int
    lane_m: float = 3.5
    median_m: float = 0.0
    shoulder_m: float = 0.6

    @property
    def half_m(self) -> float:
        return self.median_m / 2 + self.lanes * self.lane_m + self.shoulder_m

    @property
    def along(self) -> Array:
        """Distances of the path's points from its start, in metres."""
        steps: Array = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.path, axis=0).T))])
        return steps

    def offset(self, metres: float) -> Array:
        """Returns the path moved to its right."""
        tangent = np.gradient(self.path, axis=0)
        tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None]
        moved: Array = self.path + np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * metres
        return moved

    def band(self, left: float, right: float) -> Array:
        """Returns the outline of the strip between two offsets."""
        outline: Array = np.concatenate([self.offset(left), self.offset(right)[::-1]])
        return outline

    def at(self, distance_m: float, offset_m: float) -> tuple[Vector, float]:
        """Returns the world point at a distance along and an offset to the right, and the heading there."""
        along, side = self.along, self.offset(offset_m)
        x, y = (float(np.interp(distance_m, along, side[:, k])) for k in (0, 1))
        ahead = [float(np.interp(distance_m + 1, along, self.path[:, k])) for k in (0, 1)]
        behind = [float(np.interp(distance_m - 1, along, self.path[:, k])) for k in (0, 1)]
        return (x, y), float(np.arctan2(ahead[1] - behind[1], ahead[0] - behind[0]))

    def stretch(self, start_m: float, stop_m: float, left: float, right: float) -> Array:
        """Returns the four corners of a short piece of the strip between two offsets."""
        corners = ((start_m, left), (stop_m, left), (stop_m, right), (start_m, right))
        return np.array([self.at(distance, offset)[0] for distance, offset in corners])

    def lane_offset(self, lane: int) -> float:
        """Returns the offset of the middle of a lane, counted from the centre line."""
        return self.median_m / 2 + (lane + 0.5) * self.lane_m


def straight(canvas: Canvas, through: Vector, heading: float, lanes: int, **shape: float) -> Road:
    """Lays out a road through a point, long enough to cross the picture."""
    reach = canvas.radius_m + float(np.hypot(*through)) + 20
    t = np.linspace(-reach, reach, 24)[:, None]
    path = np.array(through) + t * np.array([np.cos(heading), np.sin(heading)])
    return Road(path, lanes, **shape)


def curved(canvas: Canvas, through: Vector, heading: float, lanes: int, bend_per_m: float, **shape: float) -> Road:
    """Lays out a road that bends evenly; `bend_per_m` is one over the radius of the bend."""
    reach = canvas.radius_m + float(np.hypot(*through)) + 20
    t = np.linspace(-reach, reach, 64)
    turn = heading + bend_per_m * t
    step = t[1] - t[0]
    path = np.stack([np.cumsum(np.cos(turn)), np.cumsum(np.sin(turn))], axis=1) * step
    return Road(path - path[len(path) // 2] + np.array(through), lanes, **shape)


def pave(canvas: Canvas, road: Road, centre: Colour | None = WHITE, kerb_m: float = 0.0, lines: bool = True) -> None:
    """Lays a road's asphalt, wheel tracks and markings, between pavements of `kerb_m` metres."""
    half = road.half_m
    if kerb_m > 0:
        canvas.lay(road.band(-half - kerb_m, half + kerb_m), "concrete", stuff_id("concrete"))
    canvas.lay(road.band(-half, half), "asphalt", _ROAD)
    lanes = [way * road.lane_offset(lane) for way in (-1, 1) for lane in range(road.lanes)]
    wheels = [lane + side for lane in lanes for side in (-0.85, 0.85)]
    tracks = [road.band(at - 0.35, at + 0.35) for at in wheels]
    canvas.tint(*tracks, colour=(40, 40, 42), strength=0.16, soft_m=0.2)
    if road.median_m > 1.5:
        canvas.lay(road.band(-road.median_m / 2, road.median_m / 2), "grass", stuff_id("grass"))
    if lines:
        _mark_lanes(canvas, road, centre)


def _mark_lanes(canvas: Canvas, road: Road, centre: Colour | None) -> None:
    edge = road.half_m - road.shoulder_m
    canvas.mark(road.offset(-edge), road.offset(edge), width_m=0.16)
    between = [road.median_m / 2 + lane * road.lane_m for lane in range(1, road.lanes)]
    if between:
        canvas.mark(*(road.offset(way * at) for way in (-1, 1) for at in between), width_m=0.16, dash=(3.0, 5.0))
    if road.median_m <= 1.5 and centre is not None:
        if road.lanes > 1:
            canvas.mark(road.offset(-0.18), road.offset(0.18), width_m=0.14, colour=centre)
        else:
            canvas.mark(road.offset(0.0), width_m=0.14, colour=centre, dash=(3.0, 4.0))


def drive(canvas: Canvas, road: Road, gap_m: float, mix: Mapping[str, float], keep_clear: Vector | None = None) -> None:
    """Puts traffic on every lane with exponential gaps of mean `gap_m`, but not in the `keep_clear` stretch.

    The closer the view the denser the traffic, as close views would otherwise show hardly any.
    """
    rng = canvas.rng
    gap_m *= (9.0 / canvas.px_per_m) ** 1.5
    kinds, share = list(mix), np.array(list(mix.values()))
    length = float(road.along[-1])
    for way in (-1, 1):
        for lane in range(road.lanes):
            at = float(rng.uniform(0, gap_m + 10))
            while at < length:
                kind = str(rng.choice(kinds, p=share / share.sum()))
                at += _HEADWAY_M[kind] / 2
                sway = float(rng.normal(0, 0.15))
                xy, heading = road.at(at, way * (road.lane_offset(lane) + sway))
                inside = keep_clear is not None and keep_clear[0] < at < keep_clear[1]
                if not inside:
                    heading += 0.0 if way > 0 else np.pi
                    put_thing(canvas, kind, xy, heading + float(rng.normal(0, 0.015)))
                at += _HEADWAY_M[kind] / 2 + float(rng.exponential(gap_m))
