"""What a protocol leaves out before anything is matched: classes that are not scored, and what lies in ignored regions.

VisDrone marks regions where objects were not annotated. An object or a detection goes where at least half of its box
is in them. As in its toolkit, boxes are whole pixels counted from 1, a region holds the pixels at both of its ends, and
a box those behind its first row and column.

Source: the VisDrone2018-DET toolkit, `dropObjectsInIgr`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explorer.scoring.columns import Found, Regions, Run, Truth, in_order
from explorer.scoring.protocols import Protocol
from explorer.types import Bools, Floats, Ints

LARGEST_SHARE = 0.5
"""Of a box in ignored regions, from which on it goes."""


def truth_under(protocol: Protocol, truth: Truth) -> Truth:
    """Returns the annotations that a protocol scores against; the classes stay, and regions stand apart."""
    named = [" ".join(name.casefold().replace("-", " ").replace("_", " ").split()) for name in truth.class_names]
    is_region = np.array([name in protocol.ignored_regions for name in named], np.bool_)[truth.classes]
    unscored = np.array([name in protocol.unscored for name in named], np.bool_)[truth.classes]
    if not (is_region.any() or unscored.any()):
        return truth
    if is_region.any():
        truth = replace(truth, regions=Regions(truth.images[is_region], truth.boxes_xywh[is_region]))
    kept = np.flatnonzero(~is_region & ~unscored)
    kept = kept[~_inside(truth, truth.images[kept], truth.boxes_xywh[kept])]
    return truth.of_objects(kept)


def found_under(protocol: Protocol, truth: Truth, found: Found) -> Found:
    """Returns the detections that a protocol scores.

    Args:
        protocol: the rules.
        truth: what `truth_under` gave.
        found: the detections.
    """
    if not protocol.ignored_regions or truth.regions is None:
        return found
    kept = np.flatnonzero(~_inside(truth, found.images, found.boxes_xywh))
    if len(kept) == len(found):
        return found
    return in_order(
        found.images[kept],
        found.classes[kept],
        found.boxes_xywh[kept],
        found.scores[kept],
        None if found.masks is None else tuple(found.masks[row] for row in kept),
        None if found.mask_scores is None else found.mask_scores[kept],
    )


def run_under(protocol: Protocol, run: Run) -> Run:
    """Returns a run as a protocol scores it; its figures, of another protocol, stay behind."""
    truth = truth_under(protocol, run.truth)
    return Run(
        run.name,
        truth,
        found_under(protocol, truth, run.found),
        {**run.facts, "protocol": protocol.as_facts()},
        run.folder,
        run.segments,
        run.notes,
    )


def _inside(truth: Truth, images: Ints, boxes_xywh: Floats) -> Bools:
    """Tells which boxes, by image row, lie in ignored regions."""
    inside = np.zeros(len(images), np.bool_)
    regions = truth.regions
    if regions is None:
        return inside
    for image in np.unique(regions.images).tolist():
        rows = np.flatnonzero(images == image)
        if len(rows):
            own = regions.boxes_xywh[regions.images == image]
            inside[rows] = _shares(own, boxes_xywh[rows], *truth.image_sizes[image].tolist()) >= LARGEST_SHARE
    return inside


def _shares(regions_xywh: Floats, boxes_xywh: Floats, height: int, width: int) -> Floats:
    """Returns how much of each box lies in the regions, `(N,)`."""
    covered = np.zeros((height, width), np.int64)
    for x, y, w, h in _pixels(regions_xywh).tolist():
        covered[y - 1 : y + h, x - 1 : x + w] = 1
    sums = covered.cumsum(axis=0).cumsum(axis=1)
    x, y, w, h = _pixels(boxes_xywh).T
    left, top = np.minimum(x, width) - 1, np.minimum(y, height) - 1
    right, bottom = np.minimum(left + w, width - 1), np.minimum(top + h, height - 1)
    count = sums[top, left] + sums[bottom, right] - sums[top, right] - sums[bottom, left]
    shares: Floats = count / (w * h)
    return shares


def _pixels(boxes_xywh: Floats) -> Ints:
    """Rounds halves up, and to 1 at least, as the toolkit does."""
    return np.maximum(1, np.floor(np.minimum(boxes_xywh, 2**31) + 0.5)).astype(np.int64)
