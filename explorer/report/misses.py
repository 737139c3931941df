"""The most informative misses of a run: for each way of losing an object, those closest to being found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from explorer.report.analysis import RunAnalysis
from explorer.report.fates import fates_of
from explorer.scoring.matching import NOBODY
from explorer.scoring.outcomes import found_by
from explorer.scoring.overlaps import overlaps
from explorer.types import Floats, Ints

MOST = 24
MOST_PER_IMAGE = 2


@dataclass(frozen=True)
class Nearest:
    """The detection that came nearest to a missed object.

    Attributes:
        box_xywh: pixels of the original image.
        class_name: what it was taken for.
        score: its score.
        iou: its overlap with the object.
    """

    box_xywh: tuple[float, float, float, float]
    class_name: str
    score: float
    iou: float


@dataclass(frozen=True)
class Miss:
    """An object that a run does not find at its operating point.

    Attributes:
        row: in `Truth`.
        reason: what became of it, as `fates_of` says.
        nearest: the detection that overlaps it most, of any class and score; None where none touches it.
        rival_score: with which score another run finds it; NaN for none.
    """

    row: int
    reason: str
    nearest: Nearest | None
    rival_score: float = float("nan")


def telling_misses(analysis: RunAnalysis, rival: RunAnalysis | None = None, most: int = MOST) -> tuple[Miss, ...]:
    """Chooses misses to look at: of every reason in turn, small objects and near misses first.

    Objects that a rival finds come before all others, the surest first: they can be found. At most two are of one
    image, so that one crowded image does not fill the page.

    Args:
        analysis: of the run whose misses are shown.
        rival: of another run on the same images.
        most: how many.
    """
    run, fates = analysis.run, fates_of(analysis)
    missed = np.flatnonzero((found_by(analysis.matches, analysis.point) == NOBODY) & ~analysis.matches.unscored)
    best, best_iou = _nearest(analysis)
    rival_scores = _rival_scores(rival, len(run.truth))
    order = np.lexsort((run.truth.areas_px[missed], -best_iou[missed], -rival_scores[missed]))
    queues: dict[str, list[int]] = {}
    for row in missed[order].tolist():
        queues.setdefault(fates.of(row), []).append(row)
    chosen: list[int] = []
    in_image: Counter[int] = Counter()
    while len(chosen) < most and any(queues.values()):
        for queue in queues.values():
            while queue:
                row = queue.pop(0)
                image = int(run.truth.images[row])
                if in_image[image] < MOST_PER_IMAGE:
                    in_image[image] += 1
                    chosen.append(row)
                    break
    return tuple(
        Miss(
            row,
            fates.of(row),
            _described(analysis, int(best[row]), float(best_iou[row])),
            float(rival_scores[row]) if rival_scores[row] > 0 else float("nan"),
        )
        for row in chosen[:most]
    )


def _nearest(analysis: RunAnalysis) -> tuple[Ints, Floats]:
    """The detection that overlaps each object most, of any class: its row `(G,)`, -1 for none, and its IoU."""
    objects = len(analysis.run.truth)
    pairs = overlaps(analysis.run, analysis.matches.task, least=0.05, same_class=False)
    best, iou = np.full(objects, NOBODY), np.zeros(objects)
    order = np.argsort(pairs.ious, kind="stable")  # the last one written is the best
    best[pairs.objects[order]], iou[pairs.objects[order]] = pairs.detections[order], pairs.ious[order]
    return best, iou


def _rival_scores(rival: RunAnalysis | None, objects: int) -> Floats:
    if rival is None:
        return np.zeros(objects)
    detections = found_by(rival.matches, rival.point)
    return np.where(detections == NOBODY, 0, np.append(rival.run.found.scores, 0)[detections])


def _described(analysis: RunAnalysis, detection: int, iou: float) -> Nearest | None:
    if detection == NOBODY:
        return None
    found = analysis.run.found
    x, y, width, height = found.boxes_xywh[detection].tolist()
    class_name = analysis.run.truth.class_names[found.classes[detection]]
    return Nearest((x, y, width, height), class_name, float(found.scores[detection]), iou)
