"""Annotations that are likely wrong, as a run sees them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.result import Result
from explorer.errors.suspects import KINDS, Kind, Suspect
from explorer.errors.suspects import suspects as find
from explorer.report.tables import Grid
from explorer.scoring.columns import Run
from explorer.text import legible
from explorer.writing import plain, replacing

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 20
_COLUMNS = ("rank", "kind", "likelihood", "image_id", "file_name", "annotation_id", "annotated", "detected")
_NUMBERS = ("score", "iou", "annotated_x1", "annotated_y1", "annotated_x2", "annotated_y2", "x1", "y1", "x2", "y2")


@dataclass(frozen=True, eq=False, repr=False)
class LabelErrors(Result):
    """Likely label errors, the likeliest first.

    Attributes:
        run: by whose detections they are doubted.
        suspects: what seems to be wrong.
    """

    run: Run
    suspects: tuple[Suspect, ...]

    @property
    def title(self) -> str:
        return f"{len(self.suspects):,} annotations or gaps that {self.run.name} doubts, the likeliest first"

    def tables(self) -> list[Grid]:
        """Returns the first of them: what seems to be wrong, where, and by which detection."""
        head = ("", "what", "image", "annotated as", "detected as", "score", "IoU", "box in px: x1, y1, x2, y2")
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
            for row in self.rows()[:SHOWN]
        )
        return [Grid(head, lines)]

    def sentences(self) -> list[str]:
        """Returns how many there are of each kind, and how they are ranked."""
        counted = Counter(one.kind for one in self.suspects)
        numbers = ", ".join(f"{counted[kind]:,} × {kind}" for kind in KINDS if counted[kind]) or "nothing"
        return [f"In all: {numbers}. Look at the first ones: the likelihood is for ranking, and falls quickly."]

    def figure(self) -> go.Figure:
        """Draws the likelihood by rank, coloured by kind."""
        from explorer.figures.suspects import likelihoods

        return likelihoods(self.suspects)

    def to_dict(self) -> dict[str, Any]:
        """Returns the run's name and `rows`."""
        return plain({"run": self.run.name, "suspects": self.rows()})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per likely error; boxes are corners in pixels, of the annotation and of the detection."""
        truth, found = self.run.truth, self.run.found
        image_ids, ids = truth.image_ids.tolist(), truth.ids.tolist()
        rows = []
        for rank, one in enumerate(self.suspects, start=1):
            image, there = int(found.images[one.detection]), one.object >= 0
            annotated = _corners(truth.boxes_xywh[one.object].tolist()) if there else [None] * 4
            named = (
                rank,
                one.kind,
                one.likelihood,
                image_ids[image],
                truth.file_names[image],
                ids[one.object] if there else None,
                truth.class_names[truth.classes[one.object]] if there else None,
                truth.class_names[found.classes[one.detection]],
            )
            numbers = (one.score, one.iou, *annotated, *_corners(found.boxes_xywh[one.detection].tolist()))
            rows.append(dict(zip((*_COLUMNS, *_NUMBERS), (*named, *numbers), strict=True)))
        return rows

    def write_csv(self, path: str | Path) -> Path:
        """Writes `rows` as a CSV file, names as people can read them, and returns its path."""
        with replacing(Path(path)) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow((*_COLUMNS, *_NUMBERS))
            for row in self.rows():
                writer.writerow([legible(value) if isinstance(value, str) else value for value in row.values()])
        return Path(path)


def label_errors(run: Run, kinds: Sequence[Kind] = KINDS) -> LabelErrors:
    """See `Run.label_errors`."""
    return LabelErrors(run, find(run, kinds=kinds))


def _corners(box_xywh: list[float]) -> list[float]:
    x, y, width, height = box_xywh
    return [x, y, x + width, y + height]
