"""Precision-recall curves by COCO's rules, of any groups of detections: of a class, or of a class in one image.

Source: pycocotools' `COCOeval.accumulate`; FiftyOne and others draw exactly these 101 points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.scoring.accumulate import RECALLS
from explorer.scoring.matching import NOBODY, Matches
from explorer.scoring.sizes import SizeBin
from explorer.types import Bools, Floats, Ints


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


@dataclass(frozen=True, eq=False)
class SizeCurves:
    """The curves of every class at one IoU, by size.

    Attributes:
        run: the run's name.
        iou: from which overlap a detection is right.
        sizes: the `A` size bins.
        class_names: the `C` classes.
        objects: `(A, C)` int64, the objects that count.
        precision: `(A, C, 101)` float64, as in `Curves`, at the recalls 0, 0.01, … 1.
        scores: `(A, C, 101)` float64, as in `Curves`.
        recall: `(A, C)` float64, as in `Curves`.
        average_precision: `(A, C)` float64, AP at this IoU in percent as the protocol has it: the mean over the 101
            recalls, or the area under the whole curve; NaN for classes without objects.
    """

    run: str
    iou: float
    sizes: tuple[SizeBin, ...]
    class_names: tuple[str, ...]
    objects: Ints
    precision: Floats
    scores: Floats
    recall: Floats
    average_precision: Floats

    @property
    def mean_precision(self) -> Floats:
        """The mean over classes that have objects, `(A, 101)`, a fraction; NaN for sizes without objects."""
        present = self.objects > 0
        total = np.where(present[..., None], self.precision, 0).sum(axis=1)
        number = present.sum(axis=1)[:, None]
        mean: Floats = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
        return mean


def size_curves(matches: Matches, iou: float = 0.5) -> SizeCurves:
    """Computes each class's curve for every size of the protocol.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        iou: from which overlap a detection is right; one of the thresholds.

    Raises:
        ValueError: nothing was matched at this IoU.
    """
    level = matches.threshold_index(iou)
    sizes = tuple(size for size in matches.bins if size in matches.protocol.bins)
    parts = [_curves_at(matches, matches.bins.index(size), level) for size in sizes]
    objects, *columns = (np.stack(column) for column in zip(*parts, strict=True))
    return SizeCurves(matches.run.name, iou, sizes, matches.run.truth.class_names, objects, *columns)


def class_curves(matches: Matches) -> Curves:
    """Computes each class's curve at each IoU threshold, for objects of all sizes."""
    size = matches.bin_index("all")
    parts = [_curves_at(matches, size, level)[1:4] for level in range(len(matches.thresholds))]
    return Curves(*(np.stack(column) for column in zip(*parts, strict=True)))


def _curves_at(matches: Matches, size: int, level: int) -> tuple[Ints, Floats, Floats, Floats, Floats]:
    """Returns the objects of each class, precision and scores at the 101 recalls, the highest recall, and AP."""
    run, classes = matches.run, len(matches.run.truth.class_names)
    objects = np.bincount(run.truth.classes[~matches.objects_ignored[size]], minlength=classes)
    precision = np.full((classes, len(RECALLS)), -1.0)
    scores, recall, average = precision.copy(), np.full(classes, -1.0), np.full(classes, np.nan)
    rows, hits = judged(matches, size, level)
    order = np.lexsort((-run.found.scores[rows], run.found.classes[rows]))
    rows, hits = rows[order], hits[order]
    edges = np.searchsorted(run.found.classes[rows], np.arange(classes + 1)).tolist()
    for row in np.flatnonzero(objects).tolist():
        own = slice(edges[row], edges[row + 1])
        number = int(objects[row])
        precision[row], scores[row], recall[row] = curve(hits[own], run.found.scores[rows[own]], number)
        average[row] = 100 * average_precision(hits[own], number, every_recall=matches.protocol.every_recall)
    return objects, precision, scores, recall, average


def curve(hits: Bools, scores: Floats, objects: int) -> tuple[Floats, Floats, float]:
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


def average_precision(hits: Bools, objects: int, *, every_recall: bool = False) -> float:
    """Computes AP at one IoU, a fraction.

    Args:
        hits: whether each detection that counts finds an object, best first.
        objects: number of objects, at least one.
        every_recall: the whole area under the curve, and not the mean over COCO's 101 recalls.
    """
    counted = np.flatnonzero(hits) + 1
    return float(_areas(np.zeros(len(counted), np.int64), counted, np.array([objects]), every_recall)[0])


class BestFirst:
    """The detections that are within the limit, by group and, in it, by falling score.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        groups: `(D,)` int64, the group of each detection.
        number: `N`, of groups.
    """

    def __init__(self, matches: Matches, groups: Ints, number: int) -> None:
        self._matches, self._number = matches, number
        rows = np.flatnonzero(matches.counted)
        self._rows = rows[np.lexsort((-matches.run.found.scores[rows], groups[rows]))]
        column = np.full(len(groups), NOBODY)
        column[matches.candidates] = np.arange(len(matches.candidates))
        self._places = np.flatnonzero(column[self._rows] != NOBODY)
        self._columns = column[self._rows[self._places]]
        self._groups = groups[self._rows[self._places]]
        bounds = np.arange(number)
        self._first_rows = np.searchsorted(groups[self._rows], bounds)
        self._first_places = np.searchsorted(self._groups, bounds)

    def average_precision(self, size: int, objects: Ints) -> Floats:
        """COCO's average precision of each group at each IoU threshold, `(T, N)`, a fraction; 0 without objects.

        It depends on the detections only through two counts at each hit: the hits so far, and all that count so far.

        Args:
            size: the size bin's place.
            objects: `(N,)` int64, objects of each group that count.
        """
        inside = self._matches.detections_in_bin[size][self._rows]
        seen = np.append(0, np.cumsum(inside))
        took = self._matches.taken[size][:, self._columns] != NOBODY
        hits = self._matches.hits(size)[:, self._columns]
        areas = np.zeros((len(hits), self._number))
        for level in np.flatnonzero(hits.any(axis=1)).tolist():
            # what took an object counts by the object's size, not by its own
            wrong = np.where(took[level], hits[level].astype(np.int8) - inside[self._places], 0)
            corrections = np.append(0, np.cumsum(wrong))
            hit = np.flatnonzero(hits[level])
            own = self._groups[hit]
            before = seen[self._first_rows[own]] + corrections[self._first_places[own]]
            counted = seen[self._places[hit] + 1] + corrections[hit + 1] - before
            areas[level] = _areas(own, counted, objects, self._matches.protocol.every_recall)
        return areas

    def hits(self, size: int, limit: int) -> Ints:
        """Counts each group's hits, over all IoU thresholds, among the first few detections of a class and image."""
        number = self._matches.hits(size).sum(axis=0)[self._columns]
        within = self._matches.ranks[self._rows[self._places]] < limit
        return np.bincount(self._groups, number * within, self._number).astype(np.int64)


def average_precision_by_image(matches: Matches, size: str = "all") -> Floats:
    """Computes COCO's AP of each image taken as a data set of its own, `(I,)`, in percent.

    It is the mean over thresholds and over the classes that have objects in the image; NaN where none has.
    """
    run, place = matches.run, matches.bin_index(size)
    images, classes = len(run.truth.image_ids), len(run.truth.class_names)
    counted = ~matches.objects_ignored[place]
    objects = np.bincount(run.truth.images[counted] * classes + run.truth.classes[counted], minlength=images * classes)
    groups = BestFirst(matches, run.found.images * classes + run.found.classes, images * classes)
    total = groups.average_precision(place, objects).mean(axis=0)
    number = (objects > 0).reshape(images, classes).sum(axis=1)
    mean = 100 * total.reshape(images, classes).sum(axis=1) / np.maximum(number, 1)
    return np.where(number > 0, mean, np.nan)


def judged(matches: Matches, size: int, level: int) -> tuple[Ints, Bools]:
    """Returns the rows of the detections that count, and whether each finds an object.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        size: the size bin's place.
        level: the IoU threshold's place.
    """
    hits = np.zeros(len(matches.run.found), dtype=np.bool_)
    counts = matches.detections_in_bin[size].copy()
    hits[matches.candidates] = matches.hits(size)[level]
    took = matches.candidates[matches.taken[size, level] != NOBODY]
    counts[took] = hits[took]
    rows = np.flatnonzero(matches.counted & counts)
    return rows, hits[rows]


def _areas(groups: Ints, counted: Ints, objects: Ints, every_recall: bool) -> Floats:
    """Returns the area under each group's curve, from its hits.

    Args:
        groups: `(H,)` of each hit; ascending, best first within a group.
        counted: `(H,)` how many detections of the group count up to the hit.
        objects: `(N,)` of each group.
        every_recall: the whole area, and not the mean over COCO's 101 recalls.
    """
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(groups)))
    right = np.arange(len(groups)) - starts[number] + 1
    best = _best_from(right / counted, np.append(starts[1:], len(groups))[number])
    recall = right / objects[groups]
    reached = recall if every_recall else np.searchsorted(RECALLS, recall, side="right") / len(RECALLS)
    steps = np.diff(reached, prepend=0)
    steps[starts] = reached[starts]
    areas: Floats = np.bincount(groups, best * steps, len(objects)).astype(np.float64)
    return areas


def _best_from(values: Floats, ends: Ints) -> Floats:
    """Returns, for each place, the largest of the values from there to where its group ends, to the last bit.

    Other groups have no part in it: an image's AP is the same beside any other images.
    """
    best, places, reach = values.copy(), np.arange(len(values)), 1
    while len(places := places[places + reach < ends[places]]):
        best[places] = np.maximum(best[places], best[places + reach])
        reach *= 2
    return best
