"""The annotations of a data set, to look at and to count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.api.objects import Row, object_rows
from explorer.api.result import Result
from explorer.report.document import annotations_with
from explorer.report.tables import Grid
from explorer.scoring.columns import Truth
from explorer.scoring.runs import read_truth as read
from explorer.types import SIZES
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class Annotations(Result, Truth):
    """The annotations of a data set. Attributes are those of `Truth`."""

    @property
    def title(self) -> str:
        classes = len(self.class_names)
        return f"{len(self.image_ids):,} images with {int((~self.crowds).sum()):,} objects of {classes} classes"

    def tables(self) -> list[Grid]:
        """Returns the number of objects of each class, by COCO size; crowds are not counted."""
        counts = self.counts()
        rows = tuple(
            (name, *(f"{own[size]:,}" for size in SIZES), f"{sum(own.values()):,}") for name, own in counts.items()
        )
        return [Grid(("class", *SIZES, "all"), rows)]

    def sentences(self) -> tuple[str, ...]:
        """Returns what was left out, and what is likely wrong."""
        return self.notes

    def figure(self) -> go.Figure:
        """Draws how many objects of each class there are, by COCO size."""
        from explorer.figures.objects import objects_by_class

        return objects_by_class(self.counts())

    def to_dict(self) -> dict[str, Any]:
        """Returns a COCO document: `images`, `categories` and `annotations`, without masks."""
        return plain(annotations_with(self, {}))  # type: ignore[no-any-return]

    def rows(self) -> list[Row]:
        """Returns one row per annotated object, crowds among them."""
        return object_rows(self, {})

    def counts(self) -> dict[str, dict[str, int]]:
        """Counts objects by class and COCO size; crowds are left out."""
        counted = Counter((row["class"], row["size"]) for row in self.rows() if not row["crowd"])
        return {name: {size: counted[name, size] for size in SIZES} for name in self.class_names}


def read_truth(data: str | Path) -> Annotations:
    """Reads the annotations of a data set that evaluation uses, in COCO's order.

    Invalid annotations are left out, as in every evaluation (`explorer data check` lists them).

    Args:
        data: `PATH[:SPLIT]` of a data set, or a registered name.

    Raises:
        ValueError: there is no such data set, it has no instance annotations, or some share an id.
    """
    truth = read(str(data))
    return Annotations(**{field.name: getattr(truth, field.name) for field in fields(truth)})
