"""Which objects a detector finds when it is used: at one IoU and one score threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.scoring.matching import NOBODY, Matches
from explorer.scoring.ordering import Floats
from explorer.scoring.overlaps import Rows

USUAL_PRECISION = 0.5
SCORES_AT_A_TIME = 2**18


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


@dataclass(frozen=True, eq=False)
class Ranking:
    """A detector's detections that count, all classes together and crowds aside, by score.

    Attributes:
        run: the run's name.
        scores: `(N,)` float64, ascending.
        right: `(H,)` float64, ascending, the scores of those that find an object.
        objects: number of objects.
    """

    run: str
    scores: Floats
    right: Floats
    objects: int

    def point(self, score: float) -> OperatingPoint:
        """Measures the detector at a score threshold."""
        hits, number = (len(own) - int(np.searchsorted(own, score)) for own in (self.right, self.scores))
        nan = float("nan")
        return OperatingPoint(
            run=self.run,
            score=score,
            precision_percent=100 * hits / number if number else nan,
            recall_percent=100 * hits / self.objects if self.objects else nan,
            detections=number,
        )

    def lowest(self, precision: float) -> float | None:
        """The lowest score from which the share of the right ones is as high; None where it never is."""
        for scores, values in self._curve():
            enough = np.flatnonzero(values >= precision)
            if len(enough):
                return float(scores[enough[0]])
        return None

    @property
    def best_precision(self) -> float:
        """The highest that any threshold has; -1 without detections."""
        return max((float(values.max()) for _, values in self._curve()), default=-1.0)

    def _curve(self) -> Iterator[tuple[Floats, Floats]]:
        """Yields scores, rising and some at a time, and the precision of what reaches each."""
        number = len(self.scores)
        for first in range(0, number, SCORES_AT_A_TIME):
            scores = self.scores[first : first + SCORES_AT_A_TIME]
            places = first + np.flatnonzero(np.diff(scores, prepend=self.scores[first - 1] if first else -np.inf))
            scores = self.scores[places]  # equal scores are shown together
            if len(scores):
                yield scores, (len(self.right) - np.searchsorted(self.right, scores)) / (number - places)


def ranking(many: Iterable[Matches], iou: float = 0.5) -> Ranking:
    """Ranks the detections of a run, given whole or as parts with images of their own, one at least."""
    columns, objects, name = [], 0, ""
    for matches in many:
        columns.append(_judged(matches, iou))
        objects += int((~matches.objects_ignored[matches.bin_index("all")]).sum())
        name = matches.run.name
    scores, right = np.concatenate([own for own, _ in columns]), np.concatenate([own[hits] for own, hits in columns])
    scores.sort()
    right.sort()
    return Ranking(name, scores, right, objects)


def operating_point(matches: Matches, score: float, iou: float = 0.5) -> OperatingPoint:
    """Measures a detector at a score threshold."""
    return ranking([matches], iou).point(score)


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
    return points_of([ranking([matches], iou) for matches in many], precision)


def points_of(rankings: Sequence[Ranking], precision: float | None = None) -> tuple[OperatingPoint, ...]:
    """Does what `equal_precision` does, with what is ranked already."""
    if precision is None:
        precision = min([USUAL_PRECISION, *(own.best_precision for own in rankings if len(own.scores))])
    elif not 0 < precision <= 1:
        raise ValueError(f"a precision of {precision} is asked for; give a share above 0 and at most 1, as in 0.5")
    points = []
    for own in rankings:
        score = own.lowest(precision)
        if score is None and len(own.scores):
            raise ValueError(
                f"{own.run} reaches a precision of {own.best_precision:.3g} at most, {precision:g} is asked for; "
                "ask for less, or fix the score threshold instead"
            )
        points.append(own.point(score or 0.0))
    return tuple(points)


def found_by(matches: Matches, score: float, iou: float = 0.5) -> Rows:
    """Returns the row of the detection that finds each object, `(G,)`, -1 where none does and for crowds.

    Matching goes by falling score, so a threshold takes matches away and changes none.
    """
    detections = matches.detections_taking(iou)
    shown = np.append(matches.run.found.scores >= score, False)
    return np.where(shown[detections], detections, NOBODY)


def _judged(matches: Matches, iou: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The scores of the detections that count, and whether each finds an object."""
    objects = matches.objects_taken(iou)
    ignored = np.append(matches.objects_ignored[matches.bin_index("all")], False)[objects]
    kept = np.flatnonzero(~ignored)
    return matches.run.found.scores[kept], objects[kept] != NOBODY
