"""Which objects a detector finds when it is used: at one IoU and one score threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.errors.matching import NOBODY, Matches
from explorer.errors.ordering import Floats
from explorer.errors.overlaps import Rows

USUAL_PRECISION = 0.5


@dataclass(frozen=True)
class OperatingPoint:
    """A detector in use: only detections with at least this score are shown. All classes together, crowds aside.

    Attributes:
        run: the run's name.
        score: the threshold.
        precision_percent: of the detections shown, those that find an object; NaN where none is shown.
        recall_percent: of the objects, those that are found; NaN where there is none.
        detections: number shown.
    """

    run: str
    score: float
    precision_percent: float
    recall_percent: float
    detections: int


def operating_point(matches: Matches, score: float, iou: float = 0.5) -> OperatingPoint:
    """Measures a detector at a score threshold."""
    scores, right = _judged(matches, iou)
    shown = scores >= score
    objects = int((~matches.objects_ignored[matches.bin_index("all")]).sum())
    hits, number = int(right[shown].sum()), int(shown.sum())
    nan = float("nan")
    return OperatingPoint(
        run=matches.run.name,
        score=score,
        precision_percent=100 * hits / number if number else nan,
        recall_percent=100 * hits / objects if objects else nan,
        detections=number,
    )


def equal_precision(
    many: Sequence[Matches], precision: float | None = None, iou: float = 0.5
) -> tuple[OperatingPoint, ...]:
    """Finds each detector's lowest score threshold at which it is right as often as asked.

    Args:
        many: one per detector.
        precision: share of the detections shown that must be right, 0 to 1; None for a half or, where a detector
            is never right that often, what all can reach.
        iou: from which overlap a detection is right.

    Raises:
        ValueError: a detector does not reach the precision that is asked for.
    """
    curves = [_curve(matches, iou) for matches in many]
    if precision is None:
        precision = min([USUAL_PRECISION, *(float(values.max()) for _, values in curves if len(values))])
    elif not 0 < precision <= 1:
        raise ValueError(f"a precision of {precision} is asked for; give a share above 0 and at most 1, as in 0.5")
    points = []
    for matches, (thresholds, values) in zip(many, curves, strict=True):
        enough = np.flatnonzero(values >= precision)
        if len(values) and not len(enough):
            raise ValueError(
                f"{matches.run.name} reaches a precision of {values.max():.3g} at most, {precision:g} is asked for; "
                "ask for less, or fix the score threshold instead"
            )
        points.append(operating_point(matches, float(thresholds[enough[-1]]) if len(enough) else 0.0, iou))
    return tuple(points)


def found_by(matches: Matches, score: float, iou: float = 0.5) -> Rows:
    """Returns the row of the detection that finds each object, `(G,)`, -1 where none does and for crowds.

    Matching goes by falling score, so a threshold takes matches away and changes none.
    """
    detections = matches.detections_taking(iou)
    shown = np.append(matches.run.found.scores >= score, False)
    return np.where(shown[detections], detections, NOBODY)


def _judged(matches: Matches, iou: float) -> tuple[Floats, Rows]:
    """The scores of the detections that count, best first, and whether each finds an object."""
    objects = matches.objects_taken(iou)
    ignored = np.append(matches.objects_ignored[matches.bin_index("all")], False)[objects]
    kept = np.flatnonzero(matches.counted & ~ignored)
    scores = matches.run.found.scores[kept]
    order = np.argsort(-scores, kind="stable")
    return scores[order], (objects[kept] != NOBODY)[order]


def _curve(matches: Matches, iou: float) -> tuple[Floats, Floats]:
    """Every score that occurs, falling, and the precision of what reaches it."""
    scores, right = _judged(matches, iou)
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # equal scores are shown together
    return scores[last], np.cumsum(right)[last] / (last + 1)
