"""Confusion matrices at an operating point, by size, with a row and a column for the background.

On the diagonal are the objects that are found, by COCO's matching within each class. Of what is left, each detection
shown, best first, has the free object of another class that it overlaps most, if by enough: these are taken for each
other. Objects still left are missed, detections still left stand where nothing is annotated. So rows add up to the
objects of each class, columns to its detections shown; crowds, and what lies in them, are in neither. The limit on
detections is average precision's, and cuts nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.errors.taxonomy import NOBODY
from explorer.scoring.matching import Matches
from explorer.scoring.outcomes import OperatingPoint, found_by
from explorer.scoring.overlaps import areas_px, overlaps
from explorer.scoring.sizes import SizeBin
from explorer.types import Bools, Floats, Ints

NOTHING = "(nothing)"
"""The last row: where no object is. The last column: what is missed."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """How many objects of each class are taken for each class.

    Attributes:
        point: from which score and overlap.
        sizes: the protocol's, all first. An object has its own size, a detection where nothing is has its own, too.
        class_names: the `C` classes.
        counts: `(A, C + 1, C + 1)` int64, by size, annotated class and detected class; the last of each is nothing.
    """

    point: OperatingPoint
    sizes: tuple[SizeBin, ...]
    class_names: tuple[str, ...]
    counts: Ints

    @property
    def labels(self) -> tuple[str, ...]:
        """Of rows and columns."""
        return (*self.class_names, NOTHING)

    def of(self, size: str = "all") -> Ints:
        """Returns the counts `(C + 1, C + 1)` of one size.

        Raises:
            ValueError: there is no such size.
        """
        names = [own.name for own in self.sizes]
        if size not in names:
            raise ValueError(f"there is no size {size!r}; there are {', '.join(names)}")
        counted: Ints = self.counts[names.index(size)]
        return counted

    def shares(self, size: str = "all") -> Floats:
        """Returns what share of each annotated class is taken for each, `(C + 1, C + 1)`; NaN for rows of nothing."""
        counts = self.of(size).astype(np.float64)
        total = counts.sum(axis=1, keepdims=True)
        shares: Floats = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
        return shares


def confusion(matches: Matches, point: OperatingPoint) -> Confusion:
    """Counts objects by annotated and detected class.

    Args:
        matches: the detections matched to objects of the same class.
        point: from which score on detections count, and with which overlap; one of the thresholds.

    Raises:
        ValueError: nothing was matched at this IoU.
    """
    run, nothing = matches.run, len(matches.run.truth.class_names)
    ignored = matches.unscored
    in_ignored = np.append(ignored, False)[matches.objects_taken(point.iou)]
    shown = (run.found.scores >= point.score) & ~in_ignored
    detections = found_by(matches, point)
    detections[ignored] = NOBODY
    free = shown.copy()
    free[detections[detections != NOBODY]] = False
    detections = _of_other_classes(matches, point.iou, free, ~ignored & (detections == NOBODY), detections)
    taken_for = np.append(run.found.classes, nothing)[detections]
    rest = shown.copy()
    rest[detections[detections != NOBODY]] = False
    own_areas, sizes = areas_px(run, matches.task), tuple(own for own in matches.bins if own in matches.protocol.bins)
    counts = np.zeros((len(sizes), nothing + 1, nothing + 1), np.int64)
    for place, size in enumerate(sizes):
        objects = np.flatnonzero(~ignored & size.names(run.truth.areas_px))
        alone = np.flatnonzero(rest & size.names(own_areas))
        np.add.at(counts[place], (run.truth.classes[objects], taken_for[objects]), 1)
        np.add.at(counts[place], (np.full(len(alone), nothing), run.found.classes[alone]), 1)
    return Confusion(point, sizes, run.truth.class_names, counts)


def _of_other_classes(matches: Matches, iou: float, free: Bools, wanting: Bools, detections: Ints) -> Ints:
    """Gives objects that are wanting a detection one of another class, where one that is free overlaps enough."""
    run = matches.run
    level = float(matches.thresholds[matches.threshold_index(iou)])
    pairs = overlaps(run, matches.task, least=level, rows=np.flatnonzero(free), same_class=False)
    kept = np.flatnonzero(
        wanting[pairs.objects] & (run.found.classes[pairs.detections] != run.truth.classes[pairs.objects])
    )
    order = kept[np.lexsort((-pairs.ious[kept], -run.found.scores[pairs.detections[kept]]))]
    detections, free = detections.copy(), free.copy()
    for detection, one in zip(pairs.detections[order].tolist(), pairs.objects[order].tolist(), strict=True):
        if free[detection] and detections[one] == NOBODY:
            detections[one], free[detection] = detection, False
    return detections
