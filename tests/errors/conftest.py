"""Cases of TIDE's authors' package, and how to judge them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from explorer.errors.taxonomy import Taxonomy, classify_errors
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import Run, truth_from_coco

Content = dict[str, Any]


@pytest.fixture(scope="session")
def tide_cases() -> list[dict[str, Any]]:
    """Truth, results and figures of TIDE's authors' package, as golden/make_tide.py keeps them."""
    cases: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden/tide.json").read_text())["cases"]
    return cases


@pytest.fixture
def errors_of(request: pytest.FixtureRequest) -> Callable[[dict[str, Any]], Taxonomy]:
    """Judges one of `tide_cases`; the photographs' annotations come from the reference data."""

    def classify(case: dict[str, Any]) -> Taxonomy:
        content = case.get("truth") or _sized_by_boxes(request.getfixturevalue("shared"))
        truth = truth_from_coco(content)
        foreground, background = case["thresholds"]
        run = Run(case["name"], truth, found_among(case["results"], truth), {})
        return classify_errors(run, foreground=foreground, background=background)

    return classify


def _sized_by_boxes(shared: Path) -> Content:
    """coco-tiny without crowds, each object as large as its box: all that tidecv knows."""
    content: Content = json.loads((shared / "data/coco-tiny/annotations/instances_val2017.json").read_text())
    kept = [a | {"area": a["bbox"][2] * a["bbox"][3]} for a in content["annotations"] if not a["iscrowd"]]
    return content | {"annotations": kept}
