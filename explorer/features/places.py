"""Where things lie: a box of the photo in a map's cells, a map over the photo, the part of a map around an object."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from explorer.types import Bools, FeatureMap, Floats32, Frame


def crop(feature: FeatureMap, box_xyxy: Sequence[float], *, margin: float = 0.5) -> FeatureMap:
    """Cuts out the part of a map where an object is: whole cells, never the padding's.

    Args:
        feature: the map; take it at the level that the box is assigned to (`explorer.features.scores.assigned_level`).
        box_xyxy: in the photo's pixels.
        margin: how much of the surroundings to keep on each side, in widths and heights of the box.

    Raises:
        ValueError: the box is no box or does not overlap the photo, or the margin is negative.
    """
    if margin < 0:
        raise ValueError(f"margin is {margin}; it must be 0 or more.")
    check_box(feature.frame, box_xyxy)
    x1, y1, x2, y2 = feature.frame.to_cells(box_xyxy)
    wide, high = margin * (x2 - x1), margin * (y2 - y1)
    rows, columns = feature.content.shape[1:]
    top, bottom = _whole_cells(y1 - high, y2 + high, rows)
    left, right = _whole_cells(x1 - wide, x2 + wide, columns)
    first = feature.frame.first_cell
    frame = dataclasses.replace(feature.frame, first_cell=(first[0] + top, first[1] + left))
    return FeatureMap(feature.layer, feature.values[:, top:bottom, left:right], frame)


def on_photo(values: Floats32, frame: Frame, size: tuple[int, int], *, smooth: bool = True) -> Floats32:
    """Lays a map over the whole photo, sampled at the middle of every pixel of a picture of the photo.

    Beyond the outermost cells' middles the outermost values go on.

    Args:
        values: `(rows, columns)` or `(rows, columns, up to 4)`.
        frame: of the map.
        size: `(height, width)` of the picture in pixels.
        smooth: interpolate linearly between the middles of cells; otherwise the cells are seen as they are.

    Returns:
        `size`, and the channels that `values` has.
    """
    steps = [extent / pixels / cell for extent, pixels, cell in zip(frame.image_size, size, frame.cell_px, strict=True)]
    # An output pixel's index i has its middle at i + 0.5; a cell's index likewise.
    (down, right), (row, column) = steps, frame.first_cell
    to_cells = np.array([[right, 0, right / 2 - 0.5 - column], [0, down, down / 2 - 0.5 - row]])
    flags = (cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(
        np.ascontiguousarray(values, np.float32), to_cells, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(laid, np.float32)


def cells_inside(frame: Frame, box_xyxy: Sequence[float], shape: tuple[int, ...]) -> Bools:
    """Marks the cells whose centre lies in a box, or the one cell that holds the box's centre if there are none.

    Args:
        frame: of the map.
        box_xyxy: in the photo's pixels.
        shape: `(rows, columns)` of the answer.

    Raises:
        ValueError: the box is no box, or does not overlap the photo.
    """
    check_box(frame, box_xyxy)
    x1, y1, x2, y2 = frame.to_cells(box_xyxy)
    rows, columns = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
    inside = np.outer((rows >= y1) & (rows < y2), (columns >= x1) & (columns < x2))
    if not inside.any():
        row = np.clip(int((y1 + y2) / 2), 0, shape[0] - 1)
        inside[row, np.clip(int((x1 + x2) / 2), 0, shape[1] - 1)] = True
    return inside


def check_box(frame: Frame, box_xyxy: Sequence[float]) -> None:
    """Makes sure that a box has an area and overlaps the photo.

    Raises:
        ValueError: it does not.
    """
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    height, width = frame.image_size
    if not (x1 < x2 and y1 < y2 and x1 < width and y1 < height and x2 > 0 and y2 > 0):
        raise ValueError(
            f"Box {[x1, y1, x2, y2]} is not (x1, y1, x2, y2) with x1 < x2 and y1 < y2 in a photo of {width} × {height} "
            "pixels."
        )


def _whole_cells(start: float, end: float, count: int) -> tuple[int, int]:
    """The whole cells that an extent touches, at least one, within a map of `count`."""
    first = min(max(math.floor(start), 0), count - 1)
    return first, max(min(math.ceil(end), count), first + 1)
