"""COCO annotations and the panoptic map of a painted canvas: what is visible, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from explorer.data.aerial.canvas import Canvas, Placed
from explorer.data.aerial.categories import IGNORE, stuff_category_id, thing_id
from explorer.data.aerial.masks import bounds, clip_polygon, encode, flat
from explorer.types import Array

_LEAST_SIDE_PX = 7
_LEAST_AREA_PX = 70
_LEAST_VISIBLE = 0.15
_LEAST_STUFF_AREA_PX = 64
_LEAST_CROWD = 6
_THING_ID_OFFSET = 16


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of one image; ids are unique within the image only.

    Attributes:
        annotations: COCO instance annotations without `id` and `image_id`, crowds last.
        segment_ids: `(height, width)` int32, 0 for void.
        segments: COCO panoptic `segments_info`; a thing's `id` is its place in `annotations` plus 17.
        sem_seg: `(height, width)` uint8, 0 for things, then stuff from 1, 255 for ignore.
    """

    annotations: tuple[dict[str, Any], ...]
    segment_ids: Array
    segments: tuple[dict[str, Any], ...]
    sem_seg: Array


def label(canvas: Canvas) -> Labels:
    """Labels everything visible; things too small or too hidden become void, crowds of a few are labelled singly."""
    annotations: list[dict[str, Any]] = []
    segment_ids = np.zeros(canvas.size, np.int32)
    sem_seg = np.where(canvas.owner == 0, canvas.stuff, IGNORE).astype(np.uint8)
    crowds: dict[int, list[int]] = {}
    visible_px = np.bincount(np.maximum(canvas.owner, 0).ravel(), minlength=len(canvas.placed) + 1)

    def add(members: list[int], segmentation: Any, crowd: bool) -> None:
        mask = np.isin(canvas.owner, members) if crowd else canvas.owner == members[0]
        box = bounds(mask)
        if min(box[2:]) < _LEAST_SIDE_PX:
            return
        annotation = {
            "category_id": thing_id(canvas.placed[members[0] - 1].category),
            "bbox": [float(v) for v in box],
            "area": float(visible_px[members].sum()),
            "iscrowd": int(crowd),
            "segmentation": segmentation or encode(mask),
        }
        annotations.append(annotation)
        segment_ids[mask] = _THING_ID_OFFSET + len(annotations)
        sem_seg[mask] = 0

    for index, placed in enumerate(canvas.placed, start=1):
        if placed.crowd is not None and visible_px[index] >= _LEAST_AREA_PX:
            crowds.setdefault(placed.crowd, []).append(index)
    crowds = {number: members for number, members in crowds.items() if len(members) >= _LEAST_CROWD}
    for index, placed in enumerate(canvas.placed, start=1):
        if placed.crowd not in crowds and _worth_labelling(int(visible_px[index]), placed):
            whole = visible_px[index] == placed.area_px
            add([index], _polygons(placed, canvas.size) if whole else None, crowd=False)
    for members in crowds.values():
        add(members, None, crowd=True)
    segments = [_segment(_THING_ID_OFFSET + n, a) for n, a in enumerate(annotations, start=1)]
    segments += _stuff_segments(sem_seg, segment_ids)
    return Labels(tuple(annotations), segment_ids, tuple(segments), sem_seg)


def _worth_labelling(visible_px: int, placed: Placed) -> bool:
    full = sum(cv2.contourArea(p.astype(np.float32)) for p in placed.polygons)
    return visible_px >= max(_LEAST_AREA_PX, _LEAST_VISIBLE * full)


def _polygons(placed: Placed, size: tuple[int, int]) -> list[list[float]]:
    clipped = (clip_polygon(p, size) for p in placed.polygons)
    return [flat(p) for p in clipped if len(p) >= 3]


def _segment(segment_id: int, annotation: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": segment_id,
        "category_id": annotation["category_id"],
        "area": int(annotation["area"]),
        "bbox": [int(v) for v in annotation["bbox"]],
        "iscrowd": annotation["iscrowd"],
    }


def _stuff_segments(sem_seg: Array, segment_ids: Array) -> list[dict[str, Any]]:
    """Gives each kind of ground one segment; slivers become ignore and void."""
    segments = []
    for stuff in np.unique(sem_seg[(sem_seg > 0) & (sem_seg < IGNORE)]):
        mask = sem_seg == stuff
        area = int(mask.sum())
        if area < _LEAST_STUFF_AREA_PX:
            sem_seg[mask] = IGNORE
            continue
        segment_ids[mask] = int(stuff)
        segments.append(
            {
                "id": int(stuff),
                "category_id": stuff_category_id(int(stuff)),
                "area": area,
                "bbox": bounds(mask),
                "iscrowd": 0,
            }
        )
    return segments
