"""Which detections overlap which objects of the same image, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from explorer.data.masks import Rle
from explorer.scoring.columns import Run

Task = Literal["bbox", "segm"]
"""What is compared: boxes, or masks."""

LARGEST_BLOCK = 2**20
"""Overlaps computed at a time."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of a detection and an object, sorted by detection and object.

    Attributes:
        detections: `(P,)` int64, rows in `Run.found`.
        objects: `(P,)` int64, rows in `Run.truth`.
        ious: `(P,)` float64; for a crowd the share of the detection that lies in it, as in COCO.
    """

    detections: Rows
    objects: Rows
    ious: npt.NDArray[np.float64]


def overlaps(
    run: Run, task: Task = "bbox", *, least: float = 0.5, rows: Rows | None = None, same_class: bool = True
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
    shapes = Shapes(run, task)
    rows = np.arange(len(run.found)) if rows is None else rows
    classes = len(run.truth.class_names) if same_class else 1
    found_keys = run.found.images[rows] * classes + (run.found.classes[rows] if same_class else 0)
    truth_keys = run.truth.images * classes + (run.truth.classes if same_class else 0)
    pairs = [
        (rows[detections][i], objects[j], ious[i, j])
        for detections, objects in _groups(found_keys, truth_keys)
        for ious in [shapes.ious(rows[detections], objects)]
        for i, j in [np.nonzero(ious >= least)]
    ]
    detections, objects, ious = (np.concatenate(column) for column in zip(*pairs, strict=True)) if pairs else _NONE
    order = np.lexsort((objects, detections))
    return Overlaps(detections[order], objects[order], ious[order])


_NONE = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class Shapes:
    """The boxes or the masks of a run, for pycocotools.

    Raises:
        ValueError: there are no such masks.
    """

    def __init__(self, run: Run, task: Task) -> None:
        self._crowds = run.truth.crowds.astype(np.uint8)
        self._found: npt.NDArray[np.float64] | Sequence[Rle] = run.found.boxes_xywh
        self._truth: npt.NDArray[np.float64] | Sequence[Rle] = run.truth.boxes_xywh
        if task == "segm":
            self._found, self._truth = _masks_of(run)

    def ious(self, detections: Rows, objects: Rows) -> npt.NDArray[np.float64]:
        """Returns the `(D, G)` overlaps of detections and objects, by rows."""
        truth, crowds = _take(self._truth, objects), self._crowds[objects]
        step = max(1, LARGEST_BLOCK // len(objects))
        blocks = [
            mask_api.iou(_take(self._found, detections[at : at + step]), truth, crowds)
            for at in range(0, len(detections), step)
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def areas_px(run: Run, task: Task) -> npt.NDArray[np.float64]:
    """Returns the `(D,)` areas that decide a detection's size: its box's, or its mask's."""
    if task == "bbox":
        areas: npt.NDArray[np.float64] = run.found.boxes_xywh[:, 2] * run.found.boxes_xywh[:, 3]
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


def _groups(found_keys: Rows, truth_keys: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yields the places of detections and of objects that share a key."""
    found_order, truth_order = np.argsort(found_keys, kind="stable"), np.argsort(truth_keys, kind="stable")
    found_keys, truth_keys = found_keys[found_order], truth_keys[truth_order]
    shared = np.intersect1d(found_keys, truth_keys)
    edges = [np.searchsorted(keys, shared, side) for keys in (found_keys, truth_keys) for side in _SIDES]
    for d0, d1, g0, g1 in zip(*(edge.tolist() for edge in edges), strict=True):
        yield found_order[d0:d1], truth_order[g0:g1]


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def _take(shapes: npt.NDArray[np.float64] | Sequence[Rle], rows: Rows) -> npt.NDArray[np.float64] | list[Rle]:
    return shapes[rows] if isinstance(shapes, np.ndarray) else [shapes[row] for row in rows]
