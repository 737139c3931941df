"""All that a report says of one run: figures by size with intervals, error types, and its autopsy if there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from explorer.autopsy.files import AUTOPSY_FILE, read_autopsy
from explorer.autopsy.result import Autopsy
from explorer.errors.bootstrap import RESAMPLES, Resamples, bootstrap
from explorer.errors.calibration import Calibration, calibration
from explorer.errors.compare import Comparison
from explorer.errors.confusion import Confusion, confusion
from explorer.errors.lrp import BestScores, best_scores
from explorer.errors.oracles import SizeGains, fix_by_size
from explorer.errors.suspects import Suspect, suspects
from explorer.errors.taxonomy import Taxonomy, classify_errors
from explorer.scoring.columns import Run, Task
from explorer.scoring.curves import SizeCurves, size_curves
from explorer.scoring.matching import Matches, match
from explorer.scoring.metrics import limit_note, with_few_objects, without_objects
from explorer.scoring.outcomes import FOUND, FoundRule, OperatingPoint
from explorer.scoring.resampling import resampling_note
from explorer.types import Progress


@dataclass(frozen=True, eq=False)
class RunAnalysis:
    """What a report says of one run.

    Attributes:
        matches: the detections matched to objects, for COCO's size bins and finer ones.
        resamples: figures by size, and the same on resampled images.
        point: what counts as found: by default, from the score at which half of what is shown is right.
        taxonomy: the error type of each detection and object, at the point's IoU.
        gains: what fixing each type would add to AP50, for the protocol's sizes.
        autopsy: where each object was lost, with the same objects found; None where the model is not at hand, or where
            boxes at this IoU were not followed.
    """

    matches: Matches
    resamples: Resamples
    point: OperatingPoint
    taxonomy: Taxonomy
    gains: tuple[SizeGains, ...]
    autopsy: Autopsy | None = None

    @property
    def run(self) -> Run:
        return self.matches.run

    @cached_property
    def calibration(self) -> Calibration | None:
        """Whether scores are what they say, with as many resamples as the figures; None where they are not 0 to 1."""
        resamples = self.resamples
        if not self.run.found.has_probabilities:
            return None
        return calibration(self.matches, self.point.iou, resamples=resamples.by_class.shape[-1], seed=resamples.seed)

    @cached_property
    def best_scores(self) -> BestScores:
        """Recommended score threshold, by size and class."""
        return best_scores(self.matches, self.point.iou)

    @cached_property
    def curves(self) -> SizeCurves:
        """Precision and recall by class and size, at the point's IoU."""
        return size_curves(self.matches, self.point.iou)

    @cached_property
    def confusion(self) -> Confusion:
        """Confusion matrix by size."""
        return confusion(self.matches, self.point)

    @cached_property
    def label_errors(self) -> tuple[Suspect, ...]:
        """Likely label errors according to this run, most likely first; none where scores are not 0 to 1."""
        return suspects(self.run, self.matches.task) if self.run.found.has_probabilities else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """One line each on what was not scored, what the limit on detections cuts, and classes with few objects."""
        figures = self.resamples.figures
        classes = without_objects(figures), with_few_objects(figures)
        own = (resampling_note(self.run.truth), limit_note(self.matches), *classes, self._no_probabilities)
        return tuple(filter(None, (*self.run.notes, *self.run.truth.notes, *own)))

    @property
    def _no_probabilities(self) -> str:
        scores = self.run.found.scores
        if self.run.found.has_probabilities:
            return ""
        return (
            f"Scores of {self.run.name} reach from {scores.min():g} to {scores.max():g}: calibration and likely label "
            "errors, which need scores between 0 and 1, are left out."
        )

    def judged(self, found: FoundRule) -> RunAnalysis:
        """The same run judged by another score: figures, resamples and error types stay, as no score changes them.

        Raises:
            ValueError: the rule has another IoU, which error types and the autopsy would have to be found with.
        """
        point = found.of(self.matches)
        if point.iou != self.point.iou:
            raise ValueError(
                f"This run was analysed at IoU {self.point.iou:g}; for IoU {point.iou:g}, analyse it again."
            )
        autopsy = self.autopsy.judged_by(self.matches, point) if self.autopsy else None
        return replace(self, point=point, autopsy=autopsy)


def analyse(
    run: Run,
    task: Task = "bbox",
    *,
    found: FoundRule = FOUND,
    autopsy: Autopsy | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> RunAnalysis:
    """Analyses one run.

    Args:
        run: the detections beside the annotations.
        task: boxes or masks.
        found: what counts as found.
        autopsy: of the same run's boxes, if there is one.
        resamples: number of resamples of the images, for intervals.
        seed: of the draws.
        progress: called after every few resamples.

    Raises:
        ValueError: there are no images, masks are asked for that are not there, nothing is matched at the rule's IoU,
            its precision is not reached, or the autopsy is of other objects or at another IoU.
    """
    matches = match(run, task)
    point = found.of(matches)
    judged = autopsy.judged_by(matches, point) if autopsy else None
    return _analysis(matches, bootstrap(matches, resamples, seed, progress), point, judged)


def analyses_of(comparison: Comparison, autopsies: Sequence[Autopsy | None] = ()) -> tuple[RunAnalysis, ...]:
    """Analyses the runs of a comparison, with its matches, resamples and operating points.

    An autopsy follows boxes at one IoU: where masks are compared or another IoU is asked for, it is left out.
    """
    given = autopsies or [None] * len(comparison.matches)
    analyses = []
    for matches, resamples, point, autopsy in zip(
        comparison.matches, comparison.resamples, comparison.points, given, strict=True
    ):
        fits = autopsy is not None and matches.task == "bbox" and autopsy.point.iou == point.iou
        judged = autopsy.judged_by(matches, point) if autopsy and fits else None
        analyses.append(_analysis(matches, resamples, point, judged))
    return tuple(analyses)


def _analysis(matches: Matches, resamples: Resamples, point: OperatingPoint, autopsy: Autopsy | None) -> RunAnalysis:
    run, task, limit = matches.run, matches.task, matches.max_detections[-1]
    level = float(matches.thresholds[matches.threshold_index(point.iou)])  # 0.9 is 0.8999999999999999 in COCO
    taxonomy = classify_errors(run, task, foreground=level, max_dets=limit)
    usual = taxonomy if point.iou == FOUND.iou else classify_errors(run, task, max_dets=limit)
    return RunAnalysis(matches, resamples, point, taxonomy, fix_by_size(usual, matches.protocol.bins), autopsy)


def autopsy_beside(run: Run) -> Autopsy | None:
    """Reads the autopsy in a run's folder; None where there is none, or one of other objects."""
    if run.folder is None or not (run.folder / AUTOPSY_FILE).is_file():
        return None
    found = read_autopsy(run.folder)
    return found if found.ids.tolist() == run.truth.ids.tolist() else None


def named_apart(runs: Sequence[Run]) -> list[Run]:
    """Numbers runs that share a name, so that tables tell them apart."""
    shared = {name for name, number in Counter(run.name for run in runs).items() if number > 1}
    names = [
        f"{run.name} ({run.folder.name if run.folder else place})" if run.name in shared else run.name
        for place, run in enumerate(runs, start=1)
    ]
    if len(set(names)) < len(names):
        names = [f"{name} #{place}" if names.count(name) > 1 else name for place, name in enumerate(names, start=1)]
    return [replace(run, name=name) for run, name in zip(runs, names, strict=True)]
