"""Whether scores are what they say: of detections with a score of 0.8, four in five should be right.

The detection expected calibration error (D-ECE) is the mean over equal bins of the score of how far precision and mean
score lie apart, each bin weighted by its detections. It is of what is reported: a detector that leaves out detections
of low score has another D-ECE. Crowds, and detections beyond the limit, count nowhere; a detection belongs to the size
of its object, or its own where it has none, as in COCO.

Source: Küppers et al., Multivariate confidence calibration for object detection, CVPR workshops 2020, equation 4 for
scores alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from explorer.errors.bootstrap import CONFIDENCE, RESAMPLES, Interval, draw, interval
from explorer.scoring.curves import judged
from explorer.scoring.matching import Matches
from explorer.scoring.resampling import units_of
from explorer.scoring.sizes import SizeBin
from explorer.types import Floats, Ints

BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores against precision, by size; NaN where there is no detection.

    Attributes:
        run: the run's name.
        iou: from which overlap a detection is right.
        sizes: the `A` sizes, those of the protocol.
        detections: `(A, M)` int64, by bin of the score.
        scores: `(A, M)` float64, the mean score of each bin, 0 to 1.
        precision: `(A, M)` float64, the share of its detections that are right.
        error: `(A,)` D-ECE in percent with its interval over images; its `objects` are detections.
    """

    run: str
    iou: float
    sizes: tuple[SizeBin, ...]
    detections: Ints
    scores: Floats
    precision: Floats
    error: Interval


def calibration(
    matches: Matches,
    iou: float = 0.5,
    *,
    bins: int = BINS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Calibration:
    """Measures the calibration of a run's scores: how well a score predicts the precision of detections.

    Args:
        matches: the detections matched to objects, as `match` returns them.
        iou: minimum IoU of a correct detection; one of the matched thresholds.
        bins: number of equally wide bins of the score from 0 to 1.
        resamples: number of bootstrap resamples of the images for the interval.
        seed: random seed of the resamples.
        confidence: confidence level of the interval, 0 to 1.

    Raises:
        ValueError: a score is not in [0, 1], there are no images, or the detections were not matched at this IoU.

    Source: Kueppers et al., "Multivariate Confidence Calibration for Object Detection", CVPRW 2020 (arXiv 2004.13546).
    """
    scores = matches.run.found.scores
    if not matches.run.found.has_probabilities:
        raise ValueError(
            f"{matches.run.name} has scores from {scores.min():g} to {scores.max():g}; calibration is of scores "
            "between 0 and 1"
        )
    level, images = matches.threshold_index(iou), len(matches.run.truth.image_ids)
    sizes = tuple(size for size in matches.bins if size in matches.protocol.bins)
    units = units_of(matches.run.truth)
    weights = draw(units, resamples, seed).astype(np.float64)
    columns = []
    for size in sizes:
        rows, hits = judged(matches, matches.bins.index(size), level)
        own = scores[rows]
        place = np.minimum((own * bins).astype(np.int64), bins - 1)
        cell = matches.run.found.images[rows] * bins + place
        number, total, right = (
            np.bincount(cell, weights=values, minlength=images * bins).reshape(images, bins)
            for values in (np.ones(len(rows)), own, hits.astype(np.float64))
        )
        gaps, counts = np.abs(weights.T @ (right - total)).sum(axis=1), weights.T @ number.sum(axis=1)
        with_any = len(np.unique(units[number.sum(axis=1) > 0]))
        sums = [values.sum(axis=0) for values in (number, total, right)]
        value = 100 * np.abs(sums[2] - sums[1]).sum() / len(rows) if len(rows) else np.nan
        columns.append((*sums, value, 100 * gaps / np.where(counts > 0, counts, np.nan), with_any, len(rows)))
    counted, totals, rights, *others = (np.stack(column) for column in zip(*columns, strict=True))
    values, resampled, some, numbers = others
    present = np.where(counted > 0, counted, np.nan)
    error = interval(values, resampled, confidence, some, numbers)
    low, high = (np.clip(ends, 0, 100) for ends in (error.low, error.high))
    return Calibration(
        matches.run.name,
        iou,
        sizes,
        counted.astype(np.int64),
        totals / present,
        rights / present,
        replace(error, low=low, high=high),
    )
