"""The kinds of scene, how often each comes and from how high it is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.layouts import airports, streets, waters, yards


@dataclass(frozen=True)
class Layout:
    """A kind of scene.

    Attributes:
        paint: draws it.
        weight: relative frequency.
        far: least and greatest pixels per metre of the views from high up, for a picture of 480 by 640 pixels.
        near: the same of close views. The two bands, rather than one, spread areas as widely as COCO's are.
    """

    paint: Callable[[Canvas], None]
    weight: float
    far: tuple[float, float]
    near: tuple[float, float]


NEAR_SHARE = 0.72
"""Share of pictures that are close views."""
LAYOUTS: dict[str, Layout] = {
    "motorway": Layout(streets.motorway, 1.0, (6, 9.5), (28, 42)),
    "crossing": Layout(streets.crossing, 1.0, (6.5, 10), (28, 40)),
    "suburb": Layout(streets.suburb, 0.7, (7, 11), (24, 38)),
    "car park": Layout(yards.car_park, 0.8, (7, 11), (33, 46)),
    "depot": Layout(yards.depot, 1.1, (5.5, 8), (19, 32)),
    "tank farm": Layout(yards.tank_farm, 1.1, (2.8, 4.2), (5, 9)),
    "apron": Layout(airports.apron, 1.2, (2.6, 4.2), (6.6, 10.5)),
    "runway": Layout(airports.runway, 0.7, (2.4, 3.6), (6.2, 10.5)),
    "airfield": Layout(airports.airfield, 0.9, (4, 6), (19, 27)),
    "port": Layout(waters.port, 1.0, (2.6, 4.2), (4, 7.5)),
    "marina": Layout(waters.marina, 0.8, (4, 6.2), (20, 30)),
    "open sea": Layout(waters.open_sea, 1.1, (2.2, 4.2), (6.5, 18)),
    "river": Layout(waters.river, 0.9, (5, 8), (26, 38)),
}
