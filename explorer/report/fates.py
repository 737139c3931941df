"""The outcome of each object of a run, named alike in tables, galleries of misses and files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.autopsy.verdicts import Verdict
from explorer.errors.taxonomy import ErrorType
from explorer.report.analysis import RunAnalysis
from explorer.scoring.columns import Truth
from explorer.scoring.outcomes import object_scores
from explorer.scoring.sizes import SizeBin
from explorer.types import Ints

LOW_SCORE, FOUND = Verdict.LOW_SCORE.label, Verdict.FOUND.label
_ERRORS = {
    ErrorType.MISSED: "no detection close enough",
    ErrorType.CLASSIFICATION: "detected as another class",
    ErrorType.LOCALISATION: "box not accurate enough",
}


@dataclass(frozen=True, eq=False)
class Fates:
    """The outcome of every object.

    Attributes:
        truth: the objects.
        names: of the outcomes, from the earliest stage at which an object can be lost to `FOUND`.
        objects: `(G,)` int64, place in `names`; -1 for crowds.
    """

    truth: Truth
    names: tuple[str, ...]
    objects: Ints

    def counts(self, size: SizeBin) -> dict[str, int]:
        """Counts the objects of a size by outcome."""
        own = self.objects[size.names(self.truth.areas_px) & (self.objects >= 0)]
        return dict(zip(self.names, np.bincount(own, minlength=len(self.names)).tolist(), strict=True))

    def of(self, row: int) -> str:
        """The outcome of one object that is not a crowd."""
        return self.names[int(self.objects[row])]


def fates_of(analysis: RunAnalysis) -> Fates:
    """Returns the outcome of each object: the autopsy's verdict or, without one, what the detections alone show."""
    truth, autopsy = analysis.run.truth, analysis.autopsy
    if autopsy is not None:
        ends = autopsy.chain.verdicts
        places = np.full(len(Verdict), -1)
        places[list(ends)] = np.arange(len(ends))
        return Fates(truth, tuple(verdict.label for verdict in ends), places[autopsy.verdicts])
    names = (*_ERRORS.values(), LOW_SCORE, FOUND)
    types, scores = analysis.taxonomy.object_types, object_scores(analysis.matches, analysis.point.iou)
    conditions = [types == kind for kind in _ERRORS] + [scores < analysis.point.score, scores >= analysis.point.score]
    return Fates(truth, names, np.select(conditions, range(len(names)), -1))
