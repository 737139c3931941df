"""Two or more runs on the same images: is one better, at which sizes, and which objects does only one of them find?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.errors.bootstrap import CONFIDENCE, RESAMPLES, Resamples, bootstrap, draw
from explorer.errors.paired import Differences, FoundBy, Group, differences, outcomes, tallies
from explorer.scoring.alike import difference_of
from explorer.scoring.columns import Truth
from explorer.scoring.matching import Matches
from explorer.scoring.ordering import Weights
from explorer.scoring.outcomes import FOUND, FoundRule, OperatingPoint, found_by
from explorer.scoring.resampling import units_of
from explorer.types import Ints, Progress


@dataclass(frozen=True, eq=False)
class Pair:
    """Run B against run A.

    Attributes:
        a: place of the first run.
        b: place of the second.
        differences: B's figures minus A's, arrays `(F, S)` by figure and size bin.
        differences_by_class: the same by class, arrays `(F, S, C)`.
        who: `(G,)` int8, who finds each object: its place in `paired.OUTCOMES`, -1 for those of `Matches.unscored`.
        tallies: objects by who finds them, by size bin's name and class name (None for all classes).
    """

    a: int
    b: int
    differences: Differences
    differences_by_class: Differences
    who: npt.NDArray[np.int8]
    tallies: Mapping[Group, FoundBy]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs on the same images and classes, side by side.

    Attributes:
        matches: one per run, with its detections and the objects.
        rule: what counts as found.
        points: the rule applied to each run: its score threshold and what it gives.
        found_by: `(R, G)` int64: row of the detection of each run that finds each object, -1 for none and for crowds.
        resamples: each run's figures, and the same on the same resampled images.
        pairs: each run against each later one.
    """

    matches: tuple[Matches, ...]
    rule: FoundRule
    points: tuple[OperatingPoint, ...]
    found_by: Ints
    resamples: tuple[Resamples, ...]
    pairs: tuple[Pair, ...]

    @property
    def truth(self) -> Truth:
        """The objects, in the order of `found_by` and `Pair.who`."""
        return self.matches[0].run.truth

    @property
    def names(self) -> tuple[str, ...]:
        """The runs' names."""
        return tuple(matches.run.name for matches in self.matches)


def compare(
    matches: Sequence[Matches],
    *,
    found: FoundRule = FOUND,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    progress: Progress | None = None,
) -> Comparison:
    """Compares runs.

    Args:
        matches: one per run, all with the same settings.
        found: what counts as found. A run's score threshold depends on the run alone, so that its objects count
            here as in its own report.
        resamples: number of resamples of the images.
        seed: of the draws.
        confidence: of the intervals, 0 to 1.
        progress: called after every few resamples.

    Raises:
        ValueError: the runs have different images, objects or classes or were matched differently, there are fewer
            than two, they were not matched at the rule's IoU, or one does not reach its precision.
    """
    refuse_unlike(matches)
    points = tuple(found.of(own) for own in matches)
    taking = np.stack([found_by(own, point) for own, point in zip(matches, points, strict=True)])
    resampled = tuple(
        bootstrap(m, resamples, seed, part_of(progress, place, len(matches))) for place, m in enumerate(matches)
    )
    weights = draw(units_of(matches[0].run.truth), resamples, seed)
    pairs = tuple(
        _pair(matches, taking, resampled, (a, b), weights, confidence)
        for a, b in itertools.combinations(range(len(matches)), 2)
    )
    return Comparison(tuple(matches), found, points, taking, resampled, pairs)


def refuse_unlike(matches: Sequence[Matches]) -> None:
    """Raises ValueError for fewer than two runs, or such as have other annotations or were matched otherwise.

    What their records say of data and protocol is `explorer.scoring.alike`'s to judge.
    """
    if len(matches) < 2:
        raise ValueError(f"a comparison needs at least two runs, not {len(matches)}")
    first = matches[0]
    for other in matches[1:]:
        whose = f"{first.run.name} and {other.run.name}"
        if fault := difference_of(first.run.truth, other.run.truth):
            raise ValueError(f"{whose} cannot be compared: {fault}")
        settings = [(m.task, m.thresholds.tolist(), m.bins, m.max_detections) for m in (first, other)]
        if settings[0] != settings[1]:
            raise ValueError(f"{whose} were matched differently; match all runs with the same settings")


def _pair(
    matches: Sequence[Matches],
    taking: Ints,
    resampled: Sequence[Resamples],
    which: tuple[int, int],
    weights: Weights,
    confidence: float,
) -> Pair:
    a, b = which
    truth = matches[a].run.truth
    who = outcomes(taking[a], taking[b], matches[a].unscored)
    by_size = {size.name: np.flatnonzero(size.names(truth.areas_px)) for size in matches[a].bins}
    groups: dict[Group, Ints] = {(size, None): rows for size, rows in by_size.items()}
    for row, class_name in enumerate(truth.class_names):
        groups |= {(size, class_name): rows[truth.classes[rows] == row] for size, rows in by_size.items()}
    return Pair(
        a,
        b,
        differences(resampled[a], resampled[b], confidence),
        differences(resampled[a], resampled[b], confidence, by_class=True),
        who,
        tallies(truth, who, groups, weights, confidence),
    )


def part_of(progress: Progress | None, place: int, runs: int) -> Progress | None:
    """Progress of one run among several."""
    if progress is None:
        return None
    report = progress
    return lambda done, number: report(place * number + done, runs * number)
