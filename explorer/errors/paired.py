"""One run against another on the same images: differences of figures, and objects that only one of them finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import bdtr, ndtri

from explorer.errors.bootstrap import Interval, Resamples, interval, p_values
from explorer.scoring.columns import Truth
from explorer.scoring.matching import NOBODY
from explorer.scoring.ordering import Weights
from explorer.scoring.resampling import units_of
from explorer.types import Bools, Floats, Ints

POWER = 0.8

OUTCOMES = ("both", "only_a", "only_b", "neither")
"""Who finds an object, in the order of the counts."""
_GAIN = np.array([0.0, -1.0, 1.0, 0.0])
"""What each outcome adds to B's recall over A's."""

Group = tuple[str, str | None]
"""A size bin's name and a class's, None for all classes."""


@dataclass(frozen=True, eq=False)
class Differences:
    """B's figures minus A's, in percentage points; arrays have the axes of the figures.

    Attributes:
        points: differences and their intervals, from the same resamples for both.
        p_values: how often a difference as large would come up by the choice of images, were there none; NaN where
            there are too few images to say.
        images_needed: how many images in all would show a difference of this size in four of five tries. This
            assumes that the difference is the one measured, and that the standard error falls with the root of
            the number of images. Infinite where there is no difference, NaN where there are too few images to say.
        images: how many there are.
    """

    points: Interval
    p_values: Floats
    images_needed: Floats
    images: int

    @property
    def settled(self) -> Bools:
        """Where the interval excludes 0."""
        return self.points.excludes_zero

    @property
    def more_images(self) -> Floats:
        """How many more images would settle it: 0 where it is settled, infinite where there is no difference."""
        more: Floats = np.where(self.settled, 0, np.maximum(0, np.ceil(self.images_needed - self.images)))
        return more


@dataclass(frozen=True)
class FoundBy:
    """The objects of a size and class by who finds them.

    Attributes:
        size: size bin's name.
        class_name: None for all classes.
        both: number found by both.
        only_a: number found by A alone.
        only_b: number found by B alone.
        neither: number found by none.
        images: number of images that have the objects; where images are resampled in groups, of groups.
        recall_difference_points: B's recall minus A's, in percentage points; NaN without objects.
        low_points: lower end of its interval, from resampled images, so that objects of one image count as related;
            NaN where there are too few images.
        high_points: upper end.
        image_p_value: the p-value that belongs to that interval.
        mcnemar_p_value: McNemar's exact test. It takes objects for independent; those of one image are not, so it
            is too sure of itself where images have many objects.
    """

    size: str
    class_name: str | None
    both: int
    only_a: int
    only_b: int
    neither: int
    images: int
    recall_difference_points: float
    low_points: float
    high_points: float
    image_p_value: float
    mcnemar_p_value: float

    @property
    def objects(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither


def differences(a: Resamples, b: Resamples, confidence: float, *, by_class: bool = False) -> Differences:
    """Subtracts A's figures from B's, resample by resample.

    Args:
        a: figures on resampled images.
        b: the other's, on the same ones.
        confidence: of the intervals, 0 to 1.
        by_class: one difference for each class, instead of one for all.
    """
    assert a.seed == b.seed, "resampled differently"
    if by_class:
        value, resampled = b.figures.by_class - a.figures.by_class, b.by_class - a.by_class
        images, objects = a.figures.images_with_class, a.figures.objects
    else:
        value, resampled = b.figures.overall - a.figures.overall, b.overall - a.overall
        images, objects = a.figures.images_with, a.figures.objects.sum(axis=1)
    points = interval(value, resampled, confidence, images, objects)
    wanted = ndtri((1 + confidence) / 2) + ndtri(POWER)
    size = np.abs(points.value)
    ratio = np.divide(wanted * points.standard_error, size, out=np.full_like(size, np.inf), where=size > 1e-9)
    needed = np.where(np.isnan(points.low), np.nan, a.figures.images * ratio**2)
    p = np.where(points.too_few, np.nan, p_values(value, resampled))
    return Differences(points, p, needed, a.figures.images)


def outcomes(found_by_a: Ints, found_by_b: Ints, unscored: Bools) -> npt.NDArray[np.int8]:
    """Says who finds each object: its place in `OUTCOMES`, -1 for those that count as neither (`Matches.unscored`)."""
    who = np.where(found_by_a != NOBODY, np.where(found_by_b != NOBODY, 0, 1), np.where(found_by_b != NOBODY, 2, 3))
    return np.where(unscored, -1, who).astype(np.int8)


def tallies(
    truth: Truth, who: npt.NDArray[np.int8], groups: Mapping[Group, Ints], weights: Weights, confidence: float
) -> dict[Group, FoundBy]:
    """Counts groups of objects by who finds them.

    Args:
        truth: the objects.
        who: `(G,)`, see `outcomes`.
        groups: rows of objects by size bin and class; those that nobody can find or miss are left out.
        weights: `(I, B)`, how often each image counts in each resample.
        confidence: of the intervals, 0 to 1.
    """
    members = [rows[who[rows] >= 0] for rows in groups.values()]
    counts = [np.bincount(who[rows], minlength=len(OUTCOMES)).tolist() for rows in members]
    group = np.repeat(np.arange(len(members)), [len(rows) for rows in members])
    rows = np.concatenate([*members, np.zeros(0, dtype=np.int64)])
    where, shape = (group, truth.images[rows]), (len(groups), len(truth.image_ids))
    gains = sparse.csr_matrix((_GAIN[who[rows]], where), shape=shape)
    objects = sparse.csr_matrix((np.ones(len(rows)), where), shape=shape)
    once, copies = np.ones(shape[1]), weights.astype(np.float64)
    value, resampled = _share(gains @ once, objects @ once), _share(gains @ copies, objects @ copies)
    members_of = sparse.csr_matrix((np.ones(shape[1]), (np.arange(shape[1]), units_of(truth))))
    images = (objects @ members_of).getnnz(axis=1)  # entries of one unit were summed
    points = interval(value, resampled, confidence, images, [len(rows) for rows in members])
    p = np.where(points.too_few, np.nan, p_values(value, resampled))
    columns = np.stack([points.value, points.low, points.high, p], axis=1).tolist()
    return {
        key: _tally(key, number, own_images, figures)
        for key, number, own_images, figures in zip(groups, counts, points.images.tolist(), columns, strict=True)
    }


def _tally(group: Group, counts: Sequence[int], images: int, figures: Sequence[float]) -> FoundBy:
    both, only_a, only_b, neither = counts
    difference, low, high, p_value = figures
    p = mcnemar(only_a, only_b)
    return FoundBy(*group, both, only_a, only_b, neither, images, difference, low, high, p_value, p)


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of McNemar's test: that of a fair coin for the objects that only one finds.

    Source: Q. McNemar, Psychometrika 12, 1947; equal to scipy.stats.binomtest.
    """
    disagreements = only_a + only_b
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), disagreements, 0.5)))


def _share(part: Floats, whole: Floats) -> Floats:
    """In percent; NaN of nothing."""
    share: Floats = np.divide(100 * part, whole, out=np.full_like(whole, np.nan), where=whole > 0)
    return share
