"""Everything that is written beside a run's objects and detections, as columns: what COCO's rules say of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.errors.autopsy import Autopsy
from explorer.errors.columns import Run
from explorer.errors.curves import average_precision_by_image
from explorer.errors.matching import NOBODY, Matches, match
from explorer.errors.ordering import Floats
from explorer.errors.outcomes import OperatingPoint, equal_precision, found_by
from explorer.errors.overlaps import Rows, overlaps
from explorer.errors.sizes import COCO_BINS
from explorer.errors.taxonomy import ErrorType, Taxonomy, classify_errors

IOU = 0.5
SURE_PRECISION = 0.9
"""A detector is sure of a detection from the score at which it is right this often."""
SIZES = tuple(size.name for size in COCO_BINS[1:])


@dataclass(frozen=True, eq=False)
class Judged:
    """A run with what COCO's rules say at IoU 0.5; -1 stands for none, NaN for no number.

    Crowds, detections in crowds and those beyond a hundred of a class in an image are neither right nor wrong.

    Attributes:
        matches: who took whom, for COCO's sizes.
        taxonomy: the error type of each detection and object.
        point: the score from which the model's objects count as found, at which half of what it shows is right.
        objects: `(D,)` row of the object that each detection has.
        ious: `(D,)` and with how much overlap.
        right: `(D,)` int8, 1 for a true positive, 0 for a false one, -1 for neither.
        detections: `(G,)` row of the detection that has each object.
        found: `(G,)` bool, found at the operating point.
        missed: `(G,)` int8, 0 for an object that has a detection at any score, 1 for one that has none, -1 for a crowd.
        suspects: `(D,)` bool: wrong by the annotations, but the model is sure of it. Many a label error is among them.
        ap: `(I,)` each image's AP as a data set of its own, in percent.
        ap_small: `(I,)` the same of its small objects.
        verdicts: `(G,)` labels of the autopsy; None where there is none.
        levels: `(G,)` names of the FPN level that pools each object; None where they are not known.
    """

    matches: Matches
    taxonomy: Taxonomy
    point: OperatingPoint
    objects: Rows
    ious: Floats
    right: npt.NDArray[np.int8]
    detections: Rows
    found: npt.NDArray[np.bool_]
    missed: npt.NDArray[np.int8]
    suspects: npt.NDArray[np.bool_]
    ap: Floats
    ap_small: Floats
    verdicts: tuple[str, ...] | None
    levels: tuple[str, ...] | None

    @property
    def run(self) -> Run:
        return self.matches.run


def judge(run: Run, autopsy: Autopsy | None = None, levels: tuple[str, ...] | None = None) -> Judged:
    """Judges a run.

    Args:
        run: what is there and what was found.
        autopsy: of the same objects.
        levels: FPN level of each object; the autopsy's where None.
    """
    matches = match(run, bins=COCO_BINS)
    taxonomy = classify_errors(run)
    objects = matches.objects_taken(IOU)
    in_crowd = np.append(run.truth.crowds, False)[objects]
    objects = np.where(in_crowd, NOBODY, objects)
    right = np.where(in_crowd | ~matches.counted, -1, objects != NOBODY).astype(np.int8)
    detections = matches.detections_taking(IOU)
    point = equal_precision([matches])[0]
    wrong = np.isin(taxonomy.detection_types, (ErrorType.BACKGROUND, ErrorType.CLASSIFICATION))
    if autopsy is not None and levels is None:
        levels = tuple(autopsy.level_names[finding.fpn_level] for finding in autopsy.findings)
    return Judged(
        matches,
        taxonomy,
        point,
        objects,
        _ious(run, objects),
        right,
        detections,
        found_by(matches, point.score) != NOBODY,
        np.where(run.truth.crowds, -1, detections == NOBODY).astype(np.int8),
        wrong & (run.found.scores >= _sure_score(matches)),
        average_precision_by_image(matches),
        average_precision_by_image(matches, "small"),
        None if autopsy is None else tuple(finding.verdict.label for finding in autopsy.findings),
        levels,
    )


def size_names(areas_px: Floats) -> list[str]:
    """Names the size of each area; one on an edge belongs to both of COCO's sizes and is called by the smaller."""
    places = np.select([size.holds(areas_px) for size in COCO_BINS[1:]], [0, 1, 2], 2)
    return [SIZES[place] for place in places.tolist()]


def _sure_score(matches: Matches) -> float:
    try:
        return equal_precision([matches], SURE_PRECISION)[0].score
    except ValueError:  # it is never right that often
        return float("inf")


def _ious(run: Run, objects: Rows) -> Floats:
    """The overlap of each detection with its object, NaN where it has none."""
    rows = np.flatnonzero(objects != NOBODY)
    pairs = overlaps(run, least=IOU - 1e-9, rows=rows)
    keys, width = pairs.detections * (len(run.truth) + 1) + pairs.objects, len(run.truth) + 1
    ious = np.full(len(run.found), np.nan)
    ious[rows] = pairs.ious[np.searchsorted(keys, rows * width + objects[rows])]
    return ious
