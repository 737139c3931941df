"""Precision-recall curves by COCO's rules, of any groups of detections: of a class, or of a class in one image.

Source: pycocotools' `COCOeval.accumulate`; FiftyOne and others draw exactly these 101 points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.scoring.accumulate import RECALLS
from explorer.scoring.matching import NOBODY, Matches
from explorer.scoring.ordering import Floats
from explorer.scoring.overlaps import Rows


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of every class, for objects of all sizes.

    Attributes:
        precision: `(T, C, 101)` float64, by IoU threshold and class, the best precision at that recall or a higher one;
            0 where the recall is not reached, -1 for classes without objects, as in COCO.
        scores: `(T, C, 101)` float64, the score at which that recall is reached; the same for none.
        recall: `(T, C)` float64, the highest recall; -1 for classes without objects.
    """

    precision: Floats
    scores: Floats
    recall: Floats


def class_curves(matches: Matches) -> Curves:
    """Computes each class's curve at each IoU threshold."""
    run, size = matches.run, matches.bin_index("all")
    classes = len(run.truth.class_names)
    objects = np.bincount(run.truth.classes[~matches.objects_ignored[size]], minlength=classes)
    shape = (len(matches.thresholds), classes)
    precision = np.full((*shape, len(RECALLS)), -1.0)
    scores, recall = precision.copy(), np.full(shape, -1.0)
    for level in range(len(matches.thresholds)):
        rows, hits = _judged(matches, size, level)
        rows, hits = _best_first(matches, rows, hits, run.found.classes)
        edges = np.searchsorted(run.found.classes[rows], np.arange(classes + 1)).tolist()
        for row in np.flatnonzero(objects).tolist():
            own, at = slice(edges[row], edges[row + 1]), (level, row)
            precision[at], scores[at], recall[at] = curve(hits[own], run.found.scores[rows[own]], int(objects[row]))
    return Curves(precision, scores, recall)


def curve(hits: npt.NDArray[np.bool_], scores: Floats, objects: int) -> tuple[Floats, Floats, float]:
    """Computes one curve.

    Args:
        hits: whether each detection that counts finds an object, best first.
        scores: their scores.
        objects: number of objects, at least one.

    Returns:
        Precision and score at the 101 recalls, and the highest recall, as in `Curves`.
    """
    precision, reached_at = np.zeros(len(RECALLS)), np.zeros(len(RECALLS))
    if not len(hits):
        return precision, reached_at, 0.0
    right = np.cumsum(hits)
    reached = right / objects
    best = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    places = np.searchsorted(reached, RECALLS, side="left")
    places = places[places < len(reached)]
    precision[: len(places)], reached_at[: len(places)] = best[places], scores[places]
    return precision, reached_at, float(reached[-1])


def average_precision_by_image(matches: Matches, size: str = "all") -> Floats:
    """Computes COCO's AP of each image taken as a data set of its own, `(I,)`, in percent.

    It is the mean over thresholds and over the classes that have objects in the image; NaN where none has.
    """
    run, place = matches.run, matches.bin_index(size)
    images, classes = len(run.truth.image_ids), len(run.truth.class_names)
    counted = ~matches.objects_ignored[place]
    objects = np.bincount(run.truth.images[counted] * classes + run.truth.classes[counted], minlength=images * classes)
    groups = run.found.images * classes + run.found.classes
    total = np.zeros(images * classes)
    for level in range(len(matches.thresholds)):
        rows, hits = _judged(matches, place, level)
        kept = objects[groups[rows]] > 0
        rows, hits = _best_first(matches, rows[kept], hits[kept], groups)
        total += _areas(groups[rows], hits, objects)
    present = objects.reshape(images, classes) > 0
    number = present.sum(axis=1)
    mean = 100 * total.reshape(images, classes).sum(axis=1) / len(matches.thresholds) / np.maximum(number, 1)
    return np.where(number > 0, mean, np.nan)


def _judged(matches: Matches, size: int, level: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Returns the rows of the detections that count, and whether each finds an object."""
    objects = np.full(len(matches.run.found), NOBODY, dtype=np.int64)
    objects[matches.candidates] = matches.taken[size, level]
    took = objects != NOBODY
    hits = took & ~np.append(matches.objects_ignored[size], True)[objects]
    rows = np.flatnonzero(matches.counted & np.where(took, hits, matches.detections_in_bin[size]))
    return rows, hits[rows]


def _best_first(
    matches: Matches, rows: Rows, hits: npt.NDArray[np.bool_], groups: Rows
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    order = np.lexsort((rows, -matches.run.found.scores[rows], groups[rows]))
    return rows[order], hits[order]


def _areas(groups: Rows, hits: npt.NDArray[np.bool_], objects: Rows) -> Floats:
    """Returns the area under each group's curve; `groups` ascend, and within one the best detections come first."""
    areas = np.zeros(len(objects))
    if not hits.any():
        return areas
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(groups)))
    sums = np.cumsum(hits)
    right: Rows = sums - (sums - hits)[starts][number]
    place = np.arange(len(groups)) - starts[number] + 1
    # groups are lifted apart, so that one pass from the end keeps each group's maximum to itself
    lifted = right / place + 2.0 * (number[-1] - number)
    best = np.maximum.accumulate(lifted[::-1])[::-1] - 2.0 * (number[-1] - number)
    own = objects[groups[hits]]
    steps = np.searchsorted(RECALLS, right[hits] / own, side="right") - np.searchsorted(
        RECALLS, (right[hits] - 1) / own, side="right"
    ) * (right[hits] > 1)
    np.add.at(areas, groups[hits], best[hits] * steps / len(RECALLS))
    return areas
