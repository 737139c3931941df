"""Calibration, optimal LRP, F1 and confusion equal hotcoco's and vernier's on real photographs.

`golden/references.json` holds what hotcoco 1.3.0 and vernier 0.5.4 say; `golden/make_references.py` has the settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from explorer.errors.calibration import calibration
from explorer.errors.confusion import confusion
from explorer.errors.lrp import best_scores
from explorer.scoring.accumulate import RECALLS
from explorer.scoring.curves import judged, size_curves
from explorer.scoring.matching import Matches, match
from explorer.scoring.outcomes import FoundRule
from explorer.scoring.runs import Run
from tests.fixtures.cells import Cells

GOLDEN = Path(__file__).parent / "golden/references.json"
COCO_TINY = "data/coco-tiny/annotations/instances_val2017.json"


@dataclass(frozen=True)
class Case:
    """Our matches, and what the libraries say of the same detections, in shares of 1."""

    matches: Matches
    hotcoco: dict[str, Any]
    vernier: dict[str, Any]


@pytest.fixture(scope="module", params=["BCCD", "coco-tiny"])
def case(
    request: pytest.FixtureRequest, shared: Path, tide_cases: list[dict[str, Any]], as_run: Callable[..., Run]
) -> Case:
    if request.param == "BCCD":
        cells: Cells = request.getfixturevalue("cells")
        run = as_run(cells.content, cells.results)
    else:
        results = next(own["results"] for own in tide_cases if own["name"] == "coco-tiny")
        run = as_run(json.loads((shared / COCO_TINY).read_text()), results)
    return Case(match(run), **json.loads(GOLDEN.read_text())["cases"][request.param])


def test_d_ece_and_its_bins_by_size_are_hotcocos(case: Case) -> None:
    ours = calibration(case.matches, resamples=5)
    sizes = [size.name for size in ours.sizes]
    expected = [100 * case.hotcoco["d_ece"][name] for name in sizes]
    assert sizes == ["all", "small", "medium", "large"]
    np.testing.assert_allclose(ours.error.value, expected, atol=1e-10)
    counts, scores, precision = map(np.array, zip(*case.hotcoco["bins"], strict=True))
    np.testing.assert_array_equal(ours.detections[0], counts)
    np.testing.assert_allclose(ours.scores[0], scores, atol=1e-12)
    np.testing.assert_allclose(ours.precision[0], precision, atol=1e-12)


def test_optimal_lrp_its_parts_and_its_score_are_verniers(case: Case) -> None:
    """vernier's localisation is a share of 1 - t, ours of 1; where nothing is right its parts have other blanks."""
    ours = best_scores(case.matches)
    assert ours.mean_olrp[0] == pytest.approx(100 * case.vernier["mean_olrp"], abs=1e-10)
    theirs = np.array(
        [case.vernier["classes"][str(key)] for key in case.matches.run.truth.category_ids.tolist()], float
    )
    np.testing.assert_allclose(ours.olrp[0], 100 * theirs[:, 0], atol=1e-10)
    some = ours.olrp[0] < 100
    assert some.sum() >= 3
    mine = [ours.localisation[0] / 50, ours.false_positives[0] / 100, ours.false_negatives[0] / 100, ours.olrp_score[0]]
    np.testing.assert_allclose(np.stack(mine, axis=1)[some], theirs[some, 1:], atol=1e-12)


def test_the_best_f1_is_hotcocos_where_it_looks(case: Case) -> None:
    """hotcoco looks at COCO's 101 recalls, we at every score: on its recalls the same, on ours never worse."""
    curves = size_curves(case.matches)
    precision = curves.precision[0][curves.objects[0] > 0]
    total = precision + RECALLS
    scores = np.divide(2 * precision * RECALLS, total, out=np.zeros_like(precision), where=total > 0).max(axis=1)
    assert scores.mean() == pytest.approx(case.hotcoco["f1"], abs=1e-12)
    best = best_scores(case.matches).f1[0]
    assert (best[curves.objects[0] > 0] / 100 >= scores - 0.01).all()


def test_the_best_f1_and_its_score_are_scikit_learns(case: Case) -> None:
    best, run = best_scores(case.matches), case.matches.run
    rows, hits = judged(case.matches, 0, case.matches.threshold_index(0.5))
    for row in np.flatnonzero(best.f1[0] > 0).tolist():
        own = run.found.classes[rows] == row
        precision, recall, thresholds = precision_recall_curve(hits[own], run.found.scores[rows[own]])
        recall = recall * hits[own].sum() / best.objects[0, row]  # its recall is of the objects that are ever found
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        assert best.f1[0, row] == pytest.approx(100 * f1.max(), abs=1e-10)
        assert f1[thresholds.tolist().index(best.f1_score[0, row])] == pytest.approx(f1.max(), abs=1e-12)


@pytest.mark.parametrize("case", ["BCCD"], indirect=True)
def test_confusion_is_hotcocos(case: Case) -> None:
    """On BCCD, where both rules agree: in coco-tiny hotcoco pairs by overlap before class, and knows no crowds."""
    ours = confusion(case.matches, FoundRule(score=0.5).of(case.matches))
    np.testing.assert_array_equal(ours.of(), case.hotcoco["confusion"])


def test_the_libraries_themselves_say_so(shared: Path) -> None:
    """Where both are installed: `pip install hotcoco vernier`."""
    pytest.importorskip("hotcoco")
    pytest.importorskip("vernier")
    from tests.errors.golden.make_references import measured

    recorded = json.loads(GOLDEN.read_text())["cases"]
    assert json.loads(json.dumps(measured())) == recorded
