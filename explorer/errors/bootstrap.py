"""How far figures would move with other images: the bootstrap over images, from matches that are computed once.

Images are drawn with replacement; objects in one image are not independent, so images are the unit, or the groups of
them that a data set was given (`explorer.scoring.resampling`): frames of one video are not independent either. Two runs
that are resampled with the same seed see the same draws, so that their differences are paired.

An image that is drawn twice brings each of its scores twice, and COCO's precision is a maximum over what follows, so
resampled AP lies a little above the figure, for few objects by more than the interval is wide. That shift is the
resampling's, not the figure's: intervals are the resamples' percentiles moved so that their mean is the figure.

A few images drawn again and again are much alike, and their interval is narrow for no good reason: where fewer than
`FEWEST_UNITS` images have objects of a size, there is a figure and no interval.

Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6, 10, 13 and 16; for groups,
A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from explorer.scoring.accumulate import Accumulator
from explorer.scoring.matching import Matches
from explorer.scoring.metrics import Figures, figures_of, mean_over_classes, score
from explorer.scoring.ordering import Weights
from explorer.scoring.resampling import FEWEST_UNITS, units_of
from explorer.types import Bools, Floats, Ints, Progress

RESAMPLES = 1000
CONFIDENCE = 0.95
TOO_FEW = "too few {}"
"""Images or groups, as `Figures.unit` has it."""


@dataclass(frozen=True, eq=False)
class Interval:
    """A figure and where it would lie with other images. Arrays of one shape, or numbers; the unit is the figure's.

    Attributes:
        value: on the images as they are.
        low: lower end; NaN where there is no object, or where there are too few images.
        high: upper end.
        standard_error: standard deviation over resamples.
        confidence: the interval's, 0 to 1.
        images: how many images have the objects; where images are resampled in groups, how many groups.
        objects: how many objects there are.
    """

    value: Floats
    low: Floats
    high: Floats
    standard_error: Floats
    confidence: float
    images: Ints
    objects: Ints

    @property
    def too_few(self) -> Bools:
        """Where there is a figure, but too few images for an interval."""
        few: Bools = ~np.isnan(self.value) & (self.images < FEWEST_UNITS)
        return few

    def where_enough(self) -> Interval:
        """The same without ends where there are too few images."""
        low, high = (np.where(self.too_few, np.nan, ends) for ends in (self.low, self.high))
        return replace(self, low=low, high=high)

    @property
    def excludes_zero(self) -> Bools:
        """Where all of it lies on one side of 0: a difference that is no noise."""
        excluded: Bools = (self.low > 0) | (self.high < 0)
        return excluded


@dataclass(frozen=True, eq=False)
class Resamples:
    """A run's figures on resampled images.

    Attributes:
        figures: on the images as they are; says what the axes are.
        by_class: `(F, A, C, B)` float64, percent; NaN where a resample has no such object.
        seed: of the draws.
    """

    figures: Figures
    by_class: Floats
    seed: int

    @property
    def overall(self) -> Floats:
        """The mean over classes that have objects in the resample, `(F, A, B)`."""
        return mean_over_classes(self.by_class, axis=2)

    def intervals(self, confidence: float = CONFIDENCE) -> Interval:
        """Returns each figure's interval over all classes, arrays `(F, A)`."""
        figures = self.figures
        behind = figures.images_with, figures.objects.sum(axis=1)
        return _percentages(interval(figures.overall, self.overall, confidence, *behind))

    def intervals_by_class(self, confidence: float = CONFIDENCE) -> Interval:
        """Returns each figure's interval by class, arrays `(F, A, C)`."""
        figures = self.figures
        behind = figures.images_with_class, figures.objects
        return _percentages(interval(figures.by_class, self.by_class, confidence, *behind))


def bootstrap(
    matches: Matches, resamples: int = RESAMPLES, seed: int = 0, progress: Progress | None = None
) -> Resamples:
    """Computes a run's metrics on bootstrap resamples of its images.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        resamples: number of resamples of the images, 2 or more.
        seed: random seed; runs on the same images get the same resamples from the same seed.
        progress: called regularly with the number of resamples done and the total.

    Raises:
        ValueError: there are no images or no objects, or `resamples` is below 2.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993 (percentile intervals over images).
    """
    truth = matches.run.truth
    weights = draw(units_of(truth), resamples, seed)
    truth.check_has_objects(matches.run.name)
    figures = score(matches)
    by_class = np.empty((*figures.by_class.shape, resamples))
    for columns, precision, recall in Accumulator(matches, most=int(weights.max()))(weights):
        by_class[..., columns] = figures_of(matches, precision, recall)
        if progress:
            progress(columns.stop, resamples)
    return Resamples(figures, by_class, seed)


def draw(units: Ints, resamples: int, seed: int) -> Weights:
    """Draws as many units as there are, with replacement: how often each image counts, `(I, B)`.

    Args:
        units: `(I,)`, the unit that each image belongs to, counted from 0 (`explorer.scoring.resampling.units_of`).
        resamples: how often.
        seed: of the draws.

    Raises:
        ValueError: there are no images, or fewer than 2 resamples are asked for.
    """
    if not len(units):
        raise ValueError("there are no images to resample")
    if resamples < 2:
        raise ValueError(
            f"the number of resamples is {resamples}; an interval needs at least 2 ({RESAMPLES} are recommended)"
        )
    number, generator = int(units.max()) + 1, np.random.default_rng(seed)
    drawn = np.empty((number, resamples), dtype=np.uint16)
    for resample in range(resamples):
        drawn[:, resample] = np.bincount(generator.integers(0, number, number), minlength=number)
    return drawn[units]


def interval(
    value: npt.ArrayLike, resampled: Floats, confidence: float, images: npt.ArrayLike, objects: npt.ArrayLike
) -> Interval:
    """Makes a figure's interval from its resamples.

    Args:
        value: of any shape.
        resampled: with the resamples on one more axis, the last; NaN there is left out.
        confidence: 0 to 1.
        images: how many images have the objects; it is broadcast to the figure's shape.
        objects: how many objects there are; it is broadcast to the figure's shape.

    Raises:
        ValueError: the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}; give a number between 0 and 1, such as {CONFIDENCE}")
    value = np.asarray(value, dtype=np.float64)
    tail = (1 - confidence) / 2
    centred = value[..., None] + resampled - _mean(resampled)[..., None]
    low, high = _quantiles(centred, (tail, 1 - tail))
    number = (~np.isnan(resampled)).sum(axis=-1)
    spread = np.sqrt(_mean((centred - value[..., None]) ** 2) * number / np.maximum(number - 1, 1))
    behind = (np.broadcast_to(number_of, value.shape).astype(np.int64) for number_of in (images, objects))
    error = np.where(number > 1, spread, np.nan)
    return Interval(value, low, high, error, confidence, *behind).where_enough()


def p_values(value: npt.ArrayLike, resampled: Floats) -> Floats:
    """How often a difference as large would come up, two-sided, were there none; from its resamples as in `interval`.

    The smallest answer that `B` resamples can give is `2 / (B + 1)`. NaN where there is nothing to resample.
    """
    value = np.asarray(value, dtype=np.float64)
    centred = value[..., None] + resampled - _mean(resampled)[..., None]
    number = (~np.isnan(centred)).sum(axis=-1)
    # a hair's breadth around 0, because sums of equal numbers may differ in their last digits
    beyond = np.minimum((centred <= 1e-9).sum(axis=-1), (centred >= -1e-9).sum(axis=-1))
    p: Floats = np.where(number > 0, np.minimum(1, 2 * (1 + beyond) / (1 + number)), np.nan)
    return p


def _percentages(given: Interval) -> Interval:
    """Cuts an interval off where no percentage can be."""
    return replace(given, low=np.clip(given.low, 0, 100), high=np.clip(given.high, 0, 100))


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    number = known.sum(axis=-1)
    mean: Floats = np.where(known, values, 0).sum(axis=-1) / np.where(number > 0, number, np.nan)
    return mean


def _quantiles(values: Floats, tails: tuple[float, float]) -> tuple[Floats, Floats]:
    """Quantiles along the last axis of what is not NaN; NaN where all is. NumPy's linear rule, without its warnings."""
    ordered = np.sort(values, axis=-1)  # NaN last
    number = (~np.isnan(ordered)).sum(axis=-1)
    low, high = (_at(ordered, np.maximum(number - 1, 0) * tail) for tail in tails)
    return low, high


def _at(ordered: Floats, position: Floats) -> Floats:
    below = np.floor(position).astype(np.int64)
    above = np.ceil(position).astype(np.int64)
    first = np.take_along_axis(ordered, below[..., None], axis=-1)[..., 0]
    second = np.take_along_axis(ordered, above[..., None], axis=-1)[..., 0]
    value: Floats = first + (second - first) * (position - below)
    return value
