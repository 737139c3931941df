"""Annotations that are likely wrong, ranked: what a detector is sure of and the annotations deny.

Three kinds, as a detection disagrees with what is annotated:

* a **missing box**: it lies on nothing that is annotated (its IoU with every object is below 0.1);
* a **wrong class**: it lies on an object of another class (IoU of at least 0.5);
* a **badly placed** box: it is of an object's class, but overlaps it by less than 0.7, and by 0.1 at least.

They are ranked by the square of the detection's score (a doubtful one says little), weighed with what speaks for the
annotation: the best detection that has the object as it is annotated (its class, and an IoU of at least 0.5, or 0.7 for
a badly placed box). Of detections of one place, the best one speaks. docs/label-errors.md has how many of the
first were planted. FiftyOne's `compute_mistakenness` goes by confidence, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from explorer.errors.taxonomy import NOBODY
from explorer.scoring.columns import Run, Task
from explorer.scoring.matching import match
from explorer.scoring.overlaps import Overlaps, overlaps
from explorer.types import Floats, Ints

NOTHING_IOU, CLASS_IOU, PLACE_IOU = 0.1, 0.5, 0.7
SAME_IOU = 0.5
"""Detections that overlap more are of one place."""
Kind = Literal["missing box", "wrong class", "badly placed"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Suspect:
    """A likely label error.

    Attributes:
        kind: what seems to be wrong.
        likelihood: from 0 to 1, for ranking.
        detection: row in `run.found`.
        object: row in `run.truth`; -1 where a box seems to be missing.
        iou: of the two; for a missing box the highest with any object.
        score: of the detection.
    """

    kind: Kind
    likelihood: float
    detection: int
    object: int
    iou: float
    score: float


def suspects(run: Run, task: Task = "bbox", *, kinds: Sequence[Kind] = KINDS) -> tuple[Suspect, ...]:
    """Finds likely label errors, the likeliest first; each object and each place at most once.

    Args:
        run: of a detector that is good enough to doubt the annotations by.
        task: whether boxes or masks overlap.
        kinds: which to look for.

    Raises:
        ValueError: there is no such kind, or masks are asked for that are not there.
    """
    if unknown := set(kinds) - set(KINDS):
        raise ValueError(f"there is no kind of label error {min(unknown)!r}; there are {', '.join(KINDS)}")
    matches = match(run, task, thresholds=(CLASS_IOU,), bins=run.protocol.bins[:1])
    run, truth, found = matches.run, matches.run.truth, matches.run.found
    sure = found.scores**2
    pairs = overlaps(run, task, least=1e-9, same_class=False)
    in_crowd = np.zeros(len(found), np.bool_)
    crowd = truth.crowds[pairs.objects]
    in_crowd[pairs.detections[crowd & (pairs.ious >= CLASS_IOU)]] = True
    pairs = _kept(pairs, np.flatnonzero(~crowd))
    same = found.classes[pairs.detections] == truth.classes[pairs.objects]
    shown = matches.counted & ~in_crowd
    columns = []
    if "missing box" in kinds:
        highest = _highest(pairs.detections, pairs.ious, len(found))
        rows = np.flatnonzero(shown & (highest < NOTHING_IOU))
        columns.append((KINDS[0], rows, np.full(len(rows), NOBODY), highest[rows], sure[rows]))
    if "wrong class" in kinds:
        against = _supports(pairs, same & (pairs.ious >= CLASS_IOU), sure, len(truth))
        here = np.flatnonzero(~same & (pairs.ious >= CLASS_IOU) & shown[pairs.detections])
        columns.append((KINDS[1], *_weighed(pairs, here, sure, against)))
    if "badly placed" in kinds:
        best = _highest(pairs.detections, np.where(same, pairs.ious, 0), len(found))
        against = _supports(pairs, same & (pairs.ious >= PLACE_IOU), sure, len(truth))
        near = same & (pairs.ious >= NOTHING_IOU) & (pairs.ious < PLACE_IOU)
        here = np.flatnonzero(near & (pairs.ious == best[pairs.detections]) & shown[pairs.detections])
        columns.append((KINDS[2], *_weighed(pairs, here, sure, against, tolerance=PLACE_IOU)))
    return _once(run, columns)


def _highest(places: Ints, values: Floats, number: int) -> Floats:
    highest = np.zeros(number)
    np.maximum.at(highest, places, values)
    return highest


def _supports(pairs: Overlaps, speaks: npt.NDArray[np.bool_], sure: Floats, objects: int) -> Floats:
    """How sure the best detection that speaks for each object is, `(G,)`."""
    return _highest(pairs.objects[speaks], sure[pairs.detections[speaks]], objects)


def _weighed(
    pairs: Overlaps, here: Ints, sure: Floats, against: Floats, tolerance: float = 0.0
) -> tuple[Ints, Ints, Floats, Floats]:
    detections, objects, ious = pairs.detections[here], pairs.objects[here], pairs.ious[here]
    likelihood = sure[detections] * (1 - against[objects])
    if tolerance:
        likelihood = likelihood * np.sqrt(1 - ious / tolerance)  # the further off, the likelier
    return detections, objects, ious, likelihood


def _kept(pairs: Overlaps, rows: Ints) -> Overlaps:
    return Overlaps(pairs.detections[rows], pairs.objects[rows], pairs.ious[rows])


def _once(run: Run, columns: Sequence[tuple[Kind, Ints, Ints, Floats, Floats]]) -> tuple[Suspect, ...]:
    """Sorts by likelihood, and takes each object once, and of detections of one place the likeliest."""
    every = [
        Suspect(kind, likelihood, detection, one, iou, float(run.found.scores[detection]))
        for kind, *lists in columns
        for detection, one, iou, likelihood in zip(*(column.tolist() for column in lists), strict=True)
    ]
    every.sort(key=lambda own: (-own.likelihood, own.detection))
    rivals = _rivals(run, [own.detection for own in every if own.object == NOBODY])
    kept: list[Suspect] = []
    objects: set[int] = set()
    used: set[int] = set()
    for own in every:
        if own.likelihood <= 0 or own.detection in used or own.object in objects:
            continue
        if own.object == NOBODY and rivals.get(own.detection, set()) & used:
            continue
        used.add(own.detection)
        objects |= {own.object} - {NOBODY}
        kept.append(own)
    return tuple(kept)


def _rivals(run: Run, detections: Sequence[int]) -> dict[int, set[int]]:
    """Which of some detections lie on each other, of whatever class."""
    rows = np.unique(np.array(detections, np.int64))
    boxes, images = run.found.boxes_xywh, run.found.images
    near: dict[int, set[int]] = {}
    for image in np.unique(images[rows]).tolist():
        own = rows[images[rows] == image]
        x, y, w, h = boxes[own].T
        width = np.minimum(x + w, (x + w)[:, None]) - np.maximum(x, x[:, None])
        height = np.minimum(y + h, (y + h)[:, None]) - np.maximum(y, y[:, None])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        same = shared >= SAME_IOU * (w * h + (w * h)[:, None] - shared)
        for place, row in enumerate(own.tolist()):
            near[row] = set(own[same[place]].tolist()) - {row}
    return near
