"""Figures by size and class equal pycocotools' to 1e-9: boxes and masks, any bins, any limits, ties and crowds."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api
from pycocotools.cocoeval import COCOeval

from explorer.scoring.matching import Matches, match
from explorer.scoring.metrics import COCO_FIGURES as METRICS
from explorer.scoring.metrics import Figures, score, with_few_objects
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import Run, read_truth
from explorer.scoring.sizes import COCO_BINS, DEFAULT_BINS, bins_between

Invent = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]
AsRun = Callable[..., Run]
Official = Callable[..., COCOeval]


def percent(value: np.ndarray) -> np.ndarray:
    """COCO's -1 is our NaN."""
    return np.where(value > -1, 100 * value, np.nan)


def theirs(evaluation: COCOeval) -> np.ndarray:
    """pycocotools' `(F, A, C)` figures in our order."""
    precision, recall = evaluation.eval["precision"][..., -1], evaluation.eval["recall"]
    ap = [precision.mean(axis=(0, 1)), precision[0].mean(axis=0), precision[5].mean(axis=0)]
    ar = [recall[..., limit].mean(axis=0) for limit in range(recall.shape[-1])]
    return percent(np.stack([values.T for values in (*ap, *ar)]))


def assert_equal(ours: Figures, evaluation: COCOeval) -> None:
    np.testing.assert_allclose(ours.by_class, theirs(evaluation), rtol=0, atol=1e-9)


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_invented_runs_have_pycocotools_figures(task: str, invent: Invent, as_run: AsRun, official: Official) -> None:
    @given(
        seed=st.integers(0, 2**32),
        objects=st.integers(0, 8),
        detections=st.integers(0, 20),
        ties=st.booleans(),
        crowds=st.sampled_from([0, 0.1, 0.6]),
        limits=st.sampled_from([(1, 10, 100), (2, 3, 5)]),
    )
    @settings(max_examples=25, deadline=None)
    def check(seed: int, objects: int, detections: int, ties: bool, crowds: float, limits: tuple[int, ...]) -> None:
        content, results = invent(seed, objects=objects, detections=detections, ties=ties, crowds=crowds)
        run = as_run(content, results)
        figures = score(match(run, task, max_detections=limits))
        assert_equal(figures, official(content, results, task, bins=DEFAULT_BINS, max_detections=limits))

    check()


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_real_photographs_have_pycocotools_summary(task: str, shared: Path, official: Official) -> None:
    data = shared / "data/coco-tiny"
    content = json.loads((data / "annotations/instances_val2017.json").read_text())
    rng = np.random.default_rng(3)
    results = [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "bbox": (np.array(a["bbox"]) * np.exp(rng.normal(0, 0.1, 4))).tolist(),
            "segmentation": run_length_code(a, content),
            "score": float(rng.random()),
        }
        for a in content["annotations"]
        if rng.random() < 0.8
    ]
    truth = read_truth(f"{data}:val2017")
    figures = score(match(Run("photographs", truth, found_among(results, truth), {}), task, bins=COCO_BINS))
    expected = official(content, results, task).stats
    assert figures.named() == pytest.approx(dict(zip(METRICS, 100 * expected, strict=True)), abs=1e-9)


def run_length_code(annotation: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    image = next(image for image in content["images"] if image["id"] == annotation["image_id"])
    shape = annotation["segmentation"]
    codes = mask_api.frPyObjects(shape, image["height"], image["width"])
    code = mask_api.merge(codes) if isinstance(codes, list) else codes
    return {"size": code["size"], "counts": code["counts"].decode()}


def test_nothing_found_is_0_and_nothing_there_is_unknown(invent: Invent, as_run: AsRun) -> None:
    content, results = invent(1, objects=6)
    nothing_found = score(match(as_run(content, [])))
    assert set(nothing_found.overall[:, 0]) == {0.0}
    nothing_there = score(match(as_run({**content, "annotations": []}, results)))
    assert np.isnan(nothing_there.overall).all()
    assert np.isnan(score(match(as_run({**content, "annotations": []}, []))).value())


def test_false_detections_on_images_without_annotations_count(invent: Invent, as_run: AsRun) -> None:
    content, _ = invent(2, images=2, objects=0)
    box = [10.0, 10.0, 50.0, 50.0]
    content["annotations"] = [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": box, "area": 2500.0, "iscrowd": 0, "segmentation": []}
    ]
    right = {"image_id": 7, "category_id": 1, "bbox": box, "score": 0.5}
    wrong = {"image_id": 10, "category_id": 1, "bbox": box, "score": 0.9}
    assert score(match(as_run(content, [right]))).value("AP50") == pytest.approx(100)
    assert score(match(as_run(content, [right, wrong]))).value("AP50") == pytest.approx(50)


def test_classes_with_few_objects_beside_many_are_named() -> None:
    def said(*objects: list[int]) -> str:
        empty = np.zeros((1, len(objects), 3))
        counts = np.array(objects)
        return with_few_objects(
            Figures(
                "run",
                "bbox",
                ("AP",),
                COCO_BINS[: len(objects)],
                ("car", "bus", "van"),
                empty,
                counts,
                9,
                counts,
                counts,
            )
        )

    assert said([65, 1, 0], [60, 0, 0]) == (
        "The mean over classes counts a class with few objects as much as one with many. Fewer than 10 objects, by "
        "size: all: bus (1)."
    )
    assert said([90, 90, 90], [80, 9, 1], [10, 80, 89]).endswith(": small: bus (9), van (1).")
    assert said([10, 0, 10], [9, 0, 9]) == ""  # with few of every class, intervals say so


def test_figures_are_found_by_name(invent: Invent, as_run: AsRun) -> None:
    figures = score(match(as_run(*invent(4)), max_detections=(5, 50)))
    assert figures.names == ("AP", "AP50", "AP75", "AR5", "AR50")
    assert figures.value("AR5", "small", "class 1") == figures.by_class[3, 1, 1]
    assert set(figures.named()) >= {"AP", "APs"}
    assert "ARl" not in figures.named()  # which is of 100 detections
    assert "ARl" in score(match(as_run(*invent(4)))).named()
    for wrong, words in [
        (("AP60",), "no figure 'AP60'; there are AP, AP50"),
        (("AP", "tiny"), "no size bin 'tiny'; there are all, small"),
        (("AP", "all", "cat"), "no class 'cat'; there are class 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            figures.value(*wrong)


def test_bins_can_be_chosen(invent: Invent, as_run: AsRun) -> None:
    assert [size.name for size in bins_between([16, 32])] == ["under 16²", "16²–32²", "32² and over"]
    for edges in ([], [0, 5], [9, 8], [3, float("inf")]):
        with pytest.raises(ValueError, match="ascending"):
            bins_between(edges)
    run = as_run(*invent(4))
    for settings_, words in [
        ({"task": "boxes"}, "'bbox' and 'segm'"),
        ({"thresholds": []}, "above 0"),
        ({"thresholds": [1.5]}, "at most 1"),
        ({"bins": []}, "at least one"),
        ({"max_detections": [0]}, "1 or more"),
    ]:
        with pytest.raises(ValueError, match=words):
            match(run, **settings_)


def test_who_took_whom_can_be_asked(invent: Invent, as_run: AsRun) -> None:
    matches: Matches = match(as_run(*invent(4, images=20, detections=20)))
    taken, taking = matches.objects_taken(0.5), matches.detections_taking(0.5)
    for detection in np.flatnonzero(taken >= 0):
        assert matches.run.truth.crowds[taken[detection]] or taking[taken[detection]] == detection
    with pytest.raises(ValueError, match=r"nothing was matched at IoU 0\.42"):
        matches.objects_taken(0.42)


@pytest.mark.slow
def test_half_a_million_detections_fit_into_bounded_memory(big_run: AsRun) -> None:
    run = big_run(images=5000, objects=36_000, detections_per_image=100, classes=80)
    assert len(run.found) == 500_000
    tracemalloc.start()
    figures = score(match(run, bins=COCO_BINS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < figures.value("AP") < 100
    assert peak < 2e9
