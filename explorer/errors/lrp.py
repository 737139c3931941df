"""The score from which to use a detector, by class and size: optimal LRP, and the best F1.

The LRP error of a detector shown from a score on is the mean, over its true positives, false positives and misses, of 1
for each wrong one and of `(1 - IoU) / (1 - t)` for each right one, where `t` is the IoU from which one is right. 0 is
perfect. Its minimum over scores is the optimal LRP, oLRP; where it lies is the score to use. F1 asks the same without
looking at how well boxes fit. Both minima are over every score that there is, not over a grid of a hundred.

Source: Oksuz et al., One metric to measure them all: localisation recall precision (LRP) for evaluating visual
detection tasks, TPAMI 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.scoring.curves import judged
from explorer.scoring.matching import Matches
from explorer.scoring.metrics import mean_over_classes
from explorer.scoring.overlaps import ious_of
from explorer.scoring.sizes import SizeBin
from explorer.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class BestScores:
    """The best scores by size and class; arrays `(A, C)`, NaN where there is no object.

    Attributes:
        run: the run's name.
        iou: from which overlap a detection is right.
        sizes: the `A` sizes, those of the protocol.
        class_names: the `C` classes.
        objects: int64.
        olrp: in percent; 100 where nothing is right at any score.
        olrp_score: from which score it is reached; NaN where showing nothing is as good.
        localisation: of what is right there, the mean of `1 - IoU`, in percent; NaN where nothing is.
        false_positives: of what is shown there, how much is wrong, in percent.
        false_negatives: of the objects, how many are not found there, in percent.
        f1: the best, in percent.
        f1_score: from which score it is reached.
    """

    run: str
    iou: float
    sizes: tuple[SizeBin, ...]
    class_names: tuple[str, ...]
    objects: Ints
    olrp: Floats
    olrp_score: Floats
    localisation: Floats
    false_positives: Floats
    false_negatives: Floats
    f1: Floats
    f1_score: Floats

    @property
    def mean_olrp(self) -> Floats:
        """The mean over classes that have objects, `(A,)`: moLRP."""
        return mean_over_classes(self.olrp, axis=1)


def best_scores(matches: Matches, iou: float = 0.5) -> BestScores:
    """Finds the score threshold with the least localisation-recall-precision (LRP) error, by size and class.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        iou: minimum IoU of a correct detection; one of the matched thresholds, below 1.

    Raises:
        ValueError: the detections were not matched at this IoU, or it is 1.

    Source: Oksuz et al., "One Metric to Measure them All", TPAMI 2022 (arXiv 2011.10772).
    """
    level = matches.threshold_index(iou)
    if iou >= 1:
        raise ValueError("LRP needs an IoU threshold below 1, because it measures how well correct boxes fit")
    sizes = tuple(size for size in matches.bins if size in matches.protocol.bins)
    found, truth, classes = matches.run.found, matches.run.truth, len(matches.run.truth.class_names)
    figures = np.full((7, len(sizes), classes), np.nan)
    objects = np.zeros((len(sizes), classes), np.int64)
    for place, size in enumerate(sizes):
        at = matches.bins.index(size)
        objects[place] = np.bincount(truth.classes[~matches.objects_ignored[at]], minlength=classes)
        rows, hits = judged(matches, at, level)
        taken = np.where(hits, matches.objects_taken(iou, size.name)[rows], -1)
        errors = np.zeros(len(found))
        errors[rows[hits]] = 1 - ious_of(matches.run, rows[hits], taken[hits], iou, matches.task)
        for row in np.flatnonzero(objects[place]).tolist():
            own = found.classes[rows] == row
            these = rows[own]
            order = np.argsort(-found.scores[these], kind="stable")
            these, right = these[order], hits[own][order]
            figures[:, place, row] = _best(found.scores[these], right, errors[these], int(objects[place, row]), iou)
    return BestScores(matches.run.name, iou, sizes, truth.class_names, objects, *figures)


def _best(
    scores: Floats, right: Ints, errors: Floats, objects: int, iou: float
) -> tuple[float, float, float, float, float, float, float]:
    """Returns oLRP, its score, its three parts, the best F1 and its score, of detections by falling score."""
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # equal scores are shown together
    hits, misfits = np.cumsum(right)[last], np.cumsum(np.where(right, errors, 0))[last]
    shown = last + 1
    lrp = (misfits / (1 - iou) + (shown - hits) + (objects - hits)) / (shown + objects - hits)
    if not len(last) or lrp.min() >= 1:
        olrp = (100.0, np.nan, np.nan, np.nan, 100.0)
    else:
        at = int(lrp.argmin())
        fit = 100 * misfits[at] / hits[at] if hits[at] else np.nan
        wrong, missed = 100 * (1 - hits[at] / shown[at]), 100 * (1 - hits[at] / objects)
        olrp = (100 * float(lrp[at]), float(scores[last[at]]), float(fit), float(wrong), float(missed))
    f1 = 2 * hits / (shown + objects)
    if not len(last) or not f1.max() > 0:
        return (*olrp, 0.0, np.nan)
    at = int(f1.argmax())
    return (*olrp, 100 * float(f1[at]), float(scores[last[at]]))
