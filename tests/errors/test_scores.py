"""Calibration and the best scores, held against their formulas written out on pycocotools' matches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api
from pycocotools.cocoeval import COCOeval

from explorer.errors.calibration import calibration
from explorer.errors.lrp import best_scores
from explorer.figures.calibration import reliability
from explorer.report.scores import best_score_grid, calibration_grid, scores_document
from explorer.scoring.columns import Run
from explorer.scoring.curves import judged as judge
from explorer.scoring.matching import match
from explorer.scoring.protocols import COCO

Invent = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]
AsRun = Callable[..., Run]
Official = Callable[..., COCOeval]


def judged(evaluation: COCOeval, size: int) -> Iterator[tuple[int, int, float, float | None]]:
    """Image, category, score, and the IoU with the object found (None for a wrong one) of each that counts."""
    images, areas = len(evaluation.params.imgIds), len(evaluation.params.areaRng)
    for place, one in enumerate(evaluation.evalImgs):
        if one is None or place // images % areas != size:
            continue
        for own, taken, ignored, score in zip(
            one["dtIds"], one["dtMatches"][0], one["dtIgnore"][0], one["dtScores"], strict=True
        ):
            if not ignored:
                boxes = [evaluation.cocoDt.anns[own]["bbox"], taken and evaluation.cocoGt.anns[int(taken)]["bbox"]]
                overlap = float(mask_api.iou([boxes[0]], [boxes[1]], [0])[0, 0]) if taken else None
                yield one["image_id"], one["category_id"], score, overlap


def objects(evaluation: COCOeval, size: int, category: int) -> int:
    images, areas = len(evaluation.params.imgIds), len(evaluation.params.areaRng)
    return sum(
        int((np.array(one["gtIgnore"]) == 0).sum())
        for place, one in enumerate(evaluation.evalImgs)
        if one is not None and place // images % areas == size and one["category_id"] == category
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_d_ece_is_its_formula(seed: int, invent: Invent, as_run: AsRun, official: Official) -> None:
    content, results = invent(seed, images=20, objects=8, detections=20)
    measured = calibration(match(as_run(content, results)), resamples=50)
    theirs = official(content, results, "bbox", bins=COCO.bins)
    for size in range(len(COCO.bins)):
        own = list(judged(theirs, size))
        scores, right = np.array([one[2] for one in own]), np.array([one[3] is not None for one in own])
        expected = 0.0
        for low in range(10):
            inside = (scores >= low / 10) & (scores < (low + 1) / 10 if low < 9 else scores <= 1)
            if inside.any():
                gap = abs(right[inside].mean() - scores[inside].mean())
                expected += inside.sum() / len(scores) * gap
        assert measured.error.value[size] == pytest.approx(100 * expected, abs=1e-9)
        assert measured.detections[size].sum() == len(own)
    assert (measured.error.low[0] <= measured.error.value[0]) & (measured.error.value[0] <= measured.error.high[0])
    assert len(reliability(measured).data) >= 2
    assert len(calibration_grid(measured).rows) == len(COCO.bins)


def test_a_calibrated_detector_has_no_error(big_run: Callable[..., Run]) -> None:
    """Scores are made the share that is right, bin by bin; its resamples have an error that the interval takes off."""
    run = big_run(images=200, objects=2000, detections_per_image=10, classes=3)
    matches = match(run)
    _, hits = judge(matches, 0, 0)
    share = hits.mean()
    scored = replace(run, found=replace(run.found, scores=np.full(len(run.found), share)))
    measured = calibration(match(scored), resamples=50)
    assert measured.error.value[0] == pytest.approx(0, abs=1.0)  # equal scores match in another order
    with pytest.raises(ValueError, match="scores from"):
        calibration(match(replace(run, found=replace(run.found, scores=run.found.scores + 2))))


@pytest.mark.parametrize(("seed", "ties"), [(1, False), (2, True), (3, False)])
def test_olrp_and_f1_are_their_formulas(
    seed: int, ties: bool, invent: Invent, as_run: AsRun, official: Official
) -> None:
    content, results = invent(seed, images=15, objects=8, detections=15, ties=ties)
    run = as_run(content, results)
    best = best_scores(match(run))
    theirs = official(content, results, "bbox", bins=COCO.bins)
    checked = 0
    for size in range(len(COCO.bins)):
        own = list(judged(theirs, size))
        for row, category in enumerate(run.truth.category_ids.tolist()):
            number = objects(theirs, size, category)
            assert best.objects[size, row] == number
            mine = [one for one in own if one[1] == category]
            lrps, f1s = {}, {}
            for threshold in sorted({one[2] for one in mine}):
                shown = [one[3] for one in mine if one[2] >= threshold]
                hits = [overlap for overlap in shown if overlap is not None]
                wrong, missed = len(shown) - len(hits), number - len(hits)
                total = sum((1 - overlap) / 0.5 for overlap in hits) + wrong + missed
                lrps[threshold] = total / (len(hits) + wrong + missed) if number else np.nan
                f1s[threshold] = 2 * len(hits) / (2 * len(hits) + wrong + missed) if number else np.nan
            if not number:
                assert np.isnan(best.olrp[size, row])
                continue
            checked += 1
            assert best.olrp[size, row] == pytest.approx(100 * min([1.0, *lrps.values()]), abs=1e-9)
            assert best.f1[size, row] == pytest.approx(100 * max([0.0, *f1s.values()]), abs=1e-9)
            if best.olrp[size, row] < 100:
                assert lrps[best.olrp_score[size, row]] == pytest.approx(min(lrps.values()), abs=1e-12)
                at = best.olrp_score[size, row]
                hits = [one[3] for one in mine if one[2] >= at and one[3] is not None]
                assert best.localisation[size, row] == pytest.approx(100 * (1 - np.mean(hits)), abs=1e-9)
                assert best.false_negatives[size, row] == pytest.approx(100 * (1 - len(hits) / number), abs=1e-9)
    assert checked > 5
    assert best.mean_olrp[0] == pytest.approx(np.nanmean(best.olrp[0]))
    means, classes = (best.objects.sum(axis=1) > 0).sum(), (best.objects[0] > 0).sum()
    assert len(best_score_grid(best).rows) == means + classes


def test_a_run_without_detections(invent: Invent, as_run: AsRun) -> None:
    matches = match(as_run(invent(1)[0], []))
    best, measured = best_scores(matches), calibration(matches, resamples=5)
    assert set(best.olrp[~np.isnan(best.olrp)]) == {100.0}
    assert np.isnan(measured.error.value).all()
    document = scores_document(measured, best)
    assert document["mean_olrp"]["all"] == 100
    assert document["calibration"]["all"]["d_ece"] is None
