"""COCO's precision and recall from matches, for any number of weightings of the images at once.

A resample of a data set counts every image a whole number of times. Matching does not depend on it; what changes is
how often each detection and each object counts. So one pass over the detections, best first, serves all resamples.

Source: pycocotools' `COCOeval.accumulate`. Average precision depends on the detections only through two counts at
each true positive: the true positives so far, and all that are not ignored so far. Those are the rows kept here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from explorer.scoring.matching import NOBODY, Matches
from explorer.scoring.ordering import Weights, order
from explorer.types import Bools, Floats, Ints

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where COCO reads precision."""
CELLS_AT_A_TIME = 2**22
"""Bounds memory: numbers in the largest array."""
COLUMNS_AT_A_TIME = 500
CELLS_IN_CACHE = 2**13
"""Numbers in arrays that are passed over several times."""


@dataclass(frozen=True, eq=False)
class _Curves:
    """The precision-recall curves of one class and size bin, one after the other by threshold.

    Attributes:
        size: bin's index.
        class_row: class's index.
        seen: `(P, I')` sparse: detections of each image, in the bin by their own area, between one point and the next.
        point: `(N,)` of each true positive, its point.
        images: `(N,)` image of each true positive.
        starts: `(T + 1,)` where each threshold's true positives begin.
        corrections: by threshold, `(its true positives, I')` sparse: what `seen` counts wrongly before each true
            positive. None for nothing.
    """

    size: int
    class_row: int
    seen: sparse.csr_matrix
    point: Ints
    images: Ints
    starts: Ints
    corrections: tuple[sparse.csr_matrix | None, ...]

    @property
    def rows(self) -> int:
        """Rows of the largest array that is needed at once."""
        return int(max(self.seen.shape[0], np.diff(self.starts).max()))


class Accumulator:
    """Sorted matches, ready for weightings of the images.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        most: the largest weight that will be asked for.
    """

    def __init__(self, matches: Matches, most: int = 1) -> None:
        self._matches = matches
        self._order = order(matches, most)
        self._curves = [curves for size in range(len(matches.bins)) for curves in self._of_bin(size)]
        self._count()

    def __call__(self, weights: Weights) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yields, for some columns of `weights` at a time, average precision `(A, T, K, b)` and recall `(M, A, K, b)`.

        Recall is the mean over IoU thresholds, for each limit on detections. Both are fractions, NaN where a
        resample has no object.
        """
        largest = max((curves.rows for curves in self._curves), default=1)
        step = min(COLUMNS_AT_A_TIME, max(1, CELLS_AT_A_TIME // max(1, largest)))
        for first in range(0, weights.shape[1], step):
            columns = slice(first, min(first + step, weights.shape[1]))
            yield columns, *self._evaluate(self._order.with_copies(weights[:, columns]))

    def _of_bin(self, size: int) -> Iterator[_Curves]:
        matches, classes = self._matches, self._matches.run.found.classes[self._order.rows]
        column = np.full(len(matches.run.found), NOBODY)
        column[matches.candidates] = np.arange(len(matches.candidates))
        takers = np.flatnonzero(column[self._order.rows] != NOBODY)
        columns = column[self._order.rows[takers]]
        inside = matches.detections_in_bin[size][self._order.rows]
        hits = matches.hits(size)[:, columns]
        # a detection that took an object counts by the object's size, not by its own
        corrections = np.where(matches.taken[size][:, columns] != NOBODY, hits.astype(np.int8) - inside[takers], 0)
        edges = np.searchsorted(classes, np.arange(len(matches.run.truth.class_names) + 1))
        taker_edges = np.searchsorted(takers, edges)
        inside_rows = np.flatnonzero(inside)
        inside_edges = np.searchsorted(inside_rows, edges)
        for class_row in range(len(edges) - 1):
            those = slice(*taker_edges[class_row : class_row + 2])
            if hits[:, those].any():
                counted = inside_rows[slice(*inside_edges[class_row : class_row + 2])]
                yield self._curve(size, class_row, takers[those], hits[:, those], corrections[:, those], counted)

    def _curve(
        self,
        size: int,
        class_row: int,
        takers: Ints,
        hits: Bools,
        corrections: npt.NDArray[np.int8],
        counted: Ints,
    ) -> _Curves:
        points = takers[hits.any(axis=0)]
        levels, columns = np.nonzero(hits)
        starts = np.searchsorted(levels, np.arange(len(hits) + 1))
        positives = takers[columns]
        return _Curves(
            size,
            class_row,
            self._sparse(np.searchsorted(points, counted), counted, np.ones(len(counted)), len(points)),
            np.searchsorted(points, positives),
            self._order.images[positives],
            starts,
            tuple(
                self._corrections(row, takers, positives[start:end])
                for row, (start, end) in zip(corrections, itertools.pairwise(starts.tolist()), strict=True)
            ),
        )

    def _corrections(self, row: npt.NDArray[np.int8], takers: Ints, positives: Ints) -> sparse.csr_matrix | None:
        source = np.flatnonzero(row)
        target = np.searchsorted(positives, takers[source])
        # what comes after a threshold's last true positive changes nothing
        if not (target < len(positives)).any():
            return None
        return self._sparse(target, takers[source], row[source], len(positives))

    def _sparse(self, targets: Ints, rows: Ints, values: npt.NDArray[np.number], height: int) -> sparse.csr_matrix:
        """A matrix that sums image weights: into each target, those of the rows' images."""
        kept = targets < height
        where = (targets[kept], self._order.images[rows[kept]])
        return sparse.csr_matrix((values[kept].astype(np.float64), where), shape=(height, self._order.width))

    def _count(self) -> None:
        """Prepares the objects per bin and class, and the true positives per limit, bin and class, by image."""
        matches, truth = self._matches, self._matches.run.truth
        classes, sizes = len(truth.class_names), len(matches.bins)
        size, rows = np.nonzero(~matches.objects_ignored)
        where = (size * classes + truth.classes[rows], truth.images[rows])
        self._objects = sparse.csr_matrix((np.ones(len(rows)), where), shape=(sizes * classes, self._order.width))
        size, level, column = np.nonzero(matches.taken != NOBODY)
        hit = ~matches.objects_ignored[size, matches.taken[size, level, column]]
        size, detections = size[hit], matches.candidates[column[hit]]
        found = matches.run.found
        cells = size * classes + found.classes[detections]
        self._hits = []
        for limit in matches.max_detections:
            within = matches.ranks[detections] < limit
            where = (cells[within], found.images[detections[within]])
            counts = (np.ones(len(where[0])), where)
            self._hits.append(sparse.csr_matrix(counts, shape=(sizes * classes, self._order.width)))

    def _evaluate(self, weights: Floats) -> tuple[Floats, Floats]:
        levels = len(self._matches.thresholds)
        shape = (len(self._matches.bins), len(self._matches.run.truth.class_names), weights.shape[1])
        objects: Floats = (self._objects @ weights).reshape(shape)
        present = np.where(objects > 0, objects, np.nan)
        recall = np.stack([(hits @ weights).reshape(shape) / present / levels for hits in self._hits])
        precision = np.zeros((shape[0], levels, *shape[1:]))
        for curves in self._curves:
            at = (curves.size, slice(None), curves.class_row)
            own = objects[curves.size, curves.class_row]
            precision[at] = _average_precision(curves, weights, own, self._matches.protocol.every_recall)
        precision += 0 * present[:, None]
        return precision, recall


def _average_precision(curves: _Curves, weights: Floats, objects: Floats, every_recall: bool) -> Floats:
    """Returns `(T, b)`: the mean of the best precision at a recall or a higher one, over COCO's 101 recalls or all."""
    every_seen = curves.seen @ weights
    _add_up(every_seen)
    average = np.zeros((len(curves.starts) - 1, weights.shape[1]))
    for level, span in enumerate(slice(*ends) for ends in itertools.pairwise(curves.starts.tolist())):
        hits, seen = weights[curves.images[span]], every_seen[curves.point[span]]
        if (corrections := curves.corrections[level]) is not None:
            wrong = corrections @ weights
            _add_up(wrong)
            seen += wrong
        _add_up(hits)
        average[level] = _area_under_best(hits, seen, np.maximum(objects, 1), every_recall)
    return average if every_recall else average / len(RECALLS)


def _area_under_best(hits: Floats, seen: Floats, objects: Floats, every_recall: bool) -> Floats:
    """Sums the best precision from each true positive on, times the recalls that it reaches: `(b,)`.

    Args:
        hits: `(N, b)` true positives so far; overwritten.
        seen: `(N, b)` detections so far; overwritten.
        objects: `(b,)`, above 0.
        every_recall: recalls are a line, and not COCO's 101.
    """
    before = np.zeros((1, len(objects)))
    rows_at_a_time = max(1, CELLS_IN_CACHE // max(1, len(objects)))
    for first in range(0, len(hits), rows_at_a_time):
        own, all_seen = hits[first : first + rows_at_a_time], seen[first : first + rows_at_a_time]
        all_seen += np.spacing(1)
        np.divide(own, all_seen, out=all_seen)
        reached = own / objects if every_recall else recalls_reached(own / objects)
        np.subtract(reached, np.concatenate([before, reached[:-1]]), out=own)
        before = reached[-1:]
    steps, precision = hits, seen
    for later, earlier in itertools.pairwise(precision[::-1]):
        np.maximum(earlier, later, out=earlier)
    area: Floats = np.einsum("ij,ij->j", precision, steps)
    return area


def recalls_reached(recall: Floats) -> Floats:
    """Counts how many of `RECALLS` are not above each recall: `searchsorted` from the right, many times as fast."""
    nearest = np.rint(recall * (len(RECALLS) - 1))
    nearest += nearest * RECALLS[1] <= recall
    return nearest


def _add_up(rows: Floats) -> None:
    """Replaces rows by their running sums: `cumsum` along the first axis, but many times as fast on wide rows."""
    for above, below in itertools.pairwise(rows):
        np.add(above, below, out=below)
