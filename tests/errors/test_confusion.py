"""What objects are taken for is counted once, adds up, and is what a slow and plain count gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api

from explorer.errors.confusion import NOTHING, confusion
from explorer.scoring.columns import Run
from explorer.scoring.matching import match
from explorer.scoring.outcomes import FoundRule, found_by

Invent = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


def plain_count(run: Run, iou: float, score: float) -> dict[tuple[str, str], int]:
    """Objects and detections paired as FiftyOne and supervision pair them, but by class first."""
    truth, found, counts = run.truth, run.found, {}
    for image in range(len(truth.image_ids)):
        objects = np.flatnonzero(truth.images == image).tolist()
        shown = [int(d) for d in np.flatnonzero(found.images == image) if found.scores[d] >= score]
        ious = mask_api.iou(found.boxes_xywh[shown], truth.boxes_xywh[objects], truth.crowds[objects].astype(np.uint8))
        pairs: dict[int, int] = {}
        for same in (True, False):
            for place, d in enumerate(shown):  # best first
                kept = [
                    (ious[place][o], o)
                    for o in range(len(objects))
                    if (truth.classes[objects[o]] == found.classes[d]) == same
                    and o not in pairs.values()
                    and not truth.crowds[objects[o]]
                    and ious[place][o] >= iou
                ]
                if d not in pairs and kept:
                    pairs[d] = max(kept)[1]
        for place, d in enumerate(shown):
            in_crowd = any(
                truth.crowds[one] and truth.classes[one] == found.classes[d] and ious[place][o] >= iou
                for o, one in enumerate(objects)
            )
            if d not in pairs and not in_crowd:
                key = (NOTHING, truth.class_names[found.classes[d]])
                counts[key] = counts.get(key, 0) + 1
        taken = {o: d for d, o in pairs.items()}
        for o, one in enumerate(objects):
            if not truth.crowds[one]:
                detected = truth.class_names[found.classes[taken[o]]] if o in taken else NOTHING
                key = (truth.class_names[truth.classes[one]], detected)
                counts[key] = counts.get(key, 0) + 1
    return counts


@pytest.mark.parametrize(("seed", "crowds"), [(1, 0.0), (2, 0.0), (3, 0.2)])
def test_objects_and_detections_are_counted_once(seed: int, crowds: float, invent: Invent, as_run: Callable) -> None:
    run = as_run(*invent(seed, images=12, objects=8, detections=14, crowds=crowds))
    matches = match(run)
    rule = FoundRule(score=0.4)
    counted = confusion(matches, rule.of(matches))
    whole = counted.of()
    classes = len(run.truth.class_names)
    there = run.truth.classes[~run.truth.crowds]
    np.testing.assert_array_equal(whole[:-1].sum(axis=1), np.bincount(there, minlength=classes))
    found = run.truth.classes[found_by(matches, rule.of(matches)) >= 0]
    np.testing.assert_array_equal(np.diag(whole)[:-1], np.bincount(found, minlength=classes))
    assert whole[-1, -1] == 0
    assert whole[:, :-1].sum() == rule.of(matches).detections
    np.testing.assert_array_equal(counted.counts[1:].sum(axis=0), whole)  # each has one size
    expected = plain_count(run, 0.5, 0.4)
    assert {(counted.labels[a], counted.labels[b]): int(n) for (a, b), n in np.ndenumerate(whole) if n} == expected
    off = whole[:-1, :-1].sum() - np.trace(whole[:-1, :-1])
    assert off > 0
    shares = counted.shares()
    np.testing.assert_allclose(shares[:-1].sum(axis=1)[whole[:-1].sum(axis=1) > 0], 1)
    with pytest.raises(ValueError, match="no size 'tiny'; there are all, small"):
        counted.of("tiny")
