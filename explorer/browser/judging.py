"""Everything that is written beside a run's objects and detections, as columns: what COCO's rules say of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.autopsy.verdicts import Verdict
from explorer.autopsy.verdicts import judged as judged_verdicts
from explorer.errors.suspects import Suspect, suspects
from explorer.errors.taxonomy import ErrorType, Taxonomy, classify_errors
from explorer.scoring.columns import Run
from explorer.scoring.curves import Curves, average_precision_by_image
from explorer.scoring.matching import NOBODY, Matches, match
from explorer.scoring.metrics import Figures
from explorer.scoring.outcomes import FOUND, FoundRule, OperatingPoint, Ranking, object_scores, ranking
from explorer.scoring.overlaps import ious_of
from explorer.scoring.parts import RunInParts, RunPart
from explorer.scoring.tally import Tally
from explorer.types import Bools, Floats, Ints

SURE_PRECISION = 0.9
"""A detector is sure of a detection from the score at which it is right this often."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A run with what COCO's rules say at the IoU of its operating point; -1 stands for none, NaN for no number.

    Crowds, objects that the protocol ignores, and detections of either are neither right nor wrong. The limit on
    detections is average precision's alone.

    Attributes:
        matches: the detections matched to objects, for COCO's sizes.
        taxonomy: the error type of each detection and object.
        point: what counts as found.
        objects: `(D,)` row of the object that each detection has.
        ious: `(D,)` and with how much overlap.
        right: `(D,)` int8, 1 for a true positive, 0 for a false one, -1 for neither.
        detections: `(G,)` row of the detection that has each object.
        found: `(G,)` bool.
        missed: `(G,)` int8, 0 for an object that has a detection at any score, 1 for one that has none, -1 for one that
            is not scored.
        suspects: `(D,)` bool: wrong by the annotations, but the model is sure of it. Many a label error is among them.
        label_errors: what is likely wrong with the annotations, by the row of the detection that denies them.
        ap: `(I,)` each image's AP as a data set of its own, in percent.
        ap_smallest: `(I,)` the same of the protocol's smallest objects; NaN where it has no sizes.
        verdicts: `(G,)` labels of what the autopsy says, with the same objects found; None where there is none.
        levels: `(G,)` names of the FPN level that pools each object; None where they are not known.
    """

    matches: Matches
    taxonomy: Taxonomy
    point: OperatingPoint
    objects: Ints
    ious: Floats
    right: npt.NDArray[np.int8]
    detections: Ints
    found: Bools
    missed: npt.NDArray[np.int8]
    suspects: Bools
    label_errors: Mapping[int, Suspect]
    ap: Floats
    ap_smallest: Floats
    verdicts: tuple[str, ...] | None
    levels: tuple[str, ...] | None

    @property
    def run(self) -> Run:
        return self.matches.run


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of a run as a whole.

    Attributes:
        point: what counts as found.
        sure_score: the score from which it is sure.
        figures: COCO's.
        curves: precision and recall of every class.
        thresholds: IoU thresholds of the curves.
        verdicts: numbers of the autopsy's verdicts by object; None where there is none at this IoU.
        levels: names of the FPN level by object; None where they are not known.
    """

    point: OperatingPoint
    sure_score: float
    figures: Figures
    curves: Curves
    thresholds: Floats
    verdicts: Ints | None
    levels: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class JudgedPart:
    """Some images of a run with what COCO's rules say of them.

    Attributes:
        part: the images.
        judged: what is said.
    """

    part: RunPart
    judged: Judged


def survey(run: RunInParts, found: FoundRule = FOUND) -> Survey:
    """Finds out what depends on all images of a run."""
    verdicts, levels = _known(run.whole, found.iou)
    parts = (match(part.run, bins=part.run.protocol.bins) for part in run)
    first = next(parts)
    with Tally(first, found.iou) as tally:
        for matches in parts:
            tally.add(matches)
        ranked = tally.ranking()
        figures, curves = tally.score()
    return Survey(found.point(ranked), _sure_score(ranked), figures, curves, first.thresholds, verdicts, levels)


def judge_parts(run: RunInParts, whole: Survey) -> Iterator[JudgedPart]:
    """Judges a run, some images at a time; what is on them is matched again, which is quicker than to keep it."""
    for part in run:
        own = slice(part.first_object, part.first_object + len(part.run.truth))
        verdicts = None if whole.verdicts is None else whole.verdicts[own]
        levels = None if whole.levels is None else whole.levels[own]
        matches = match(part.run, bins=part.run.protocol.bins)
        yield JudgedPart(part, _judge(matches, whole.point, whole.sure_score, verdicts, levels))


def judge(run: Run, found: FoundRule = FOUND) -> Judged:
    """Judges a run at once."""
    matches, (verdicts, levels) = match(run, bins=run.protocol.bins), _known(run, found.iou)
    ranked = ranking([matches], found.iou)
    return _judge(matches, found.point(ranked), _sure_score(ranked), verdicts, levels)


def _judge(
    matches: Matches,
    point: OperatingPoint,
    sure_score: float,
    verdicts: Ints | None,
    levels: tuple[str, ...] | None,
) -> Judged:
    run, iou = matches.run, float(matches.thresholds[matches.threshold_index(point.iou)])
    taxonomy, scores = classify_errors(run, foreground=iou), object_scores(matches, iou)
    objects = matches.objects_taken(iou)
    unscored = matches.unscored
    on_unscored = np.append(unscored, False)[objects]
    objects = np.where(on_unscored, NOBODY, objects)
    right = np.where(on_unscored, -1, objects != NOBODY).astype(np.int8)
    detections = matches.detections_taking(iou)
    wrong = np.isin(taxonomy.detection_types, (ErrorType.BACKGROUND, ErrorType.CLASSIFICATION))
    return Judged(
        matches,
        taxonomy,
        point,
        objects,
        _ious(run, objects, iou),
        right,
        detections,
        scores >= point.score,
        np.where(unscored, -1, detections == NOBODY).astype(np.int8),
        wrong & (run.found.scores >= sure_score),
        {own.detection: own for own in suspects(run)} if run.found.has_probabilities else {},
        average_precision_by_image(matches),
        _of_smallest(matches),
        None if verdicts is None else _labels(judged_verdicts(verdicts, scores, point.score)),
        levels,
    )


def _of_smallest(matches: Matches) -> Floats:
    """AP of the smallest objects by image; NaN where the protocol has no sizes, as VisDrone's."""
    smallest = matches.protocol.smallest
    if smallest is None:
        return np.full(len(matches.run.truth.image_ids), np.nan)
    return average_precision_by_image(matches, smallest.name)


def _known(run: Run, iou: float) -> tuple[Ints | None, tuple[str, ...] | None]:
    """Verdict and FPN level of each object, from the run's autopsy; without one, the level from its model's config."""
    from explorer.browser.levels import levels_of
    from explorer.report.analysis import autopsy_beside

    autopsy = autopsy_beside(run)
    if autopsy is None:
        return None, levels_of(run)
    levels = tuple(autopsy.level_names[finding.fpn_level] for finding in autopsy.findings)
    return (autopsy.verdicts if autopsy.point.iou == iou else None), levels


def _labels(verdicts: Ints) -> tuple[str, ...]:
    return tuple(Verdict(verdict).label for verdict in verdicts.tolist())


def _sure_score(ranked: Ranking) -> float:
    score = ranked.lowest(SURE_PRECISION)
    return float("inf") if score is None else score  # it is never right that often


def _ious(run: Run, objects: Ints, iou: float) -> Floats:
    """The overlap of each detection with its object, NaN where it has none."""
    rows = np.flatnonzero(objects != NOBODY)
    ious = np.full(len(run.found), np.nan)
    ious[rows] = ious_of(run, rows, objects[rows], iou)
    return ious
