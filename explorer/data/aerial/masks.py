"""COCO masks of drawn things, rasterised the way pycocotools does, so that every reader sees the same pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from explorer.types import Array


def clip_polygon(polygon: Array, size: tuple[int, int]) -> Array:
    """Clips a polygon `(n, 2)` of COCO pixel coordinates to the picture (Sutherland and Hodgman, 1974)."""
    height, width = size
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return polygon
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return np.zeros((0, 2))
    points = polygon
    for axis, limit, sign in ((0, 0.0, 1.0), (0, float(width), -1.0), (1, 0.0, 1.0), (1, float(height), -1.0)):
        if len(points) == 0:
            break
        distance = (points[:, axis] - limit) * sign
        previous, before = np.roll(points, 1, axis=0), np.roll(distance, 1)
        kept: list[Array] = []
        for point, d, last, d_last in zip(points, distance, previous, before, strict=True):
            if (d >= 0) != (d_last >= 0):
                kept.append(last + (point - last) * (d_last / (d_last - d)))
            if d >= 0:
                kept.append(point)
        points = np.array(kept) if kept else np.zeros((0, 2))
    return points


def flat(polygon: Array) -> list[float]:
    """Writes a polygon as COCO does, `[x0, y0, x1, y1, …]`, to a sixteenth of a pixel."""
    return [float(v) for v in (np.round(polygon * 16) / 16).ravel()]


def rasterise(polygons: tuple[Array, ...], size: tuple[int, int]) -> tuple[Array, tuple[int, int]]:
    """Rasterises polygons; returns the boolean patch around them and its `(y, x)` offset in the picture."""
    clipped = [p for p in (clip_polygon(polygon, size) for polygon in polygons) if len(p) >= 3]
    if not clipped:
        return np.zeros((0, 0), bool), (0, 0)
    corners = np.concatenate(clipped)
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (size[1], size[0]))
    if x0 >= x1 or y0 >= y1:
        return np.zeros((0, 0), bool), (0, 0)
    # From the picture's corner, not the patch's: pycocotools breaks ties between pixels by rounding errors, which
    # differ from place to place. Columns to the right make no difference.
    runs = coco_mask.frPyObjects([flat(p) for p in clipped], size[0], int(x1))
    patch: Array = coco_mask.decode(coco_mask.merge(runs))[y0:y1, x0:].astype(bool)
    return patch, (int(y0), int(x0))


def encode(mask: Array) -> dict[str, Any]:
    """Encodes a boolean `(height, width)` mask as a JSON-ready compressed RLE."""
    run: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(v) for v in run["size"]], "counts": run["counts"].decode("ascii")}


def bounds(mask: Array) -> list[int]:
    """Returns `[x, y, width, height]` of a boolean mask that is not empty."""
    return [int(v) for v in cv2.boundingRect(mask.view(np.uint8))]
