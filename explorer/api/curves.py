"""Precision-recall curves and confusion matrices of a `Run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.api.result import Result
from explorer.errors.confusion import Confusion
from explorer.errors.confusion import confusion as confuse
from explorer.report.curves import confusion_document, confusion_grid, curve_grid
from explorer.report.tables import Grid
from explorer.report.words import found_sentence
from explorer.scoring.accumulate import RECALLS
from explorer.scoring.columns import Run, Task
from explorer.scoring.curves import SizeCurves, size_curves
from explorer.scoring.matching import match
from explorer.scoring.outcomes import FOUND, FoundRule
from explorer.writing import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, eq=False, repr=False)
class PrecisionRecall(Result):
    """Precision-recall curves of a run at one IoU, by class and size.

    Attributes:
        curves: the curves as arrays.
    """

    curves: SizeCurves

    @property
    def title(self) -> str:
        return f"{self.curves.run}, precision and recall at IoU ≥ {self.curves.iou:g}"

    def tables(self) -> list[Grid]:
        """Returns the area under each curve in percent and the number of objects, by class and size."""
        return [curve_grid(self.curves)]

    def figure(self) -> go.Figure:
        """Draws the mean curve over classes, one line per size."""
        from explorer.figures.curves import precision_recall

        return precision_recall(self.curves)

    def figure_by_class(self, size: str = "all") -> go.Figure:
        """Draws one curve per class for a size, for the classes with the most objects.

        Raises:
            ValueError: the protocol has no such size.
        """
        from explorer.figures.curves import precision_recall_by_class

        return precision_recall_by_class(self.curves, size)

    def to_dict(self) -> dict[str, Any]:
        """Returns the recalls and, by size and class, the precision and the score at each recall, all in [0, 1]."""
        own = self.curves
        by_size = {
            size.name: {
                name: {"precision": own.precision[place, row].tolist(), "score": own.scores[place, row].tolist()}
                for row, name in enumerate(own.class_names)
                if own.objects[place, row]
            }
            for place, size in enumerate(own.sizes)
        }
        return plain({"run": own.run, "iou": own.iou, "recall": RECALLS.tolist(), "curves": by_size})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per size, class and recall: interpolated precision and the score that reaches it."""
        own = self.curves
        return [
            {"size": size.name, "class": name, "recall": recall, "precision": precision, "score": score}
            for place, size in enumerate(own.sizes)
            for row, name in enumerate(own.class_names)
            if own.objects[place, row]
            for recall, precision, score in zip(
                RECALLS.tolist(), own.precision[place, row].tolist(), own.scores[place, row].tolist(), strict=True
            )
        ]


@dataclass(frozen=True, eq=False, repr=False)
class ConfusionReport(Result):
    """The confusion matrix of a run: objects by annotated and detected class, at the run's operating point.

    Attributes:
        run: name of the run.
        confusion: the counts by object size.
    """

    run: str
    confusion: Confusion

    @property
    def title(self) -> str:
        objects = int(self.confusion.of()[:-1].sum())
        return f"{self.run}, confusion matrix of {objects:,} objects"

    def tables(self) -> list[Grid]:
        """Returns the confusion matrix for objects of all sizes: annotated classes in rows, detected in columns."""
        return [confusion_grid(self.confusion)]

    def sentences(self) -> list[str]:
        """Returns the IoU and the score from which an object counts as found."""
        return [found_sentence(self.confusion.point)]

    def figure(self) -> go.Figure:
        """Draws the confusion matrix for objects of all sizes."""
        from explorer.figures.curves import confusion_matrix

        return confusion_matrix(self.confusion)

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts by size, annotated class and detected class, and the operating point."""
        return plain({"run": self.run, **confusion_document(self.confusion)})  # type: ignore[no-any-return]

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per size, annotated class and detected class with a count above zero."""
        own = self.confusion
        return [
            {"size": own.sizes[a].name, "annotated": own.labels[b], "detected": own.labels[c], "count": int(number)}
            for (a, b, c), number in np.ndenumerate(own.counts)
            if number
        ]


def pr_curves(run: Run, iou: float, task: Task) -> PrecisionRecall:
    """See `Run.pr_curves`."""
    return PrecisionRecall(size_curves(match(run, task, thresholds=(iou,), bins=run.protocol.bins), iou))


def confusion(run: Run, found: FoundRule | None, task: Task) -> ConfusionReport:
    """See `Run.confusion`."""
    rule = found or FOUND
    matches = match(run, task, thresholds=(rule.iou,), bins=run.protocol.bins)
    return ConfusionReport(run.name, confuse(matches, rule.of(matches)))
