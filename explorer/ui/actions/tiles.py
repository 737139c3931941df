"""Large photos on the page: models that use tiles, and a word where one would otherwise see the photo shrunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.engine.detector import Detector

TILE_PX = 640
"""Length of a tile's side."""
LABEL = "Large photo: use tiles"
"""What the page calls it."""
SHRUNK = 1.5
"""A photo that reaches a model this many times as small, or more, loses its small objects."""


def in_tiles(detector: Detector) -> Detector:
    """Returns a detector that looks at photos larger than a tile in tiles."""
    return detector.with_tiles(TILE_PX)


def fits_no_tile(size: tuple[int, int]) -> bool:
    """Whether a photo of `(height, width)` is larger than a tile: for others tiles change nothing."""
    return max(size) > TILE_PX


def advice(scales: Mapping[str, float], size: tuple[int, int], *, tiles: bool) -> str:
    """Says how a large photo is looked at, or what would find small objects in it; empty where there is nothing to say.

    Args:
        scales: by what to call a model, pixels that it gets per pixel of the photo, along a side.
        size: `(height, width)` of the photo.
        tiles: whether it is looked at in tiles.
    """
    if not fits_no_tile(size):
        return ""
    if tiles:
        return (
            f"Every model processed this photo in overlapping tiles of {TILE_PX} px and once as a whole. "
            "Duplicate detections are merged; masks are not available."
        )
    shrunk = [f"{name} at {scale:.0%} of its size" for name, scale in scales.items() if scale * SHRUNK <= 1]
    if not shrunk:
        return ""
    return (
        f"This photo of {size[1]:,} × {size[0]:,} px is downscaled for the models: {', '.join(shrunk)}. Select "
        f"“{LABEL}” to find small objects."
    )
