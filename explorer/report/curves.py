"""Precision-recall curves and confusion matrices as tables and plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.errors.confusion import Confusion
from explorer.report.tables import Grid, class_size_grid
from explorer.scoring.curves import SizeCurves

MOST_CLASSES = 12
"""Columns that a table has room for; of more classes, those with most objects are shown."""


def curve_grid(curves: SizeCurves) -> Grid:
    """AP at the curves' IoU in percent by class and size, with the objects that it rests on."""
    name = f"AP{round(100 * curves.iou)}"
    return class_size_grid(name, curves.class_names, curves.sizes, curves.average_precision, curves.objects)


def confusion_grid(confused: Confusion, size: str = "all") -> Grid:
    """How many objects of each class, in rows, are taken for each; nothing and the classes with most objects.

    Raises:
        ValueError: there is no such size.
    """
    counts, names = confused.of(size), confused.class_names
    busy = np.argsort(-(counts.sum(axis=1) + counts.sum(axis=0))[:-1], kind="stable")[:MOST_CLASSES]
    kept, left = np.sort(busy).tolist(), sorted(set(range(len(names))) - set(busy.tolist()))
    merged = [*([row] for row in kept), *([left] if left else []), [len(names)]]
    labels = [*(names[row] for row in kept), *([f"{len(left)} others"] if left else [])]
    cells = [[int(counts[np.ix_(rows, columns)].sum()) for columns in merged] for rows in merged]
    lines = zip((*labels, "nothing there"), cells, strict=True)
    shown = tuple((label, *(f"{number:,}" if number else "·" for number in line)) for label, line in lines)
    return Grid(("annotated as \\ detected as", *labels, "missed"), shown)


def confusion_document(confused: Confusion) -> dict[str, Any]:
    """Returns the counts by size, annotated class and detected class without zeros, and the operating point."""
    labels = confused.labels
    return {
        "operating_point": vars(confused.point),
        "counts": {
            size.name: {
                labels[row]: {labels[column]: int(line[column]) for column in np.flatnonzero(line).tolist()}
                for row, line in enumerate(confused.counts[place])
                if line.any()
            }
            for place, size in enumerate(confused.sizes)
        },
    }
