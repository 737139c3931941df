"""What each type of error costs: AP with only that error fixed, less AP.

Each oracle fixes one type of error and nothing else:

* **classification**: the detection gets the object's class, and is correct;
* **localisation**: the detection gets the object's box, and is correct;
* **both**, **duplicate**, **background**: the detection goes;
* **missed**: the object goes, as if the detector were as precise on it as on those that it found.

Where fixing makes several detections correct on one object, the best scored stays and the others go. Two more oracles
do not look at types: without **false positives** only correct detections stay, without **false negatives** only objects
that were found. Gains do not add up to what AP lacks: an oracle's effect depends on the errors that stay.

`tidecv`, the package of the paper's authors, chooses differently among rivals: an object that has a detection keeps
it, however badly scored, and one that has none takes the best of its localisation and classification errors, though
only one of the two types is being fixed. Published tables were made so; `rivals="tidecv"` compares with them. Other
habits of its are not followed: it averages over classes without objects too, shows gains below 0 as 0, reads precision
at recalls a bit beside COCO's, and gives a duplicate or an error of both kinds the detection's size.

A class of which no object stays has an AP of 100 if no detection of it stays either, and of 0 otherwise: a detector
that says nothing gains 100 from fixing all misses.

Source: Bolya et al., ECCV 2020, section 2.3. AP: COCO's, interpolated at 101 recalls, at the taxonomy's foreground IoU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from explorer.errors.taxonomy import ERRORS, ErrorType, Taxonomy
from explorer.scoring.accumulate import RECALLS
from explorer.scoring.curves import average_precision as area_under_curve
from explorer.scoring.metrics import mean_over_classes
from explorer.scoring.sizes import ALL, COCO_BINS, SizeBin
from explorer.types import Bools, Floats, Ints

FALSE_POSITIVES = "false positives"
FALSE_NEGATIVES = "false negatives"
GAINS = (*(kind.label for kind in ERRORS), FALSE_POSITIVES, FALSE_NEGATIVES)
"""The names of the eight gains, in the paper's order."""

Rivals = Literal["paper", "tidecv"]
"""Whose choice it is which of several detections that would be correct on one object stays."""


@dataclass(frozen=True, eq=False)
class Gains:
    """What fixing errors adds to AP, by class; `mean` has the usual figures.

    Attributes:
        ap: `(C,)` percent, NaN for classes without objects.
        gains: percentage points `(C,)` by the names in `GAINS`.
    """

    ap: Floats
    gains: Mapping[str, Floats]

    @property
    def mean_ap(self) -> float:
        """The mean over classes that have objects, NaN where none has."""
        return float(mean_over_classes(self.ap, axis=0))

    @property
    def mean(self) -> dict[str, float]:
        """The means over classes that have objects: the paper's ΔAP."""
        return {name: float(mean_over_classes(gain, axis=0)) for name, gain in self.gains.items()}


@dataclass(frozen=True, eq=False)
class SizeGains:
    """The gains of one size.

    Attributes:
        size: areas of objects, and of background errors.
        of_all: what fixing the errors of this size adds to the AP over all sizes, as `tidecv`'s qualifiers have it:
            where the AP goes.
        alone: the same on a data set with only this size: what a small object suffers from. Its AP is not COCO's of
            that size: COCO goes by a false detection's own area, this by that of the object it concerns.
    """

    size: SizeBin
    of_all: Gains
    alone: Gains


def fix(taxonomy: Taxonomy, *, size: SizeBin = ALL, rivals: Rivals = "paper") -> Gains:
    """Computes what each oracle adds to AP.

    Args:
        taxonomy: the errors.
        size: fix only errors of this size.
        rivals: which of several detections that would be correct on one object stays; see above.
    """
    return _fix(_Detections(taxonomy), size, rivals)


def fix_by_size(
    taxonomy: Taxonomy, bins: Sequence[SizeBin] = COCO_BINS, *, rivals: Rivals = "paper"
) -> tuple[SizeGains, ...]:
    """Computes what each oracle adds to AP, size by size.

    Args:
        taxonomy: the errors.
        bins: the sizes.
        rivals: as for `fix`.
    """
    everything = _Detections(taxonomy)
    return tuple(
        SizeGains(size, _fix(everything, size, rivals), _fix(_Detections(taxonomy, size), size, rivals))
        for size in bins
    )


class _Detections:
    """The detections that count, best first, and how many objects each class has.

    Attributes:
        taxonomy: whose they are.
        rows: `(N,)` rows in `found`, by descending score; of equal scores in the order of the images, as in COCO.
        objects: `(C,)` number of objects by class.
    """

    def __init__(self, taxonomy: Taxonomy, size: SizeBin = ALL) -> None:
        """Takes the detections and the objects of one size."""
        self.taxonomy = taxonomy
        counted = taxonomy.detections_of(ErrorType.CORRECT, *ERRORS, size=size)
        order = np.argsort(-taxonomy.run.found.scores, kind="stable")
        self.rows: Ints = order[counted[order]]
        self.objects = self.by_class(taxonomy.objects_of(ErrorType.CORRECT, *ERRORS, size=size))

    def by_class(self, objects: Bools) -> Ints:
        """Counts objects `(C,)`, given which `(G,)`."""
        truth = self.taxonomy.run.truth
        return np.bincount(truth.classes[objects], minlength=len(truth.class_names))

    def ap(self, classes: Ints, correct: Bools, objects: Ints) -> Floats:
        """Computes AP `(C,)` in percent.

        Args:
            classes: `(D,)` class of each detection; -1 for one that is gone.
            correct: `(D,)` whether it is.
            objects: `(C,)` number of objects.
        """
        classes, correct = classes[self.rows], correct[self.rows]
        order = np.argsort(classes, kind="stable")
        edges = np.searchsorted(classes[order], np.arange(len(objects) + 1))
        hits = [correct[order[first:last]] for first, last in pairwise(edges)]
        every = self.taxonomy.run.protocol.every_recall
        aps = [average_precision(hit, number, every) for hit, number in zip(hits, objects.tolist(), strict=True)]
        return np.where(self.objects > 0, aps, np.nan)


def average_precision(correct: Bools, objects: int, every_recall: bool = False) -> float:
    """Computes AP of one class at one IoU, in percent.

    Args:
        correct: `(N,)` whether each detection is, best first.
        objects: how many there are; with none, AP is 100 without detections and 0 with any.
        every_recall: the whole area under the curve, as VisDrone has it, and not the mean over COCO's 101 recalls.
    """
    if objects == 0:
        return 0.0 if len(correct) else 100.0
    if every_recall:
        return 100 * area_under_curve(correct, objects, every_recall=True)
    hits = np.cumsum(correct)
    precision = hits / (np.arange(1, len(correct) + 1) + np.spacing(1))  # pycocotools adds the spacing too
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(hits / objects, RECALLS)
    return float(100 * np.append(envelope, 0)[at].mean())


def _fix(detections: _Detections, size: SizeBin, rivals: Rivals) -> Gains:
    taxonomy = detections.taxonomy
    classes, objects = taxonomy.run.found.classes, detections.objects
    correct = taxonomy.detection_types == ErrorType.CORRECT
    before = detections.ap(classes, correct, objects)
    after = {
        kind.label: detections.ap(*_give(taxonomy, kind, size, rivals), objects)
        for kind in (ErrorType.CLASSIFICATION, ErrorType.LOCALISATION)
    }
    going = {kind.label: (kind,) for kind in (ErrorType.BOTH, ErrorType.DUPLICATE, ErrorType.BACKGROUND)}
    for name, kinds in {**going, FALSE_POSITIVES: ERRORS}.items():
        gone = taxonomy.detections_of(*kinds, size=size)
        after[name] = detections.ap(np.where(gone, -1, classes), correct, objects)
    for name, kinds in {ErrorType.MISSED.label: (ErrorType.MISSED,), FALSE_NEGATIVES: ERRORS}.items():
        lost = detections.by_class(taxonomy.objects_of(*kinds, size=size))
        after[name] = detections.ap(classes, correct, objects - lost)
    return Gains(before, {name: after[name] - before for name in GAINS})


def _give(taxonomy: Taxonomy, kind: ErrorType, size: SizeBin, rivals: Rivals) -> tuple[Ints, Bools]:
    """Makes the errors of one type correct on their objects.

    Returns:
        The class of each detection `(D,)`, -1 where it goes, and whether it is correct.
    """
    correct = taxonomy.detection_types == ErrorType.CORRECT
    fixed = taxonomy.detections_of(kind, size=size)
    if rivals == "paper":
        wins = _best_on_its_object(taxonomy, fixed | correct)
    else:
        without = taxonomy.object_types[taxonomy.objects] != ErrorType.CORRECT
        claims = taxonomy.detections_of(ErrorType.CLASSIFICATION, ErrorType.LOCALISATION) & without
        wins = correct | (fixed & _best_on_its_object(taxonomy, claims))
    classes = taxonomy.run.found.classes.copy()
    classes[wins] = taxonomy.run.truth.classes[taxonomy.objects[wins]]
    classes[(fixed | correct) & ~wins] = -1
    return classes, wins


def _best_on_its_object(taxonomy: Taxonomy, claims: Bools) -> Bools:
    """Returns which of the claims `(D,)` is the best on the object that it concerns."""
    rows = np.flatnonzero(claims)  # best first within an image
    _, first = np.unique(taxonomy.objects[rows], return_index=True)
    wins = np.zeros(len(claims), dtype=np.bool_)
    wins[rows[first]] = True
    return wins
