"""Annotated objects as rows: what stands in the data frames of all results that are about objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explorer.scoring.columns import Truth
from explorer.scoring.protocols import COCO, Protocol

Row = dict[str, Any]


def object_rows(truth: Truth, columns: Mapping[str, Sequence[Any]], protocol: Protocol = COCO) -> list[Row]:
    """Returns one row per annotated object: which and where it is, and what else is known of it.

    Args:
        truth: the objects; boxes are corners in pixels of the original image, `x2` and `y2` exclusive.
        columns: further values by column, one per object.
        protocol: whose names of sizes there are; `other` for an object of none.
    """
    image_ids, ids, areas_px = truth.image_ids.tolist(), truth.ids.tolist(), truth.areas_px.tolist()
    sizes = protocol.size_names(truth.areas_px)
    rows: list[Row] = []
    for row, (image, class_row, (x, y, width, height)) in enumerate(
        zip(truth.images.tolist(), truth.classes.tolist(), truth.boxes_xywh.tolist(), strict=True)
    ):
        place = {"image_id": image_ids[image], "file_name": truth.file_names[image], "annotation_id": ids[row]}
        box = {"x1": x, "y1": y, "x2": x + width, "y2": y + height}
        known = {"area_px": areas_px[row], "size": sizes[row]}
        more = {name: values[row] for name, values in columns.items()}
        rows.append(
            place | {"class": truth.class_names[class_row]} | box | known | {"crowd": bool(truth.crowds[row])} | more
        )
    return rows
