"""TIDE's six error types: what is wrong with each false detection, and why each object was not found.

Let *own* be a detection's highest IoU with an object of its class, *other* that with an object of any other class, tf
the foreground threshold (0.5) and tb the background threshold (0.1). COCO's greedy matching at tf gives each object at
most one detection. What it leaves over is, in this order,

* a **localisation** error if tb <= own < tf: right class, box too far off;
* a **classification** error if other >= tf: right box, wrong class;
* a **duplicate** if own >= tf: a better detection has the object;
* **both** if other >= tb: wrong class and box off;
* **background** otherwise: nothing is there.

An object without a detection has the type of the best localisation or classification error made on it, and is
**missed** if none was.

The paper words these as conditions that can hold together. Their order here is that of its authors' package, `tidecv`
1.0.1, as are the types in all cases but these, which the paper leaves open: an overlap of exactly tf suffices and one
of exactly tb is one everywhere, where the package calls a duplicate at exactly tf a localisation error; of objects that
a detection overlaps equally it is given the last, as in pycocotools; at most `max_dets` detections per image *and
class* count, as in COCO, where the package has a limit per image; and a detection in a crowd of its class is ignored
throughout, as in COCO, where the package lets it cover a miss.

Source: Bolya, Foley, Hays, Hoffman: TIDE: A General Toolbox for Identifying Object Detection Errors. ECCV 2020,
section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from explorer.scoring.columns import Run, Task
from explorer.scoring.matching import Matches, match
from explorer.scoring.overlaps import Overlaps, areas_px, overlaps
from explorer.scoring.sizes import ALL, SizeBin
from explorer.types import Bools, Floats, Ints

NOBODY = -1
Types = npt.NDArray[np.int8]


class ErrorType(IntEnum):
    """What a detection or an object is an example of."""

    CORRECT = 0
    """A detection that has its object, an object that has its detection."""
    CLASSIFICATION = 1
    LOCALISATION = 2
    BOTH = 3
    DUPLICATE = 4
    BACKGROUND = 5
    MISSED = 6
    IGNORED = 7
    """A crowd, a detection in a crowd, or one beyond the limit of detections per image."""

    @property
    def label(self) -> str:
        """The name for tables and figures."""
        return self.name.lower()

    @property
    def words(self) -> str:
        """The name for people, in figures and saved views."""
        return _WORDS.get(self.name, self.label)


_WORDS = {
    "CLASSIFICATION": "wrong class",
    "LOCALISATION": "box off",
    "BOTH": "class and box off",
    "DUPLICATE": "duplicate",
    "BACKGROUND": "background",
    "MISSED": "missed",
}
ERRORS = tuple(ErrorType)[ErrorType.CLASSIFICATION : ErrorType.IGNORED]
"""The six types of error, in the paper's order."""


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """The type of every detection and every object of a run, so that a number leads to its boxes.

    **Size.** An error that concerns an object has the object's size (COCO's `area`); a background error, which concerns
    none, has its own.

    Attributes:
        run: what is there and what was found, ranked as `Matches.run` is.
        foreground: tf, the IoU from which a detection is on an object.
        background: tb, the IoU from which a detection has to do with an object.
        detection_types: `(D,)` int8, an `ErrorType` for each row of `run.found`.
        objects: `(D,)` int64, row in `run.truth` of the object that each detection has, or that its error concerns:
            that which it would find were its box or class right, which it duplicates, or which it overlaps most. -1
            for background errors and what is ignored.
        detection_areas_px: `(D,)` float64, the size of each detection: its object's, or its own.
        object_types: `(G,)` int8, an `ErrorType` for each row of `run.truth`.
        detections: `(G,)` int64, row in `run.found` of the detection that each object has, or would have were the error
            that covers it fixed; -1 for what is missed or ignored.
    """

    run: Run
    foreground: float
    background: float
    detection_types: Types
    objects: Ints
    detection_areas_px: Floats
    object_types: Types
    detections: Ints

    def detections_of(self, *types: ErrorType, size: SizeBin = ALL) -> Bools:
        """Returns which detections `(D,)` are of these types and of this size."""
        return np.isin(self.detection_types, types) & size.names(self.detection_areas_px)

    def objects_of(self, *types: ErrorType, size: SizeBin = ALL) -> Bools:
        """Returns which objects `(G,)` are of these types and of this size."""
        return np.isin(self.object_types, types) & size.names(self.run.truth.areas_px)

    def counts(self, size: SizeBin = ALL) -> dict[ErrorType, Ints]:
        """Counts the errors of each type by class `(C,)`: the detection's class, the object's for what is missed."""
        truth, found = self.run.truth, self.run.found
        classes = {kind: found.classes[self.detections_of(kind, size=size)] for kind in ERRORS}
        classes[ErrorType.MISSED] = truth.classes[self.objects_of(ErrorType.MISSED, size=size)]
        return {kind: np.bincount(rows, minlength=len(truth.class_names)) for kind, rows in classes.items()}


def classify_errors(
    run: Run, task: Task = "bbox", *, foreground: float = 0.5, background: float = 0.1, max_dets: int | None = None
) -> Taxonomy:
    """Finds the error type of every detection and every object.

    Args:
        run: what is there and what was found.
        task: whether overlaps and a detection's own size are those of boxes or of masks.
        foreground: tf.
        background: tb.
        max_dets: how many detections of one class in one image count, the best ones; the run's own limit where None.
            An object that only a detection beyond it has is neither correct nor missed.

    Raises:
        ValueError: the thresholds are not 0 < background <= foreground <= 1, `max_dets` is below 1, or masks are asked
            for that are not there.
    """
    if not 0 < background <= foreground <= 1:
        raise ValueError(
            f"the thresholds are background {background} and foreground {foreground}; "
            "they must be 0 < background <= foreground <= 1, as 0.1 and 0.5"
        )
    limit = run.protocol.max_detections[-1] if max_dets is None else max_dets
    matches = match(run, task, thresholds=(foreground,), bins=run.protocol.bins[:1], max_detections=(limit,))
    run = matches.run
    ignored = matches.objects_ignored[0]
    pairs = overlaps(run, task, least=background, rows=np.flatnonzero(matches.counted), same_class=False)
    types, objects = _judge_detections(matches, _of_objects(pairs, ~ignored), foreground)
    object_types, detections = _judge_objects(types, objects, ignored)
    cut = np.append(~matches.counted, False)[matches.detections_taking(foreground, ALL.name)]
    object_types[cut & (object_types == ErrorType.MISSED)] = ErrorType.IGNORED
    areas = np.where(objects != NOBODY, np.append(run.truth.areas_px, 0)[objects], areas_px(run, task))
    return Taxonomy(run, foreground, background, types, objects, areas, object_types, detections)


def _of_objects(pairs: Overlaps, kept: Bools) -> Overlaps:
    rows = np.flatnonzero(kept[pairs.objects])
    return Overlaps(pairs.detections[rows], pairs.objects[rows], pairs.ious[rows])


def _judge_detections(matches: Matches, pairs: Overlaps, foreground: float) -> tuple[Types, Ints]:
    """Returns the type of each detection `(D,)`, and the object that it has or that its error concerns."""
    found, truth = matches.run.found, matches.run.truth
    same = found.classes[pairs.detections] == truth.classes[pairs.objects]
    own, own_iou = _best(pairs, same, len(found))
    other, other_iou = _best(pairs, ~same, len(found))
    judged = {
        ErrorType.LOCALISATION: ((own != NOBODY) & (own_iou < foreground), own),
        ErrorType.CLASSIFICATION: (other_iou >= foreground, other),
        ErrorType.DUPLICATE: (own_iou >= foreground, own),
        ErrorType.BOTH: (other != NOBODY, other),
    }
    conditions = [condition for condition, _ in judged.values()]
    types = np.select(conditions, list(judged), ErrorType.BACKGROUND).astype(np.int8)
    objects = np.select(conditions, [concerned for _, concerned in judged.values()], NOBODY)

    taken = matches.objects_taken(foreground, ALL.name)
    in_crowd = np.append(matches.objects_ignored[0], False)[taken]
    types[taken != NOBODY] = ErrorType.CORRECT
    objects = np.where(taken != NOBODY, taken, objects)
    ignored = in_crowd | ~matches.counted
    types[ignored], objects[ignored] = ErrorType.IGNORED, NOBODY
    return types, objects


def _best(pairs: Overlaps, kept: Bools, detections: int) -> tuple[Ints, Floats]:
    """Finds the object that each detection overlaps most among the kept pairs, the first of equals.

    Returns:
        Its row `(D,)`, -1 for none, and the IoU, 0 for none.
    """
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((-pairs.ious[rows], pairs.detections[rows]))]
    those, first = np.unique(pairs.detections[rows], return_index=True)
    best, iou = np.full(detections, NOBODY), np.zeros(detections)
    best[those], iou[those] = pairs.objects[rows[first]], pairs.ious[rows[first]]
    return best, iou


def _judge_objects(types: Types, objects: Ints, ignored: Bools) -> tuple[Types, Ints]:
    """Returns the type of each object `(G,)`, and the detection that it has or that covers its loss."""
    object_types = np.full(len(ignored), ErrorType.MISSED, dtype=np.int8)
    detections = np.full(len(ignored), NOBODY)
    covering = np.flatnonzero(np.isin(types, (ErrorType.CLASSIFICATION, ErrorType.LOCALISATION)))
    for rows in (covering, np.flatnonzero(types == ErrorType.CORRECT)):  # a match outdoes what would cover
        concerned, first = np.unique(objects[rows], return_index=True)  # the first row is the best
        detections[concerned] = rows[first]
        object_types[concerned] = types[rows[first]]
    object_types[ignored] = ErrorType.IGNORED
    return object_types, detections
