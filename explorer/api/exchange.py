"""Detections as tables, as COCO documents and as supervision's type, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as mask_api

from explorer.api.result import data_frame, optional
from explorer.data.annotations import INSTANCES, judge_structure
from explorer.data.masks import encode_masks
from explorer.engine.class_names import category_ids as usual_ids
from explorer.report.tables import Grid
from explorer.scoring.convert import coco_annotations, detections_of
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import truth_from_coco
from explorer.text import in_html
from explorer.types import Detections, size_names
from explorer.writing import plain

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("class", "score", "x1", "y1", "x2", "y2", "area_px", "size")
"""Of `to_pandas`."""
_SHOWN = 20  # objects in a notebook's table


def to_dict(detections: Detections) -> dict[str, Any]:
    """See `Detections.to_dict`."""
    objects: list[dict[str, Any]] = [
        {"class": row["class"], "score": row["score"], "box_xyxy": [row[end] for end in ("x1", "y1", "x2", "y2")]}
        | {"area_px": row["area_px"], "size": row["size"]}
        for row in _rows(detections)
    ]
    for entry, mask in zip(objects, detections.masks or (), strict=bool(detections.masks)):
        entry["mask"] = plain(mask)
    if detections.mask_scores is not None:
        for entry, score in zip(objects, detections.mask_scores.tolist(), strict=True):
            entry["mask_score"] = score
    file = None if detections.file is None else str(detections.file)
    return {"file": file, "image_size": list(detections.image_size), "objects": objects}


def to_pandas(detections: Detections) -> pd.DataFrame:
    """See `Detections.to_pandas`."""
    return data_frame(_rows(detections), COLUMNS)


def table_of(detections: Detections) -> str:
    """Returns the first detections as a table of HTML, best first."""
    head = ("class", "score", "x1, px", "y1, px", "x2, px", "y2, px", "size")
    rows = tuple(
        (row["class"], f"{row['score']:.2f}", *(f"{row[end]:.0f}" for end in ("x1", "y1", "x2", "y2")), row["size"])
        for row in _rows(detections[:_SHOWN])
    )
    height, width = detections.image_size
    where = "an image" if detections.file is None else detections.file.name
    title = f"{len(detections)} objects in {where} ({height}×{width} px)"
    more = len(detections) - _SHOWN
    below = f"<p>{more} more objects score lower.</p>" if more > 0 else ""
    return f"<p><b>{in_html(title)}</b></p>{Grid(head, rows)._repr_html_()}{below}"


def _rows(detections: Detections) -> list[dict[str, Any]]:
    areas_px = detections.areas_px
    columns = detections.classes.tolist(), detections.scores.tolist(), detections.boxes_xyxy.tolist()
    return [
        {"class": detections.class_names[index], "score": score}
        | dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
        | {"area_px": area, "size": size}
        for index, score, box, area, size in zip(*columns, areas_px.tolist(), size_names(areas_px), strict=True)
    ]


def to_coco(detections: Detections, image_id: int, category_ids: Mapping[int, int] | None) -> dict[str, Any]:
    """See `Detections.to_coco`."""
    names = detections.class_names
    ids = usual_ids(names) if category_ids is None else category_ids
    height, width = detections.image_size
    file_name = "" if detections.file is None else str(detections.file)
    annotations = coco_annotations(detections, image_id, ids)
    return {
        "images": [{"id": image_id, "file_name": file_name, "height": height, "width": width}],
        "categories": [{"id": ids[index], "name": name} for index, name in enumerate(names)],
        "annotations": [{"id": number, **own} for number, own in enumerate(annotations, start=1)],
    }


def from_coco(document: Mapping[str, Any], image_id: int | str | None) -> Detections:
    """See `Detections.from_coco`.

    Raises:
        ValueError: the document is malformed, or it is not clear which image is meant.
    """
    if fault := next(judge_structure(document, INSTANCES), None):
        raise ValueError(f"The COCO document cannot be used: {fault}.")
    images = {image["id"]: image for image in document["images"]}
    if image_id is None and len(images) > 1:
        raise ValueError(f"The COCO document has {len(images)} images: say which one is meant, with image_id.")
    wanted = next(iter(images)) if image_id is None else image_id
    if wanted not in images:
        raise ValueError(f"The COCO document has no image with the id {image_id!r}.")
    truth = truth_from_coco({**document, "images": [images[wanted]], "annotations": []})
    entries = [{"score": 1.0, **own} for own in document["annotations"] if own["image_id"] == wanted]
    found = detections_of(truth, found_among(entries, truth, "The COCO document"), 0)
    file = Path(images[wanted]["file_name"])
    return replace(found, file=file) if file.is_file() else found


def to_supervision(detections: Detections) -> Any:
    """See `Detections.to_supervision`."""
    supervision = optional("supervision", "to_supervision")
    masks = detections.masks
    height, width = detections.image_size
    decoded = None
    if masks is not None:
        pixels = [mask_api.decode(mask).astype(bool) for mask in masks]
        decoded = np.stack(pixels) if pixels else np.zeros((0, height, width), bool)
    names = np.array([detections.class_names[index] for index in detections.classes.tolist()], dtype=str)
    return supervision.Detections(
        xyxy=detections.boxes_xyxy.copy(),
        mask=decoded,
        confidence=detections.scores.copy(),
        class_id=detections.classes.copy(),
        data={"class_name": names},
    )


def from_supervision(detections: Any, class_names: Sequence[str], image_size: tuple[int, int] | None) -> Detections:
    """See `Detections.from_supervision`.

    Source: the fields of `supervision.Detections` in supervision's documentation.

    Raises:
        ValueError: the classes have no names, or the image's size is not known.
    """
    boxes = np.asarray(detections.xyxy, np.float32).reshape(-1, 4)
    if detections.class_id is None:
        raise ValueError("These detections have no class_id: set it, an index into class_names for each box.")
    classes = np.asarray(detections.class_id, np.int64)
    names = tuple(class_names) or _names_in(detections, classes)
    if outside := [index for index in classes.tolist() if not 0 <= index < len(names)]:
        raise ValueError(f"class_id {outside[0]} has no name: class_names has {len(names)}, for 0 to {len(names) - 1}.")
    scores = np.ones(len(boxes)) if detections.confidence is None else np.asarray(detections.confidence)
    masks = None if detections.mask is None else np.asarray(detections.mask, bool)
    size = image_size or (None if masks is None or not len(masks) else (masks.shape[1], masks.shape[2]))
    if size is None:
        raise ValueError("supervision does not keep the size of the image: give image_size=(height, width) in pixels.")
    if masks is not None and len(masks) and masks.shape[1:] != tuple(size):
        raise ValueError(f"image_size is {tuple(size)}, and the masks are of (height, width) {masks.shape[1:]}.")
    rows = np.argsort(-scores, kind="stable")
    return Detections(
        boxes_xyxy=boxes[rows],
        scores=scores[rows].astype(np.float32),
        classes=classes[rows],
        class_names=names,
        image_size=(int(size[0]), int(size[1])),
        masks=None if masks is None else tuple(encode_masks(masks[rows])),
    )


def _names_in(detections: Any, classes: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[str, ...]:
    """The names of classes as the detections give them; of indices that none of them has, `class 7`."""
    given = (detections.data or {}).get("class_name")
    if given is None:
        raise ValueError('These detections have no data["class_name"]: give the names by class index as class_names.')
    name_of = dict(zip(classes.tolist(), map(str, given), strict=True))
    return tuple(name_of.get(index, f"class {index}") for index in range(max(name_of, default=-1) + 1))
