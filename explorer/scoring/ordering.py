"""Detections in the order in which COCO counts them, such that images can be repeated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from explorer.scoring.matching import Matches
from explorer.types import Floats, Ints

Weights = npt.NDArray[np.uint16]
"""`(I, B)`: how often each image counts in each of `B` resamples."""


@dataclass(frozen=True, eq=False)
class Ordering:
    """Rows of detections: by class, best score first; equal scores by image, as in pycocotools' stable sort.

    A repeated image repeats each row in place, so one row with a weight does. Not where an image has several equal
    scores of one class: repeated, they come as 1, 2, 1, 2 and not as 1, 1, 2, 2. Such detections get a row for each
    repetition, on an image of its own, a copy, which counts once if the image counts that often.

    Attributes:
        rows: `(R,)` int64, row in `Run.found`.
        images: `(R,)` int64, the image that it is on: an image row, or a copy, numbered on from there.
        number: `I`, of images.
        copied: image rows that have copies.
        most: number of copies of each.
    """

    rows: Ints
    images: Ints
    number: int
    copied: Ints
    most: int

    @property
    def width(self) -> int:
        """Number of images and copies."""
        return self.number + len(self.copied) * self.most

    def with_copies(self, weights: Weights) -> Floats:
        """Appends the copies' weights: `(I, b)` in, `(width, b)` out."""
        copies = weights[self.copied, None, :] > np.arange(self.most)[:, None]
        return np.concatenate([weights, copies.reshape(-1, weights.shape[1])]).astype(np.float64)


def order(matches: Matches, most: int = 1) -> Ordering:
    """Orders the detections within the limit per image and class.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        most: how often an image may be repeated.
    """
    found, number = matches.run.found, len(matches.run.truth.image_ids)
    rows = np.flatnonzero(matches.counted)
    rows = rows[np.lexsort((rows, -found.scores[rows], found.classes[rows]))]
    group = _equals(found.classes[rows], found.scores[rows], found.images[rows])
    candidate = np.isin(rows, matches.candidates)
    # among false positives alone the order changes nothing
    repeated = ((np.bincount(group) > 1) & (np.bincount(group, weights=candidate) > 0))[group] & (most > 1)
    times = np.where(repeated, most, 1)
    source = np.repeat(np.arange(len(rows)), times)
    copy = np.arange(len(source)) - np.repeat(np.cumsum(times) - times, times)
    place = np.lexsort((source, copy, group[source]))
    source, copy = source[place], copy[place]
    images = found.images[rows]
    copied = np.unique(images[repeated])
    copies = number + np.searchsorted(copied, images[source]) * most + copy
    return Ordering(rows[source], np.where(repeated[source], copies, images[source]), number, copied, most)


def _equals(*columns: npt.NDArray[np.number]) -> Ints:
    """Numbers the runs of rows that are equal in every column."""
    change = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        change[1:] |= column[1:] != column[:-1]
    return np.cumsum(change)
