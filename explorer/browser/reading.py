"""FiftyOne's labels as columns, so that everything here also works on data sets that others built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from explorer.scoring.columns import Run, Truth, in_order
from explorer.types import Floats, Ints

_AREAS = ("area_px", "area")


def run_of(samples: Any, gt_field: str, pred_field: str) -> Run:
    """Reads objects and detections of a FiftyOne collection.

    An object's area is its `area_px` or `area` where it has one, else its box's; `iscrowd` marks crowds. Classes are
    those that occur, sorted by name.

    Args:
        samples: a data set or view of images with sizes in their metadata, which are read where they are missing.
        gt_field: of the objects, FiftyOne's `Detections`.
        pred_field: of the detections.

    Raises:
        ValueError: a detection has no confidence, or an image's size is not known.
    """
    samples.compute_metadata()
    heights, widths = samples.values(["metadata.height", "metadata.width"])
    if None in heights:
        raise ValueError("the size of an image is not known: its file cannot be read")
    sizes = np.array([heights, widths], dtype=np.int64).T.reshape(-1, 2)
    thing, found = f"{gt_field}.detections", f"{pred_field}.detections"
    names, boxes, crowds = samples.values([f"{thing}.label", f"{thing}.bounding_box", f"{thing}.iscrowd"])
    found_names, found_boxes, scores = samples.values(
        [f"{found}.label", f"{found}.bounding_box", f"{found}.confidence"]
    )
    class_names = tuple(sorted({name for own in (*names, *found_names) for name in own or ()}))
    row_of = {name: row for row, name in enumerate(class_names)}
    images, boxes_xywh = _boxes(boxes, sizes)
    areas = boxes_xywh[:, 2] * boxes_xywh[:, 3]
    for name in _AREAS:
        given = np.array(_flat(samples.values(f"{thing}.{name}"), boxes), dtype=np.float64)
        areas = np.where(np.isnan(given), areas, given)
    truth = Truth(
        image_ids=np.arange(len(sizes)),
        file_names=tuple(samples.values("filepath")),
        image_sizes=sizes,
        category_ids=np.arange(len(class_names)),
        class_names=class_names,
        ids=np.arange(len(images)),
        images=images,
        classes=np.array([row_of[name] for name in _flat(names, boxes)], dtype=np.int64),
        boxes_xywh=boxes_xywh,
        areas_px=areas,
        crowds=np.array([bool(crowd) for crowd in _flat(crowds, boxes)], dtype=np.bool_),
    )
    found_images, found_xywh = _boxes(found_boxes, sizes)
    flat_scores = _flat(scores, found_boxes)
    if None in flat_scores:
        raise ValueError(f"a detection in {pred_field!r} has no confidence; AP needs one for each")
    columns = in_order(
        found_images,
        np.array([row_of[name] for name in _flat(found_names, found_boxes)], dtype=np.int64),
        found_xywh,
        np.array(flat_scores, dtype=np.float64),
    )
    return Run(pred_field, truth, columns, {})


def _boxes(boxes: Sequence[Sequence[Sequence[float]] | None], sizes: Ints) -> tuple[Any, Floats]:
    """Returns the image row of each box, and the boxes in pixels."""
    images = np.repeat(np.arange(len(boxes)), [len(own or ()) for own in boxes])
    flat = np.array([box for own in boxes for box in own or ()], dtype=np.float64).reshape(-1, 4)
    return images, flat * sizes[images][:, [1, 0, 1, 0]]


def _flat(values: Sequence[Sequence[Any] | None] | None, like: Sequence[Sequence[Any] | None]) -> list[Any]:
    """One value per label; None for each where the field is not there at all."""
    return [
        value
        for own, labels in zip(values or [None] * len(like), like, strict=True)
        for value in (own if own is not None else [None] * len(labels or ()))
    ]
