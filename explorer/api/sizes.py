"""How large the objects of a data set are, under any protocol's sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.api.inputs import Data, as_truth
from explorer.api.result import Result
from explorer.report.tables import Grid
from explorer.scoring.columns import Truth
from explorer.scoring.protocols import COCO, Protocol, protocol_of
from explorer.types import Floats
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
OTHER = "other"
"""What objects are called that are of none of the protocol's sizes."""


@dataclass(frozen=True, eq=False, repr=False)
class ObjectSizes(Result):
    """Sizes of the objects of a data set; crowds are left out.

    Attributes:
        truth: the annotations.
        protocol: the protocol whose sizes are counted.
    """

    truth: Truth
    protocol: Protocol

    @cached_property
    def areas_px(self) -> Floats:
        """Areas `(N,)` in square pixels, of masks where there are some, as scored."""
        return self.truth.areas_px[~self.truth.crowds]

    @cached_property
    def sides_px(self) -> Mapping[str, Floats]:
        """Widths and heights of boxes, and the sides of squares with the objects' areas, `(N,)` each."""
        boxes = self.truth.boxes_xywh[~self.truth.crowds]
        return {"width": boxes[:, 2], "height": boxes[:, 3], "√area": np.sqrt(np.maximum(self.areas_px, 0))}

    @cached_property
    def names(self) -> list[str]:
        """The size of each object, by name."""
        return self.protocol.size_names(self.areas_px)

    @property
    def title(self) -> str:
        images = len(self.truth.image_ids)
        return f"{len(self.areas_px):,} objects on {images:,} images, in sizes of {self.protocol.name}"

    def counts(self) -> dict[str, dict[str, int]]:
        """Counts objects by class and size; objects outside all sizes are counted as `other`, if there are any."""
        sizes = self._sizes()
        classes = self.truth.classes[~self.truth.crowds]
        table = np.zeros((len(self.truth.class_names), len(sizes)), dtype=np.int64)
        place = {name: index for index, name in enumerate(sizes)}
        columns = np.array([place[name] for name in self.names], dtype=np.int64)
        np.add.at(table, (classes, columns), 1)
        return {
            name: dict(zip(sizes, row, strict=True))
            for name, row in zip(self.truth.class_names, table.tolist(), strict=True)
        }

    def tables(self) -> list[Grid]:
        """Returns the number of objects of each class and size, and quantiles of their sides."""
        sizes, counts = self._sizes(), self.counts()
        rows = [(name, *(f"{own[size]:,}" for size in sizes), f"{sum(own.values()):,}") for name, own in counts.items()]
        totals = [sum(own[size] for own in counts.values()) for size in sizes]
        rows.append(("all", *(f"{total:,}" for total in totals), f"{sum(totals):,}"))
        if not len(self.areas_px):
            return [Grid(("class", *sizes, "all"), tuple(rows))]
        shown = tuple(
            (name, *(f"{value:.4g}" for value in np.quantile(sides, QUANTILES)))
            for name, sides in self.sides_px.items()
        )
        heads = ("side in px", *("half are below" if part == 0.5 else f"{part:.0%} are below" for part in QUANTILES))
        return [Grid(("class", *sizes, "all"), tuple(rows)), Grid(heads, shown)]

    def sentences(self) -> tuple[str, ...]:
        """Returns which annotations are not counted, and what is likely wrong with others."""
        return self.truth.notes

    def figure(self) -> go.Figure:
        """Draws a histogram of the objects' sides (√area) in pixels, coloured by size."""
        from explorer.figures.objects import objects_by_side

        return objects_by_side(self.sides_px["√area"], self.names, self._sizes())

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts by class and size, the protocol's sizes, quantiles of sides in pixels, and notes."""
        quantiles = {
            name: dict(zip(map(str, QUANTILES), np.quantile(sides, QUANTILES), strict=True)) if len(sides) else {}
            for name, sides in self.sides_px.items()
        }
        bins = {own.name: [own.min_area_px, own.max_area_px] for own in self.protocol.sizes}
        return plain(  # type: ignore[no-any-return]
            {
                "sizes": self.protocol.name,
                "areas_px": bins,
                "counts": self.counts(),
                "sides_px": quantiles,
                "notes": list(self.truth.notes),
            }
        )

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per object: image, class, sides, area and size."""
        kept = np.flatnonzero(~self.truth.crowds)
        images, classes = self.truth.image_ids[self.truth.images[kept]].tolist(), self.truth.classes[kept].tolist()
        columns = [self.areas_px.tolist(), *(sides.tolist() for sides in self.sides_px.values())]
        return [
            {"image": image, "class": self.truth.class_names[own], "size": size, "area_px": area}
            | {"width_px": width, "height_px": height, "side_px": side}
            for image, own, size, area, width, height, side in zip(images, classes, self.names, *columns, strict=True)
        ]

    def _sizes(self) -> list[str]:
        named = [own.name for own in self.protocol.sizes]
        return [*named, *([OTHER] if OTHER in self.names else [])]


def object_sizes(data: Data, sizes: str | Protocol = COCO) -> ObjectSizes:
    """Counts the objects of a data set by class and size.

    Args:
        data: `PATH[:SPLIT]` of a data set, or a `Truth`.
        sizes: a protocol (`coco`, `ai-tod`, `soda`, `tinyperson`), or sides in pixels between sizes: `8,16,32,96`.

    Raises:
        ValueError: there is no such data set or protocol, or the protocol has no sizes.
    """
    protocol = protocol_of(sizes)
    if not protocol.sizes:
        raise ValueError(f"{protocol.name} has no sizes: give another protocol, or sides in pixels as in 8,16,32,96")
    return ObjectSizes(as_truth(data), protocol)
