"""One recipe trained with several seeds: figures and differences with intervals over images and luck of training alike.

The bootstrap over images takes the trained detectors as given. Seeds tell how far another training would have come, and
two sources of error that do not depend on each other add up in variance: that of the mean's resamples, and that of the
mean over seeds. Student's t has the degrees of freedom that Welch and Satterthwaite give their sum; with two or three
seeds those are few and the intervals wide, as they should be. What a seed changes on single images counts in both
parts, so that intervals are rather too wide than too narrow.

Source: F. E. Satterthwaite, Biometrics Bulletin 2, 1946; B. L. Welch, Biometrika 34, 1947.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from explorer.errors.bootstrap import CONFIDENCE, RESAMPLES, Interval, Resamples, bootstrap, interval
from explorer.errors.compare import part_of, refuse_unlike
from explorer.scoring.matching import Matches
from explorer.scoring.metrics import Figures
from explorer.types import Floats, Progress


@dataclass(frozen=True, eq=False)
class SeedMeans:
    """The figures of a recipe: the mean over its seeds.

    Attributes:
        images: the means, and the means on resampled images.
        each: the figures of every training.
    """

    images: Resamples
    each: tuple[Figures, ...]

    @property
    def variance(self) -> Floats:
        """How much the mean over as many other seeds would vary, `(F, A)` float64, squared percent."""
        variance: Floats = np.var([one.overall for one in self.each], axis=0, ddof=1) / len(self.each)
        return variance

    def intervals(self, confidence: float = CONFIDENCE) -> Interval:
        """Returns each figure's interval over all classes, arrays `(F, A)`."""
        found = _over_both(self.images.figures.overall, self.images.overall, [self], confidence).points
        return replace(found, low=np.clip(found.low, 0, 100), high=np.clip(found.high, 0, 100))

    @property
    def figures(self) -> Figures:
        """The means on the images as they are, under the first run's name."""
        return self.images.figures


@dataclass(frozen=True, eq=False)
class SeedDifferences:
    """B's means minus A's, in percentage points; arrays `(F, A)`.

    Attributes:
        points: differences and their intervals.
        p_values: how often a difference as large would come up by images and seeds, were there none; two-sided. NaN
            where there are too few images to say.
        seed_shares: how much of the variance is the seeds', 0 to 1; the rest is the images'. Says which of the two to
            have more of. NaN where neither varies.
    """

    points: Interval
    p_values: Floats
    seed_shares: Floats


@dataclass(frozen=True, eq=False)
class SeedComparison:
    """Recipes on the same images, each trained with several seeds.

    Attributes:
        means: one per recipe.
        pairs: each recipe against each later one, by their places.
    """

    means: tuple[SeedMeans, ...]
    pairs: Mapping[tuple[int, int], SeedDifferences]


def compare_seeds(
    recipes: Sequence[Sequence[Matches]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    progress: Progress | None = None,
) -> SeedComparison:
    """Compares recipes by the means over their seeds.

    Args:
        recipes: the runs of each, one per seed, all on the same images and matched with the same settings.
        resamples: number of resamples of the images.
        seed: of the draws.
        confidence: of the intervals, 0 to 1.
        progress: called after every few resamples.

    Raises:
        ValueError: a recipe has fewer than two runs, or the runs have different images, objects or classes or were
            matched differently.
    """
    for recipe in recipes:
        if len(recipe) < 2:
            names = " ".join(matches.run.name for matches in recipe) or "a recipe without runs"
            raise ValueError(
                f"a single training does not show the variance between seeds: {names}; give two or more trainings "
                "per recipe"
            )
    runs = [matches for recipe in recipes for matches in recipe]
    refuse_unlike(runs)
    places = iter(range(len(runs)))
    means = tuple(
        mean_over_seeds([bootstrap(one, resamples, seed, part_of(progress, next(places), len(runs))) for one in recipe])
        for recipe in recipes
    )
    pairs = itertools.combinations(range(len(means)), 2)
    return SeedComparison(means, {(a, b): seed_differences(means[a], means[b], confidence) for a, b in pairs})


def mean_over_seeds(trained: Sequence[Resamples]) -> SeedMeans:
    """Takes the mean of one recipe's figures, trained once with each seed and measured on the same images.

    Raises:
        ValueError: there are fewer than two, or they were measured on other images, classes or sizes or resampled with
            another seed.
    """
    if len(trained) < 2:
        raise ValueError(
            f"{len(trained)} trainings do not show the variance between seeds; give two or more of one recipe"
        )
    first = trained[0]
    for other in trained[1:]:
        _judge(first, other)
    figures = replace(first.figures, by_class=np.mean([one.figures.by_class for one in trained], axis=0))
    resampled = np.mean([one.by_class for one in trained], axis=0)
    return SeedMeans(Resamples(figures, resampled, first.seed), tuple(one.figures for one in trained))


def seed_differences(a: SeedMeans, b: SeedMeans, confidence: float = CONFIDENCE) -> SeedDifferences:
    """Subtracts A's means from B's; the images are the same on both sides, the seeds are not.

    Raises:
        ValueError: the two were measured on other images, classes or sizes or resampled with another seed.
    """
    _judge(a.images, b.images)
    value = b.images.figures.overall - a.images.figures.overall
    return _over_both(value, b.images.overall - a.images.overall, [a, b], confidence)


def _judge(a: Resamples, b: Resamples) -> None:
    first, second = (
        (r.seed, r.by_class.shape, f.task, f.names, f.bins, f.class_names, f.images, f.objects.tolist())
        for r, f in ((a, a.figures), (b, b.figures))
    )
    if first != second:
        raise ValueError(
            f"{a.figures.run} and {b.figures.run} were not measured alike; give figures on the same images with the "
            "same classes and sizes, resampled as often and with the same seed"
        )


def _over_both(value: Floats, resampled: Floats, means: Sequence[SeedMeans], confidence: float) -> SeedDifferences:
    figures = means[0].figures
    images = interval(value, resampled, confidence, figures.images_with, figures.objects.sum(axis=1))
    by_images = images.standard_error**2
    parts = [(by_images, (figures.groups or figures.images) - 1), *((one.variance, len(one.each) - 1) for one in means)]
    variance = np.sum([part for part, _ in parts], axis=0)
    freedom = _ratio(variance**2, np.sum([part**2 / max(own, 1) for part, own in parts], axis=0), 1)
    error = np.sqrt(variance)
    reach = stdtrit(freedom, (1 + confidence) / 2) * error
    p = 2 * stdtr(freedom, -_ratio(np.abs(value), error, np.inf))
    points = Interval(value, value - reach, value + reach, error, confidence, images.images, images.objects)
    p = np.where(points.too_few, np.nan, np.where(value == 0, 1, p))
    return SeedDifferences(points.where_enough(), p, 1 - _ratio(by_images, variance, np.nan))


def _ratio(part: Floats, whole: Floats, otherwise: float) -> Floats:
    """Divides; NaN stays NaN, and a denominator of 0 gives `otherwise`."""
    ratio: Floats = np.divide(part, whole, out=np.full_like(part, otherwise), where=whole != 0)
    return ratio
