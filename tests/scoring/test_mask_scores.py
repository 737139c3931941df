"""Masks that have scores of their own are ranked by these, boxes by theirs: in figures, comparisons and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from explorer.errors.bootstrap import bootstrap
from explorer.errors.compare import compare
from explorer.errors.oracles import fix
from explorer.errors.taxonomy import classify_errors
from explorer.scoring import parts as module
from explorer.scoring.convert import coco_results, run_from_detections
from explorer.scoring.matching import match
from explorer.scoring.metrics import COCO_FIGURES, metrics_of, score
from explorer.scoring.parts import RunInParts
from explorer.scoring.runs import Run, load_run
from explorer.scoring.sizes import DEFAULT_BINS
from explorer.types import Detections

Results = list[dict[str, Any]]
AsRun = Callable[..., Run]


@pytest.fixture(scope="module")
def scored(invent: Callable[..., tuple[dict[str, Any], Results]]) -> tuple[dict[str, Any], Results]:
    """Annotations and detections whose masks are ranked otherwise than their boxes."""
    content, results = invent(5, images=30, objects=6, detections=12)
    ious = np.random.default_rng(1).random(len(results))
    return content, [
        result | {"mask_score": result["score"] * iou} for result, iou in zip(results, ious.tolist(), strict=True)
    ]


def by_mask_scores(results: Results) -> Results:
    """What pycocotools has to be given: the masks' scores as the scores."""
    return [result | {"score": result.get("mask_score", result["score"])} for result in results]


def test_one_run_has_pycocotools_figures_of_boxes_and_of_masks(
    scored: tuple[dict[str, Any], Results], as_run: AsRun, official: Callable[..., COCOeval]
) -> None:
    content, results = scored
    values = metrics_of(as_run(content, results)).values
    for task, given in (("bbox", results), ("segm", by_mask_scores(results))):
        expected = dict(zip(COCO_FIGURES, 100 * official(content, given, task).stats, strict=True))
        assert values[task] == pytest.approx(expected, abs=1e-9)
    by_box_scores = official(content, results, "segm").stats[0]
    assert abs(values["segm"]["AP"] - 100 * by_box_scores) > 0.1  # it matters


def test_a_limit_cuts_the_masks_that_are_scored_lowest(
    scored: tuple[dict[str, Any], Results], as_run: AsRun, official: Callable[..., COCOeval]
) -> None:
    content, results = scored
    figures = score(match(as_run(content, results), "segm", max_detections=(1, 2)))
    theirs = official(content, by_mask_scores(results), "segm", bins=DEFAULT_BINS, max_detections=(1, 2)).eval
    assert figures.value() == pytest.approx(100 * theirs["precision"][..., 0, -1].mean(), abs=1e-9)
    assert figures.value("AR1") == pytest.approx(100 * theirs["recall"][..., 0, 0].mean(), abs=1e-9)


def test_comparisons_resamples_and_errors_of_masks_go_by_their_scores(
    scored: tuple[dict[str, Any], Results], as_run: AsRun
) -> None:
    """All is as it is for a run whose only scores are those."""
    content, results = scored
    half = results[::2]
    own = [match(as_run(content, found), "segm") for found in (results, half)]
    plain = [match(as_run(content, by_mask_scores(found)), "segm") for found in (results, half)]
    for ours, expected in zip(own, plain, strict=True):
        np.testing.assert_array_equal(bootstrap(ours, 20).by_class, bootstrap(expected, 20).by_class)
        assert fix(classify_errors(ours.run, "segm")).mean == fix(classify_errors(expected.run, "segm")).mean
    ours, expected = (compare(matches, resamples=10) for matches in (own, plain))
    assert ours.points == expected.points
    np.testing.assert_array_equal(ours.pairs[0].who, expected.pairs[0].who)


def test_errors_of_a_run_are_those_of_its_masks(scored: tuple[dict[str, Any], Results], as_run: AsRun) -> None:
    content, results = scored
    ours, expected = (classify_errors(as_run(content, own), "segm") for own in (results, by_mask_scores(results)))
    np.testing.assert_array_equal(ours.detection_types, expected.detection_types)
    np.testing.assert_array_equal(ours.run.found.scores, expected.run.found.scores)


def test_a_mask_without_a_score_has_its_boxs(scored: tuple[dict[str, Any], Results], as_run: AsRun) -> None:
    content, results = scored
    some = [{k: v for k, v in one.items() if k != "mask_score"} if i % 3 else one for i, one in enumerate(results)]
    ours, expected = (score(match(as_run(content, own), "segm")) for own in (some, by_mask_scores(some)))
    np.testing.assert_array_equal(ours.by_class, expected.by_class)
    assert as_run(content, [one | {"mask_score": None} for one in some]).found.mask_scores is None


@pytest.mark.parametrize("value", [float("nan"), "0.5", True])
def test_a_mask_score_is_a_finite_number(value: Any, scored: tuple[dict[str, Any], Results], as_run: AsRun) -> None:
    content, results = scored
    with pytest.raises(ValueError, match=r"detection 1 .* has mask_score .*, which must be a finite number"):
        as_run(content, [results[0], results[1] | {"mask_score": value}])


@pytest.fixture
def on_disk(scored: tuple[dict[str, Any], Results], tmp_path: Path) -> tuple[Path, str]:
    content, results = scored
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val").mkdir()
    (tmp_path / "annotations/instances_val.json").write_text(json.dumps(content))
    (tmp_path / "found.json").write_text(json.dumps(results))
    return tmp_path / "found.json", f"{tmp_path}:val"


def test_what_is_written_is_what_was_read(on_disk: tuple[Path, str]) -> None:
    run = load_run(*on_disk)
    assert run.found.mask_scores is not None
    on_disk[0].write_text(json.dumps(coco_results(run)))
    again = load_run(*on_disk)
    np.testing.assert_array_equal(again.found.scores, run.found.scores)
    np.testing.assert_array_equal(again.found.mask_scores, run.found.mask_scores)
    boxes = [{key: one[key] for key in one if key != "segmentation"} for one in coco_results(run)]
    on_disk[0].write_text(json.dumps(boxes))
    np.testing.assert_array_equal(load_run(*on_disk).found.mask_scores, run.found.mask_scores)


def test_parts_are_the_run(on_disk: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES_AT_A_TIME", 7)
    whole = load_run(*on_disk)
    with RunInParts(*on_disk) as run:
        own = [part.run.found.mask_scores for part in run]
    assert len(own) == 5
    np.testing.assert_array_equal(np.concatenate(own), whole.found.mask_scores)


def test_detections_bring_their_masks_scores(scored: tuple[dict[str, Any], Results], as_run: AsRun) -> None:
    run = as_run(*scored)
    truth, found = run.truth, run.found
    corners = np.concatenate([found.boxes_xywh[:, :2], found.boxes_xywh[:, :2] + found.boxes_xywh[:, 2:]], axis=1)
    detections = []
    for image, size in enumerate(truth.image_sizes.tolist()):
        rows = np.flatnonzero(found.images == image)
        detections.append(
            Detections(
                corners[rows].astype(np.float32),
                found.scores[rows].astype(np.float32),
                found.classes[rows],
                truth.class_names,
                tuple(size),
                tuple(found.masks[row] for row in rows),
                found.mask_scores[rows].astype(np.float32),
            )
        )
    made = run_from_detections(truth, detections, "a run")
    np.testing.assert_allclose(made.found.mask_scores, found.mask_scores, atol=1e-7)
    kept = detections[0].keep(detections[0].scores > 0.5)
    np.testing.assert_array_equal(kept.mask_scores, detections[0].mask_scores[detections[0].scores > 0.5])
    broken = replace(detections[0], mask_scores=np.full(len(detections[0]), np.nan, np.float32))
    with pytest.raises(ValueError, match="image 7 have a score that is not finite"):
        run_from_detections(truth, [broken, *detections[1:]], "a run")
