"""All that a report says of one run: figures by size with intervals, error types, and its autopsy if there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from explorer.autopsy.examine import AUTOPSY_FILE, Autopsy, read_autopsy
from explorer.errors.bootstrap import RESAMPLES, Resamples, bootstrap
from explorer.errors.compare import Comparison
from explorer.errors.oracles import SizeGains, mend_by_size
from explorer.errors.taxonomy import Taxonomy, classify_errors
from explorer.scoring.columns import Run
from explorer.scoring.matching import Matches, match
from explorer.scoring.outcomes import OperatingPoint, equal_precision
from explorer.scoring.overlaps import Task

Progress = Callable[[int, int], None]
"""Called with the number of steps done and the number in all."""


@dataclass(frozen=True, eq=False)
class RunAnalysis:
    """What a report says of one run.

    Attributes:
        matches: who took whom, for COCO's size bins and the finer ones.
        resamples: figures by size, and the same on resampled images.
        point: the score threshold at which half of what is shown is right, or as near as the run gets.
        taxonomy: the error type of each detection and object.
        gains: what mending each type would add, for COCO's sizes.
        autopsy: where each object was lost; None where the model is not at hand.
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


def analyse(
    run: Run,
    task: Task = "bbox",
    *,
    autopsy: Autopsy | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> RunAnalysis:
    """Analyses one run.

    Args:
        run: the detections beside the annotations.
        task: boxes or masks.
        autopsy: of the same run, if there is one.
        resamples: number of resamples of the images, for intervals.
        seed: of the draws.
        progress: called after every few resamples.

    Raises:
        ValueError: there are no images, masks are asked for that are not there, or the autopsy is of other objects.
    """
    if autopsy is not None and autopsy.ids.tolist() != run.truth.ids.tolist():
        raise ValueError(
            f"the autopsy is of {len(autopsy)} objects, {run.name} was run on {len(run.truth)}: "
            "make it again with `explorer autopsy`"
        )
    matches = match(run, task)
    taxonomy = classify_errors(run, task)
    return RunAnalysis(
        matches,
        bootstrap(matches, resamples, seed, progress),
        equal_precision([matches])[0],
        taxonomy,
        mend_by_size(taxonomy),
        autopsy,
    )


def analyses_of(comparison: Comparison, autopsies: Sequence[Autopsy | None] = ()) -> tuple[RunAnalysis, ...]:
    """Analyses the runs of a comparison, with its matches, resamples and score thresholds."""
    given = autopsies or [None] * len(comparison.matches)
    analyses = []
    for matches, resamples, point, autopsy in zip(
        comparison.matches, comparison.resamples, comparison.points, given, strict=True
    ):
        taxonomy = classify_errors(matches.run, matches.task)
        analyses.append(RunAnalysis(matches, resamples, point, taxonomy, mend_by_size(taxonomy), autopsy))
    return tuple(analyses)


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
