"""Annotations that are likely wrong, ranked: confident detections that contradict them.

There are three kinds:

* a **missing box**: a detection where nothing is annotated (its IoU with every object is below 0.1);
* a **wrong class**: a detection on an object of another class (IoU of at least 0.5);
* a **badly placed** box: a detection of the object's class with an IoU of at least 0.1 and below 0.7.

They are ranked by the square of the detection's score, reduced by that of the best detection that agrees with the
annotation (of its class, with an IoU of at least 0.5, or 0.7 for a badly placed box). Of detections at one position,
only the most likely error is kept. docs/label-errors.md says how many of the first were errors in a test with known
ones. FiftyOne's `compute_mistakenness` uses confidence as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from explorer.errors.taxonomy import NOBODY
from explorer.scoring.columns import Run, Task
from explorer.scoring.matching import match
from explorer.scoring.overlaps import Overlaps, overlaps
from explorer.types import Bools, Floats, Ints

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
    """Finds likely label errors, most likely first; each object and each position at most once.

    Args:
        run: detections of a detector that was not trained on these annotations.
        task: whether boxes or masks overlap.
        kinds: which to look for.

    Raises:
        ValueError: there is no such kind, masks are asked for that are not there, or a score is not in [0, 1].
    """
    if unknown := set(kinds) - set(KINDS):
        raise ValueError(f"there is no kind of label error {min(unknown)!r}; there are {', '.join(KINDS)}")
    if not run.found.has_probabilities:
        raise ValueError(
            f"{run.name} has scores from {run.found.scores.min():g} to {run.found.scores.max():g}; label errors are "
            "ranked by scores between 0 and 1"
        )
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
    return _once(run, columns) if columns else ()


def _highest(places: Ints, values: Floats, number: int) -> Floats:
    highest = np.zeros(number)
    np.maximum.at(highest, places, values)
    return highest


def _supports(pairs: Overlaps, speaks: Bools, sure: Floats, objects: int) -> Floats:
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
    kinds = [kind for kind, rows, *_ in columns for _ in rows]
    detections, objects, ious, likelihoods = map(np.concatenate, zip(*(own for _, *own in columns), strict=True))
    order = np.lexsort((detections, -likelihoods))
    order = order[likelihoods[order] > 0]
    rivals = _rivals(run, detections[order][objects[order] == NOBODY])
    kept: list[Suspect] = []
    taken: set[int] = set()
    used: set[int] = set()
    lists = (column[order].tolist() for column in (likelihoods, detections, objects, ious))
    for place, likelihood, detection, one, iou in zip(order.tolist(), *lists, strict=True):
        if detection in used or one in taken or (one == NOBODY and not used.isdisjoint(rivals.get(detection, ()))):
            continue
        used.add(detection)
        taken |= {one} - {NOBODY}
        score = float(run.found.scores[detection])
        kept.append(Suspect(kinds[place], likelihood, detection, one, iou, score))
    return tuple(kept)


def _rivals(run: Run, detections: Ints) -> dict[int, list[int]]:
    """Which of some detections lie on each other, of whatever class; those that lie on no other are left out."""
    rows = np.unique(detections)
    images, near = run.found.images[rows], defaultdict[int, list[int]](list)
    for own in np.split(rows, np.flatnonzero(np.diff(images)) + 1):
        x, y, w, h = run.found.boxes_xywh[own].T
        width = np.minimum(x + w, (x + w)[:, None]) - np.maximum(x, x[:, None])
        height = np.minimum(y + h, (y + h)[:, None]) - np.maximum(y, y[:, None])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        same = shared >= SAME_IOU * (w * h + (w * h)[:, None] - shared)
        np.fill_diagonal(same, val=False)
        for row, other in zip(*(own[places].tolist() for places in np.nonzero(same)), strict=True):
            near[row].append(other)
    return near
