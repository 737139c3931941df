"""Size bins: ranges of an object's area in pixels of the original image.

A figure by size is of the objects that a bin *holds*, both ends included, as in COCO. Where objects are counted, each
has the *name* of one bin, the one that begins at its area or below: `explorer.types.size_names`, for COCO's three.
Which bins there are is a protocol's to say: `explorer.scoring.protocols`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.types import LARGE_AREA_PX, SIZES, SMALL_AREA_PX, Bools, Floats

COCO_INFINITY_PX = 1e5**2
"""The area that COCO takes for infinite."""


@dataclass(frozen=True)
class SizeBin:
    """A range of areas.

    Attributes:
        name: as in tables.
        min_area_px: square pixels.
        max_area_px: square pixels.
        short: as in the names of figures, behind `AP` and `AR`: `s` for `APs`.
        is_last: no larger bin begins where this one ends, so that an area of exactly its end has its name.
    """

    name: str
    min_area_px: float
    max_area_px: float
    short: str = ""
    is_last: bool = False

    def holds(self, areas_px: Floats) -> Bools:
        """Tells which of the areas COCO scores in the bin: one of exactly 32² px in small and in medium."""
        inside: Bools = (areas_px >= self.min_area_px) & (areas_px <= self.max_area_px)
        return inside

    def names(self, areas_px: Floats) -> Bools:
        """Tells which of the areas have the bin's name: one of exactly 32² px is medium."""
        below = (areas_px < self.max_area_px) | (self.max_area_px >= COCO_INFINITY_PX)
        below |= self.is_last & (areas_px <= self.max_area_px)
        named: Bools = (areas_px >= self.min_area_px) & below
        return named


ALL = SizeBin("all", 0, COCO_INFINITY_PX)
_COCO_AREAS_PX = (0, SMALL_AREA_PX, LARGE_AREA_PX, COCO_INFINITY_PX)
COCO_BINS = (
    ALL,
    *(
        SizeBin(name, *ends, short=name[0])
        for name, ends in zip(SIZES, itertools.pairwise(_COCO_AREAS_PX), strict=True)
    ),
)
EDGES_PX = (8, 16, 32, 64, 96, 128, 256)
"""Sides of the squares between the finer bins."""


def bins_between(edges_px: Sequence[float]) -> tuple[SizeBin, ...]:
    """Makes the bins below, between and above squares of these sides: `under 8²`, `8²–16²`, …, `256² and over`.

    Raises:
        ValueError: the sides are not positive and ascending.
    """
    edges = list(edges_px)
    if not edges or any(low >= high for low, high in zip([0.0, *edges], [*edges, math.inf], strict=True)):
        raise ValueError(f"size edges are {edges}: give positive, finite sides in pixels, ascending, as in 16, 32, 96")
    names = [f"under {edges[0]:g}²", *(f"{a:g}²–{b:g}²" for a, b in itertools.pairwise(edges))]
    areas = [0, *(edge**2 for edge in edges), COCO_INFINITY_PX]
    names.append(f"{edges[-1]:g}² and over")
    shorts = [f" {a:g}–{b:g}" for a, b in itertools.pairwise([0, *edges])]
    shorts.append(f" {edges[-1]:g}–")
    ends = itertools.pairwise(areas)
    return tuple(SizeBin(name, *own, short) for name, own, short in zip(names, ends, shorts, strict=True))


FINE_BINS = bins_between(EDGES_PX)
DEFAULT_BINS = (*COCO_BINS, *FINE_BINS)
