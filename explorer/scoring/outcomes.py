"""The one definition of found: a detection of the object's class, with an IoU and a score that are high enough.

Which detection has which object is COCO's matching (`explorer.scoring.matching`). A `FoundRule` says what is asked of
it; applied to a run it is an `OperatingPoint`, whose two numbers stand wherever objects are called found or missed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from explorer.scoring.matching import NOBODY, Matches
from explorer.types import Bools, Floats, Ints

USUAL_PRECISION = 0.5
SCORES_AT_A_TIME = 2**18


@dataclass(frozen=True)
class FoundRule:
    """The rule by which an object counts as found. Without arguments, it is the default of all commands and views.

    Attributes:
        iou: minimum IoU with the annotation, in (0, 1].
        score: minimum score, the same for all runs; None to choose the score of each run by precision.
        precision: the lowest score with at least this precision is chosen; None for 0.5, or for the highest precision
            that the run reaches if that is lower.

    Raises:
        ValueError: a number is out of range, or both a score and a precision are given.
    """

    iou: float = 0.5
    score: float | None = None
    precision: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise ValueError(f"the IoU threshold is {self.iou:g}; give a number above 0 and at most 1, such as 0.5")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"the score threshold is {self.score:g}; give a finite number, such as 0.5")
        if self.precision is not None and not 0 < self.precision <= 1:
            raise ValueError(f"the precision is {self.precision:g}; give a number above 0 and at most 1, such as 0.5")
        if self.score is not None and self.precision is not None:
            raise ValueError("both a score and a precision are given; give one of them")

    def of(self, matches: Matches) -> OperatingPoint:
        """Applies the rule to a run.

        Raises:
            ValueError: the run was not matched at this IoU, or does not reach the precision.
        """
        return self.point(ranking([matches], self.iou))

    def point(self, ranked: Ranking) -> OperatingPoint:
        """Applies the rule to a run whose detections were ranked at this IoU.

        Raises:
            ValueError: the run does not reach the precision.
        """
        assert ranked.iou == self.iou
        if self.score is not None:
            return ranked.point(self.score)
        wanted = min(USUAL_PRECISION, ranked.best_precision) if self.precision is None else self.precision
        score = ranked.lowest(wanted)
        if score is None and len(ranked.scores):
            raise ValueError(
                f"{ranked.run} reaches a precision of {ranked.best_precision:.3g} at most, not {wanted:g}; "
                "ask for less, or fix the score threshold instead"
            )
        return ranked.point(score or 0.0)


FOUND = FoundRule()
"""The default of every command, table, figure and page."""


@dataclass(frozen=True)
class OperatingPoint:
    """A detector in use: only detections with at least this score are shown. All classes together, crowds aside.

    Attributes:
        run: the run's name.
        iou: the least overlap with which a detection finds an object.
        score: the threshold; it belongs to what is shown.
        precision_percent: of the detections shown, those that find an object; NaN where none is shown.
        recall_percent: of the objects, those that are found; NaN where there is none.
        detections: number shown.
    """

    run: str
    iou: float
    score: float
    precision_percent: float
    recall_percent: float
    detections: int

    @property
    def words(self) -> str:
        """What "found" means here."""
        return found_words(self.iou, self.score)


def found_words(iou: float, score: float) -> str:
    """`IoU ≥ 0.5, score ≥ 0.315`."""
    return f"IoU ≥ {iou:g}, score ≥ {score:.3g}"


@dataclass(frozen=True, eq=False)
class Ranking:
    """A detector's detections that count, all classes together and crowds aside, by score.

    Attributes:
        run: the run's name.
        iou: from which overlap a detection finds an object.
        scores: `(N,)` float64, ascending.
        right: `(H,)` float64, ascending, the scores of those that find an object.
        objects: number of objects.
    """

    run: str
    iou: float
    scores: Floats
    right: Floats
    objects: int

    def point(self, score: float) -> OperatingPoint:
        """Measures the detector at a score threshold."""
        hits, number = (len(own) - int(np.searchsorted(own, score)) for own in (self.right, self.scores))
        nan = float("nan")
        return OperatingPoint(
            run=self.run,
            iou=self.iou,
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


def ranking(many: Iterable[Matches], iou: float) -> Ranking:
    """Ranks the detections of a run, given whole or as parts with images of their own, one at least."""
    columns, objects, name = [], 0, ""
    for matches in many:
        columns.append(_judged(matches, iou))
        objects += int((~matches.unscored).sum())
        name = matches.run.name
    scores, right = np.concatenate([own for own, _ in columns]), np.concatenate([own[hits] for own, hits in columns])
    scores.sort()
    right.sort()
    return Ranking(name, iou, scores, right, objects)


def object_scores(matches: Matches, iou: float) -> Floats:
    """Returns the score of the detection that has each object, `(G,)`; NaN where none has, at any score, or a crowd."""
    return np.append(matches.run.found.scores, np.nan)[matches.detections_taking(iou)]


def found_by(matches: Matches, point: OperatingPoint) -> Ints:
    """Returns the row of the detection that finds each object, `(G,)`, -1 where none does and for crowds.

    Matching goes by falling score, so a threshold takes matches away and changes none.
    """
    return np.where(object_scores(matches, point.iou) >= point.score, matches.detections_taking(point.iou), NOBODY)


def _judged(matches: Matches, iou: float) -> tuple[Floats, Bools]:
    """The scores of the detections that count, and whether each finds an object."""
    objects = matches.objects_taken(iou)
    ignored = np.append(matches.unscored, False)[objects]
    kept = np.flatnonzero(~ignored)
    return matches.run.found.scores[kept], objects[kept] != NOBODY
