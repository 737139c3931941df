"""Which detections overlap which objects of the same image, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from pycocotools import mask as mask_api

from explorer.data.masks import Rle
from explorer.scoring.columns import Run, Task
from explorer.types import Bools, Floats, Ints

PAIRS_AT_A_TIME = 2**18
"""Bounds memory."""


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of a detection and an object, sorted by detection and object.

    Attributes:
        detections: `(P,)` int64, rows in `Run.found`.
        objects: `(P,)` int64, rows in `Run.truth`.
        ious: `(P,)` float64; for a crowd the share of the detection that lies in it, as in COCO.
    """

    detections: Ints
    objects: Ints
    ious: Floats


def overlaps(
    run: Run, task: Task = "bbox", *, least: float = 0.5, rows: Ints | None = None, same_class: bool = True
) -> Overlaps:
    """Finds the pairs that overlap enough.

    Args:
        run: what is there and what was found.
        task: boxes or masks.
        least: pairs with a smaller IoU are left out.
        rows: the detections that count, ascending; None for all.
        same_class: whether only objects of the detection's class count.

    Raises:
        ValueError: masks are asked for that the detections or the objects do not have.

    Source: `pycocotools.mask.iou`.
    """
    rows = np.arange(len(run.found)) if rows is None else rows
    classes = len(run.truth.class_names) if same_class else 1
    found_keys = run.found.images[rows] * classes + (run.found.classes[rows] if same_class else 0)
    truth_keys = run.truth.images * classes + (run.truth.classes if same_class else 0)
    measure = partial(_box_ious, run) if task == "bbox" else partial(_mask_ious, *_masks_of(run), run.truth.crowds)
    columns = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for places, objects in _pairs(found_keys, truth_keys):
        ious = measure(rows[places], objects)
        enough = np.flatnonzero(ious >= least)
        columns.append((rows[places[enough]], objects[enough], ious[enough]))
    return Overlaps(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _pairs(found_keys: Ints, truth_keys: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yields pairs of places that share a key, some at a time, sorted by the first and the second."""
    order = np.argsort(truth_keys, kind="stable")
    ascending = truth_keys[order]
    first, last = (np.searchsorted(ascending, found_keys, side) for side in _SIDES)
    ends = np.cumsum(last - first)
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + PAIRS_AT_A_TIME, "right")))
        numbers = (last - first)[start:stop]
        places = np.repeat(np.arange(start, stop), numbers)
        within = np.arange(len(places)) - np.repeat(ends[start:stop] - numbers - before, numbers)
        if len(places):
            yield places, order[first[places] + within]
        start = stop


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def _box_ious(run: Run, detections: Ints, objects: Ints) -> Floats:
    """Computes what `pycocotools.mask.iou` does of boxes, operation by operation."""
    x, y, w, h = run.found.boxes_xywh[detections].T
    x2, y2, w2, h2 = run.truth.boxes_xywh[objects].T
    width = np.minimum(x + w, x2 + w2) - np.maximum(x, x2)
    height = np.minimum(y + h, y2 + h2) - np.maximum(y, y2)
    shared = np.where((width > 0) & (height > 0), width * height, 0)
    whole = np.where(run.truth.crowds[objects], w * h, w * h + w2 * h2 - shared)
    ious: Floats = np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)
    return ious


def _mask_ious(found: Sequence[Rle], truth: Sequence[Rle], crowds: Bools, detections: Ints, objects: Ints) -> Floats:
    """Asks pycocotools, at once for the detections that have the same objects."""
    starts = np.flatnonzero(np.diff(detections, prepend=-1))
    numbers = np.diff(starts, append=len(objects))
    order = np.argsort(objects[starts], kind="stable")
    ious = np.empty(len(objects))
    for group in np.split(order, np.flatnonzero(np.diff(objects[starts[order]])) + 1):
        pairs = starts[group, None] + np.arange(numbers[group[0]])
        own = objects[pairs[0]]
        ious[pairs] = mask_api.iou(
            [found[row] for row in detections[starts[group]]], [truth[row] for row in own], crowds[own].astype(np.uint8)
        )
    return ious


def areas_px(run: Run, task: Task) -> Floats:
    """Returns the `(D,)` areas that decide a detection's size: its box's, or its mask's."""
    if task == "bbox":
        areas: Floats = run.found.boxes_xywh[:, 2] * run.found.boxes_xywh[:, 3]
        return areas
    masks, _ = _masks_of(run)
    # one at a time: pycocotools 2.0.11 counts a list's masks in 8 bits
    return np.array([mask_api.area(mask) for mask in masks], dtype=np.float64)


def _masks_of(run: Run) -> tuple[Sequence[Rle], Sequence[Rle]]:
    if run.found.masks is None and len(run.found):
        raise ValueError(f"{run.name} found boxes without masks: ask for boxes (task 'bbox')")
    found, lacking = _present(run.found.masks, len(run.found))
    if lacking:
        image = run.truth.image_ids.tolist()[run.found.images[lacking[0]]]
        raise ValueError(
            f"{len(lacking)} of {len(run.found)} detections of {run.name} have no mask, the first is on image {image}: "
            "ask for boxes (task 'bbox')"
        )
    there, lacking = _present(run.truth.masks, len(run.truth))
    if lacking:
        raise ValueError(
            f"{len(lacking)} of {len(run.truth)} objects have no mask, the first is annotation "
            f"{run.truth.ids.tolist()[lacking[0]]}: ask for boxes (task 'bbox')"
        )
    return found, there


def _present(masks: Sequence[Rle | None] | None, number: int) -> tuple[list[Rle], list[int]]:
    """The masks that are there, and the rows without."""
    given = masks or [None] * number
    present = [mask for mask in given if mask is not None]
    return present, [row for row, mask in enumerate(given) if mask is None]


def ious_of(run: Run, detections: Ints, objects: Ints, least: float, task: Task = "bbox") -> Floats:
    """Returns the overlap of detections with the objects that they took, `(N,)`.

    Args:
        run: what is there and what was found.
        detections: `(N,)` their rows, ascending.
        objects: `(N,)` the object of each, of its own class and image.
        least: the IoU at which they were matched.
        task: of boxes or of masks.
    """
    pairs = overlaps(run, task, least=least - 1e-9, rows=detections)
    width = len(run.truth) + 1
    places = np.searchsorted(pairs.detections * width + pairs.objects, detections * width + objects)
    return pairs.ious[places]
