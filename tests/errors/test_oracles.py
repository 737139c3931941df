"""What fixing each type of error adds to AP: by hand, and as TIDE's authors' package has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from explorer.errors import oracles
from explorer.errors.oracles import (
    FALSE_NEGATIVES,
    FALSE_POSITIVES,
    GAINS,
    Gains,
    average_precision,
    fix,
    fix_by_size,
)
from explorer.errors.taxonomy import Taxonomy, classify_errors
from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.runs import Run
from explorer.scoring.sizes import ALL, COCO_BINS

SQUARE = [0, 0, 100, 100]
ELSEWHERE = [300, 300, 100, 100]


@pytest.fixture
def errors(as_run: Callable[..., Run]) -> Callable[..., Taxonomy]:
    """Judges one image with objects and detections (class, box[, score])."""

    def judge(objects: list[tuple[Any, ...]], detections: list[tuple[Any, ...]]) -> Taxonomy:
        content = {
            "images": [{"id": 1, "file_name": "1.jpg", "height": 500, "width": 500}],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "annotations": [
                {"id": n, "image_id": 1, "category_id": kind, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                for n, (kind, box) in enumerate(objects, start=1)
            ],
        }
        results = [{"image_id": 1, "category_id": k, "bbox": b, "score": s} for k, b, s in detections]
        return classify_errors(as_run(content, results))

    return judge


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        ([(1, SQUARE, 0.9)], {}),
        ([(1, [0, 0, 100, 40], 0.9)], {"localisation": 100, FALSE_NEGATIVES: 0}),
        ([(1, SQUARE, 0.8), (1, [0, 0, 100, 90], 0.9)], {}),  # the worse one only follows the object's own
        ([(1, SQUARE, 0.8), (1, ELSEWHERE, 0.9)], {"background": 50, FALSE_POSITIVES: 50}),
        ([], {"missed": 100, FALSE_NEGATIVES: 100}),
        ([(2, SQUARE, 0.9)], {"classification": 100, FALSE_NEGATIVES: 100}),
    ],
)
def test_each_oracle_gives_what_can_be_reckoned_by_hand(
    detections: list[Any], expected: dict[str, float], errors: Callable[..., Taxonomy]
) -> None:
    gains = fix(errors([(1, SQUARE)], detections))
    wanted = dict.fromkeys(GAINS, 0.0) | expected
    assert gains.mean == pytest.approx(wanted, abs=1e-9)


def test_a_mended_class_moves_to_the_object_and_leaves_its_own(errors: Callable[..., Taxonomy]) -> None:
    taxonomy = errors([(1, SQUARE), (2, ELSEWHERE)], [(2, SQUARE, 0.9), (2, ELSEWHERE, 0.8)])
    gains = fix(taxonomy)
    np.testing.assert_allclose(gains.ap, [0, 50], atol=1e-9)
    np.testing.assert_allclose(gains.gains["classification"], [100, 50], atol=1e-9)


def test_of_two_errors_mended_on_one_object_the_best_scored_stays(errors: Callable[..., Taxonomy]) -> None:
    shifted = [0, 0, 100, 40]
    taxonomy = errors([(1, SQUARE)], [(1, shifted, 0.9), (1, [0, 60, 100, 40], 0.8), (1, SQUARE, 0.7)])
    # the paper: the first one is correct and the other two go; tidecv: the object keeps its own, and they just go
    assert fix(taxonomy).mean["localisation"] == pytest.approx(fix(taxonomy, rivals="tidecv").mean["localisation"])
    assert fix(taxonomy).mean_ap == pytest.approx(100 / 3)


@pytest.mark.parametrize("case", range(3))
def test_gains_are_those_of_the_authors_package(
    case: int,
    tide_cases: list[dict[str, Any]],
    errors_of: Callable[[dict[str, Any]], Taxonomy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # tidecv reads precision at k / 100, COCO at linspace(0, 1, 101): an equal recall may be one bit off
    monkeypatch.setattr(oracles, "RECALLS", np.arange(101) / 100)
    theirs = tide_cases[case]["tidecv"]
    taxonomy = errors_of(tide_cases[case])
    ours = fix(taxonomy, rivals="tidecv")
    assert ours.mean_ap == pytest.approx(theirs["ap"], abs=1e-9)
    assert shown(ours) == pytest.approx(theirs["gains"], abs=1e-9)
    # in tidecv these two go by the detection's size, here by that of the object they are about
    other_size = ("both", "duplicate")
    for gains in fix_by_size(taxonomy, COCO_BINS[1:], rivals="tidecv"):
        expected = theirs["gains_by_size"][gains.size.name]
        fixed = {name: shown(gains.of_all)[name] for name in expected if name not in other_size}
        assert fixed == pytest.approx({name: expected[name] for name in fixed}, abs=1e-9)


def shown(gains: Gains) -> dict[str, float]:
    """tidecv shows losses as 0."""
    return {name: max(0, gain) for name, gain in gains.mean.items()}


def test_ap_is_cocos(invent: Callable[..., Any], as_run: Callable[..., Run]) -> None:
    run = as_run(*invent(5, images=20, detections=20))
    figures = score(match(run, thresholds=(0.5,), bins=(ALL,)))
    gains = fix(classify_errors(run))
    np.testing.assert_allclose(gains.ap, figures.by_class[figures.names.index("AP50"), 0], atol=1e-9)


def test_classes_without_objects_have_no_ap(errors: Callable[..., Taxonomy]) -> None:
    assert math.isnan(fix(errors([], [(1, SQUARE, 0.9)])).mean_ap)
    assert average_precision(np.zeros(0, dtype=bool), 0) == 100
    assert average_precision(np.zeros(1, dtype=bool), 0) == 0
