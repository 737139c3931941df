"""COCO's matching of detections to objects, for every IoU threshold and size bin at once.

Source: pycocotools' `COCOeval.evaluateImg`. Detections of an image and class, best first, take the free object that
they overlap most; an ignored object (a crowd, or one outside the bin) only where no other will do. The loops here run
over places in that order, not over images: the first detections of all images choose together, then the second ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from explorer.scoring.columns import Run, Task
from explorer.scoring.overlaps import Overlaps, areas_px, overlaps
from explorer.scoring.protocols import Protocol
from explorer.scoring.sizes import SizeBin
from explorer.types import Bools, Floats, Ints

PAIRS_AT_A_TIME = 2**10
NOBODY = -1


@dataclass(frozen=True, eq=False)
class Matches:
    """Who took whom: everything that figures, resamples and comparisons need, computed once.

    Attributes:
        run: the detections and the objects; where masks are compared that have scores of their own, these are the
            detections' scores, and they are in that order.
        task: what was compared, boxes or masks.
        thresholds: `(T,)` float64, IoU thresholds.
        bins: the `A` size bins.
        protocol: by which they were matched; the columns above may be others, where they were asked for.
        max_detections: the protocol's limits on the detections that figures count, ascending.
        ranks: `(D,)` int64, each detection's place among those that a limit counts together: of its image and class,
            or of its image; 0 for the best.
        detections_in_bin: `(A, D)` bool, by the detection's own area.
        objects_ignored: `(A, G)` bool: crowds, and objects outside the bin.
        candidates: `(K,)` int64, rows of the detections that could take an object; ascending.
        taken: `(A, T, K)` int32, row of the object that each candidate took, -1 for none.
    """

    run: Run
    task: Task
    thresholds: Floats
    bins: tuple[SizeBin, ...]
    protocol: Protocol
    max_detections: tuple[int, ...]
    ranks: Ints
    detections_in_bin: Bools
    objects_ignored: Bools
    candidates: Ints
    taken: npt.NDArray[np.int32]

    @property
    def counted(self) -> Bools:
        """Which detections are within the largest limit, `(D,)`: those that figures count.

        A detection beyond it may have an object all the same: matching goes by falling score, so a limit takes matches
        away and changes none.
        """
        within: Bools = self.ranks < self.max_detections[-1]
        return within

    @property
    def unscored(self) -> Bools:
        """Which objects count neither as found nor as missed, `(G,)`: crowds, and those that the protocol ignores."""
        ignored: Bools = self.objects_ignored[self.bin_index("all")]
        return ignored

    @property
    def cut(self) -> tuple[int, int]:
        """How many detections are beyond the largest limit, and how many objects no detection within it could have."""
        groups = self.run.truth.images
        if self.protocol.per_class:
            groups = groups * len(self.run.truth.class_names) + self.run.truth.classes
        there = np.bincount(groups[~self.run.truth.crowds]) if len(groups) else np.zeros(0, np.int64)
        return int((~self.counted).sum()), int(np.maximum(there - self.max_detections[-1], 0).sum())

    def bin_index(self, name: str) -> int:
        """Finds a size bin by name.

        Raises:
            ValueError: it was not matched for.
        """
        names = [size.name for size in self.bins]
        if name not in names:
            raise ValueError(f"there is no size bin {name!r}; there are {', '.join(names)}")
        return names.index(name)

    def threshold_index(self, iou: float) -> int:
        """Finds an IoU threshold.

        Raises:
            ValueError: it was not matched for.
        """
        close = np.flatnonzero(np.isclose(self.thresholds, iou, rtol=0, atol=1e-9))
        if not len(close):
            known = ", ".join(f"{value:g}" for value in self.thresholds)
            raise ValueError(f"nothing was matched at IoU {iou:g}; the thresholds are {known}")
        return int(close[0])

    def hits(self, size: int) -> Bools:
        """Tells which candidates find an object that counts in a size bin, `(T, K)`, by the bin's place."""
        taken = self.taken[size]
        counted: Bools = ~np.append(self.objects_ignored[size], True)[taken]
        return counted

    def objects_taken(self, iou: float = 0.5, size: str = "all") -> Ints:
        """Returns the row of the object that each detection took, `(D,)`, -1 for none. Crowds can be taken often."""
        objects = np.full(len(self.run.found), NOBODY, dtype=np.int64)
        objects[self.candidates] = self.taken[self.bin_index(size), self.threshold_index(iou)]
        return objects

    def detections_taking(self, iou: float = 0.5, size: str = "all") -> Ints:
        """Returns the row of the detection that took each object, `(G,)`, -1 for none and for ignored objects."""
        objects = self.objects_taken(iou, size)
        detections = np.full(len(self.run.truth), NOBODY, dtype=np.int64)
        took = np.flatnonzero(objects != NOBODY)
        detections[objects[took]] = took
        detections[self.objects_ignored[self.bin_index(size)]] = NOBODY
        return detections


def match(
    run: Run,
    task: Task = "bbox",
    *,
    thresholds: Sequence[float] | None = None,
    bins: Sequence[SizeBin] | None = None,
    max_detections: Sequence[int] | None = None,
) -> Matches:
    """Matches detections to objects by COCO's rules, with the sizes, thresholds and limits of the run's protocol.

    Args:
        run: a run with its annotations and detections.
        task: `bbox` or `segm`.
        thresholds: IoU thresholds; None for those of the run's protocol.
        bins: size bins; None for those of the protocol and finer ones.
        max_detections: limits on the number of detections; None for those of the protocol.

    Raises:
        ValueError: a setting is out of range, or the task is `segm` and the run or the annotations have no masks.

    Source: pycocotools' `COCOeval.evaluateImg`, whose matches these equal.
    """
    protocol = run.protocol
    thresholds = protocol.iou_thresholds if thresholds is None else thresholds
    bins = protocol.matched_bins if bins is None else bins
    limits = _judge(task, thresholds, bins, protocol.max_detections if max_detections is None else max_detections)
    run, levels = run.ranked_for(task), np.asarray(thresholds, dtype=np.float64)
    asked = np.minimum(levels, 1 - 1e-10)  # COCO's own way with an IoU of 1
    ranks = _ranks(run)
    pairs = overlaps(run, task, least=float(asked.min()))
    ignored = np.stack([run.truth.crowds | ~size.holds(run.truth.areas_px) for size in bins])
    candidates, taken = _match(pairs, ranks, run.truth.crowds, ignored, asked)
    if protocol.ignored_cover:
        candidates, taken = _covered(run, task, ignored, asked, candidates, taken)
    areas = areas_px(run, task)
    in_bin = np.stack([size.holds(areas) for size in bins])
    counted = ranks if protocol.per_class else _places(run.found.images)
    return Matches(run, task, levels, tuple(bins), protocol, limits, counted, in_bin, ignored, candidates, taken)


def _judge(
    task: str, thresholds: Sequence[float], bins: Sequence[SizeBin], max_detections: Sequence[int]
) -> tuple[int, ...]:
    if task not in ("bbox", "segm"):
        raise ValueError(f"there is no task {task!r}; there are 'bbox' and 'segm'")
    if not len(thresholds) or not all(0 < value <= 1 for value in thresholds):
        raise ValueError(f"IoU thresholds are {list(thresholds)}: give at least one, above 0 and at most 1")
    if not bins or len({size.name for size in bins}) < len(bins):
        raise ValueError(f"size bins are {[size.name for size in bins]}: give at least one, each with its own name")
    if not max_detections or min(max_detections) < 1:
        raise ValueError(f"limits on detections are {list(max_detections)}: give at least one, each 1 or more")
    return tuple(sorted(set(max_detections)))


def _ranks(run: Run) -> Ints:
    """Each detection's place within its image and class; `Found` has them best first within an image."""
    keys = run.found.images * len(run.truth.class_names) + run.found.classes
    order = np.argsort(keys, kind="stable")
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[order] = _places(keys[order])
    return ranks


def _places(sorted_keys: Ints) -> Ints:
    """Counts 0, 1, 2, … within each run of equal keys."""
    starts = np.flatnonzero(np.diff(sorted_keys, prepend=sorted_keys[:1] - 1))
    places: Ints = np.arange(len(sorted_keys)) - np.repeat(starts, np.diff(starts, append=len(sorted_keys)))
    return places


def _match(
    pairs: Overlaps,
    ranks: Ints,
    crowds: Bools,
    ignored: Bools,
    asked: Floats,
) -> tuple[Ints, npt.NDArray[np.int32]]:
    first = np.diff(pairs.detections, prepend=-1) > 0
    candidates, column = pairs.detections[first], np.cumsum(first) - 1
    taken = np.full((len(candidates), len(ignored), len(asked)), NOBODY, dtype=np.int32)
    # most detections have one object to take, and nobody else wants it
    left_to_one = crowds | (np.bincount(pairs.objects, minlength=len(crowds)) == 1)
    alone = left_to_one[pairs.objects] & (np.bincount(column)[column] == 1)
    own = np.where(pairs.ious[alone, None] >= asked, pairs.objects[alone, None], NOBODY)
    taken[column[alone]] = own[:, None]
    ignored_by_object = ignored.T.copy()
    gone = np.zeros((len(crowds), len(ignored), len(asked)), dtype=np.bool_)
    for chosen, starts in _rounds(pairs, np.flatnonzero(~alone), ranks):
        objects = pairs.objects[chosen]
        free = ~gone[objects] | crowds[objects, None, None]
        free &= pairs.ious[chosen, None, None] >= asked
        took = _first(free, ignored_by_object[objects], starts, objects)
        taken[column[chosen[starts]]] = took
        _, size, level = np.nonzero(took != NOBODY)
        gone[took[took != NOBODY], size, level] = True
    return candidates, np.ascontiguousarray(taken.transpose(1, 2, 0))


def _covered(
    run: Run,
    task: Task,
    ignored: Bools,
    asked: Floats,
    candidates: Ints,
    taken: npt.NDArray[np.int32],
) -> tuple[Ints, npt.NDArray[np.int32]]:
    """Lets detections that took nothing take an ignored object in which a large enough share of them lies, as a crowd.

    Source: TinyBenchmark's `COCOeval.evaluateImg` with `use_iod_for_ignore`.
    """
    truth = replace(run.truth, crowds=np.ones(len(run.truth), np.bool_))
    inside = overlaps(replace(run, truth=truth), task, least=float(asked.min()))
    every = np.union1d(candidates, inside.detections)
    grown = np.full((*taken.shape[:2], len(every)), NOBODY, dtype=np.int32)
    grown[:, :, np.searchsorted(every, candidates)] = taken
    column = np.searchsorted(every, inside.detections)
    for size, unscored in enumerate(ignored[:, inside.objects]):
        level, pair = np.nonzero(unscored & (inside.ious >= asked[:, None]))
        covering = np.full(grown.shape[1:], NOBODY, dtype=np.int32)
        covering[level, column[pair]] = inside.objects[pair]
        grown[size] = np.where(grown[size] == NOBODY, covering, grown[size])
    return every, grown


def _rounds(pairs: Overlaps, kept: Ints, ranks: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yields kept pairs whose detections can choose at the same time, and where each detection's pairs start.

    Detections of one rank are of different images or classes, so none takes another's object. A detection's
    pairs come in the order in which it would have them: largest IoU first and, among equals, the last object.
    """
    rank = ranks[pairs.detections]
    order = kept[np.lexsort((-pairs.objects[kept], -pairs.ious[kept], pairs.detections[kept], rank[kept]))]
    edges = np.flatnonzero(np.diff(rank[order], prepend=-1, append=np.iinfo(np.int64).max))
    for low, high in itertools.pairwise(edges):
        same_rank = order[low:high]
        starts = np.flatnonzero(np.diff(pairs.detections[same_rank], prepend=-1))
        cuts = np.searchsorted(starts, np.arange(0, high - low, PAIRS_AT_A_TIME))
        for first, last in itertools.pairwise(np.unique([*cuts, len(starts)])):
            end = starts[last] if last < len(starts) else high - low
            yield same_rank[starts[first] : end], starts[first:last] - starts[first]


def _first(free: Bools, ignored: Bools, starts: Ints, objects: Ints) -> npt.NDArray[np.int32]:
    """The first free object of each detection, one that is not ignored before any other.

    `(P, A, T)` and `(P, A)` pairs in, `(D, A, T)` objects out.
    """
    number = np.int32(len(objects))
    turns = np.arange(number, dtype=np.int32)[:, None] + number * ignored
    first = np.minimum.reduceat(np.where(free, turns[..., None], 2 * number), starts, axis=0)
    places = np.where(first == 2 * number, number, first % number)
    return np.append(objects, NOBODY).astype(np.int32)[places]
