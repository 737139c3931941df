"""Likely label errors as a table and as rows: what seems to be wrong, where, and by which detection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.errors.suspects import KINDS, Suspect
from explorer.report.tables import Grid
from explorer.scoring.columns import Run

COLUMNS = ("rank", "kind", "likelihood", "image_id", "file_name", "annotation_id", "annotated", "detected")
NUMBERS = ("score", "iou", "annotated_x1", "annotated_y1", "annotated_x2", "annotated_y2", "x1", "y1", "x2", "y2")
SHOWN = 20
_HEAD = ("", "what", "image", "annotated as", "detected as", "score", "IoU", "box in px: x1, y1, x2, y2")


def suspect_rows(run: Run, found: Sequence[Suspect]) -> list[dict[str, Any]]:
    """Returns one row per likely error; boxes are corners in pixels, of the annotation and of the detection."""
    truth, detections = run.truth, run.found
    image_ids, ids = truth.image_ids.tolist(), truth.ids.tolist()
    rows = []
    for rank, one in enumerate(found, start=1):
        image, there = int(detections.images[one.detection]), one.object >= 0
        annotated = _corners(truth.boxes_xywh[one.object].tolist()) if there else [None] * 4
        named = (
            rank,
            one.kind,
            one.likelihood,
            image_ids[image],
            truth.file_names[image],
            ids[one.object] if there else None,
            truth.class_names[truth.classes[one.object]] if there else None,
            truth.class_names[detections.classes[one.detection]],
        )
        numbers = (one.score, one.iou, *annotated, *_corners(detections.boxes_xywh[one.detection].tolist()))
        rows.append(dict(zip((*COLUMNS, *NUMBERS), (*named, *numbers), strict=True)))
    return rows


def suspect_grid(run: Run, found: Sequence[Suspect]) -> Grid:
    """Returns the first of them as a table."""
    lines = tuple(
        (
            str(row["rank"]),
            row["kind"],
            Path(row["file_name"]).name,
            row["annotated"] or "–",
            row["detected"],
            f"{row['score']:.2f}",
            f"{row['iou']:.2f}",
            ", ".join(f"{row[end]:.0f}" for end in ("x1", "y1", "x2", "y2")),
        )
        for row in suspect_rows(run, found[:SHOWN])
    )
    return Grid(_HEAD, lines)


def suspect_sentence(found: Sequence[Suspect]) -> str:
    """Says how many there are of each kind, and how they are ranked."""
    counted = Counter(one.kind for one in found)
    numbers = ", ".join(f"{counted[kind]:,} × {kind}" for kind in KINDS if counted[kind]) or "nothing"
    return f"In all: {numbers}. Review the first ones: the likelihood only serves for ranking and falls quickly."


def _corners(box_xywh: list[float]) -> list[float]:
    x, y, width, height = box_xywh
    return [x, y, x + width, y + height]
