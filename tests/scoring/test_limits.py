"""COCO's limit of 100 detections is average precision's alone, and what it cuts is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from explorer.errors.compare import compare
from explorer.errors.confusion import confusion
from explorer.errors.taxonomy import ErrorType, classify_errors
from explorer.scoring.columns import Run
from explorer.scoring.matching import match
from explorer.scoring.metrics import metrics_of
from explorer.scoring.outcomes import FoundRule

OBJECTS = 300


def crowded(found: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An image of 300 objects and a detector that finds the first of them, perfectly."""
    boxes = [[12 * (i % 20), 12 * (i // 20), 10, 10] for i in range(OBJECTS)]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 320, "height": 240}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 100, "iscrowd": 0}
            for i, box in enumerate(boxes)
        ],
    }
    results = [
        {"image_id": 1, "category_id": 1, "bbox": box, "score": 1 - i / 1000} for i, box in enumerate(boxes[:found])
    ]
    return content, results


def test_no_object_beyond_the_limit_counts_as_missed(as_run: Callable[..., Run]) -> None:
    hundred, all_of_them = (as_run(*crowded(number), f"{number}") for number in (100, OBJECTS))
    comparison = compare([match(hundred), match(all_of_them)], found=FoundRule(score=0.5), resamples=10)
    assert (comparison.found_by >= 0).sum(axis=1).tolist() == [100, OBJECTS]
    assert comparison.points[1].detections == OBJECTS
    assert not (classify_errors(all_of_them).object_types == ErrorType.MISSED).any()
    assert (classify_errors(hundred).object_types == ErrorType.MISSED).sum() == 200


def test_a_confusion_matrix_counts_what_is_shown(as_run: Callable[..., Run]) -> None:
    content, results = crowded(OBJECTS)
    content["annotations"] = content["annotations"][:150]  # and as many false ones, most of them beyond the limit
    matches = match(as_run(content, results))
    point = FoundRule(score=0.5).of(matches)
    counts = confusion(matches, point).of()
    assert counts.tolist() == [[150, 0], [150, 0]]
    assert counts[:, 0].sum() == point.detections


def test_what_the_limit_cuts_is_said(as_run: Callable[..., Run]) -> None:
    run = as_run(*crowded(OBJECTS))
    metrics = metrics_of(run)
    assert metrics.values["bbox"]["AR100"] == pytest.approx(100 / 3)
    [note] = metrics.details["notes"]
    assert "cuts 200 detections and 200 objects" in note
    raised = metrics_of(Run(run.name, run.truth, run.found, {"max_detections": OBJECTS}))
    assert raised.values["bbox"]["AP"] == pytest.approx(100)
    assert raised.values["bbox"]["AR300"] == pytest.approx(100)
    assert not raised.details["notes"]


def test_nothing_is_said_where_nothing_is_cut(as_run: Callable[..., Run]) -> None:
    content, results = crowded(50)
    content["annotations"] = content["annotations"][:100]
    assert not metrics_of(as_run(content, results)).details["notes"]
