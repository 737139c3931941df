"""Average precision equals pycocotools', on real annotations with crowds, ties and every kind of detection."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import coco
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.data.coco import register_coco
from explorer.engine.detector import Detector
from explorer.engine.evaluation.evaluate import run_over, write_detections
from explorer.scoring.columns import Run
from explorer.scoring.metrics import COCO_FIGURES, metrics_of
from explorer.scoring.results_file import RESULTS_FILE, found_among
from explorer.scoring.runs import truth_from_coco

SETS = {
    "coco-tiny": ("coco-tiny/annotations/instances_val2017.json", ("bbox", "segm")),
    "bccd": ("bccd/annotations/val.json", ("bbox",)),
}
Results = list[dict[str, Any]]


def official(path: Path, results: Results, task: str, image_ids: list[int]) -> dict[str, float]:
    """COCO's figures by pycocotools, in percent, NaN for its -1."""
    ignored = {"bbox": "segmentation", "segm": "bbox"}[task]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(path))
        found = truth.loadRes([{k: v for k, v in r.items() if k != ignored} for r in results])
        evaluation = COCOeval(truth, found, task)
        evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = {
        name: 100 * stat if stat > -1 else np.nan for name, stat in zip(COCO_FIGURES, evaluation.stats, strict=True)
    }
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    for place, category in enumerate(evaluation.params.catIds):
        values = precision[:, :, place][precision[:, :, place] > -1]
        figures[f"AP-{category}"] = 100 * values.mean() if values.size else np.nan
    return figures


def invented(truth: COCO, seed: int, *, per_object: int = 2, noise: int = 30, ties: bool = True) -> Results:
    """Detections of all kinds: objects moved and stretched, some renamed, some doubled, and boxes out of nowhere."""
    rng = np.random.default_rng(seed)
    categories = list(truth.cats)
    images = list(truth.imgs.values())
    results: Results = []

    def add(image: dict[str, Any], category: int, x: float, y: float, w: float, h: float) -> None:
        score = float(rng.random())
        polygon = [[x, y, x + w, y, x + w, y + h, x + 0.3 * w, y + h]]
        rle = mask_api.frPyObjects(polygon, image["height"], image["width"])[0]
        segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
        results.append(
            {"image_id": image["id"], "category_id": category, "bbox": [x, y, w, h], "segmentation": segmentation}
            | {"score": round(score, 1) if ties else score}
        )

    for annotation in truth.anns.values():
        for _ in range(rng.integers(per_object + 1)):
            x, y, w, h = annotation["bbox"]
            spread = rng.choice([0, 0.05, 0.3])
            x, y = x + w * rng.normal(0, spread), y + h * rng.normal(0, spread)
            w, h = w * np.exp(rng.normal(0, spread)), h * np.exp(rng.normal(0, spread))
            category = annotation["category_id"] if rng.random() < 0.9 else int(rng.choice(categories))
            add(truth.imgs[annotation["image_id"]], category, float(x), float(y), float(w), float(h))
    for _ in range(noise):
        image = images[rng.integers(len(images))]
        add(image, int(rng.choice(categories)), *(float(v) for v in rng.uniform(1, 200, 4)))
    return results


def read(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def figures_of(path: Path, results: Results, image_ids: list[int], task: str) -> dict[str, float]:
    """The project's figures of results on some images, in percent; classes by category id."""
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation.setdefault("iscrowd", 0)
    truth = truth_from_coco(content).of_images(image_ids)
    ignored = {"bbox": "segmentation", "segm": "bbox"}[task]
    found = found_among([{k: v for k, v in r.items() if k != ignored} for r in results], truth)
    metrics = metrics_of(Run("a run", truth, found, {}))
    per_class = zip(truth.category_ids.tolist(), metrics.details["per_class"][task].values(), strict=True)
    return {**metrics.values[task], **{f"AP-{id_}": value for id_, value in per_class}}


def assert_equal_figures(path: Path, results: Results, task: str, image_ids: list[int]) -> None:
    found = figures_of(path, results, image_ids, task)
    assert found == pytest.approx(official(path, results, task, image_ids), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, (_, tasks) in SETS.items() for task in tasks])
def test_invented_detections_have_pycocotools_figures(shared: Path, name: str, task: str) -> None:
    path = shared / "data" / SETS[name][0]
    truth = read(path)

    @given(seed=st.integers(0, 2**32), per_object=st.integers(0, 3), noise=st.integers(1, 200), ties=st.booleans())
    @settings(max_examples=5, deadline=None)
    def check(seed: int, per_object: int, noise: int, ties: bool) -> None:
        results = invented(truth, seed, per_object=per_object, noise=noise, ties=ties)
        assert_equal_figures(path, results, task, sorted(truth.imgs))

    check()


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_good_detections_have_pycocotools_figures(shared: Path, task: str) -> None:
    """So that the equality is not one of zeros."""
    path = shared / "data" / SETS["coco-tiny"][0]
    truth = read(path)
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.5}
        | {"segmentation": {**(rle := truth.annToRLE(a)), "counts": _text(rle["counts"])}}
        for a in truth.anns.values()
        if a["id"] % 4
    ]
    assert figures_of(path, results, list(truth.imgs), task)["AP"] > 50
    assert_equal_figures(path, results, task, sorted(truth.imgs))


def _text(counts: bytes | str) -> str:
    return counts.decode() if isinstance(counts, bytes) else counts


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_a_part_of_the_images_counts_alone(shared: Path, task: str) -> None:
    path = shared / "data" / SETS["coco-tiny"][0]
    truth = read(path)
    chosen = sorted(truth.imgs)[::3]
    results = [r for r in invented(truth, seed=1) if r["image_id"] in chosen]
    assert_equal_figures(path, results, task, chosen)


def one_class(source: Path, images: str, out: Path) -> tuple[str, Path]:
    """Registers the data set with every object a "thing", so that even random weights hit some."""
    content = json.loads(source.read_text())
    content["categories"] = [{"id": 1, "name": "thing"}]
    content["annotations"] = [{**annotation, "category_id": 1} for annotation in content["annotations"]]
    path = out / "annotations/instances_val.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    (out / "val").symlink_to(source.parents[1] / images)
    return register_coco(f"{out}:val"), path


@pytest.mark.parametrize(("name", "images"), [("coco-tiny", "val2017"), ("bccd", "images")])
def test_a_models_own_detections_have_pycocotools_figures(
    shared: Path, tiny: Callable[..., Detector], name: str, images: str, tmp_path: Path
) -> None:
    file, tasks = SETS[name]
    dataset, path = one_class(shared / "data" / file, images, tmp_path)
    many = ("MODEL.RPN.PRE_NMS_TOPK_TEST", "300", "MODEL.RPN.POST_NMS_TOPK_TEST", "150")
    detector = tiny(
        "mask_rcnn_V_39_FPN_3x", "MODEL.ROI_HEADS.NUM_CLASSES", "1", "EXPLORER.CLASS_NAMES", "['thing']", *many
    )
    run = run_over(detector, dataset, limit=12)
    write_detections(run, tmp_path / "out")
    found = run.metrics.values
    results = json.loads((tmp_path / "out" / RESULTS_FILE).read_text())
    assert set(found) == set(tasks)
    image_ids = [record["image_id"] for record in DatasetCatalog.get(dataset)[:12]]
    for task in tasks:
        expected = official(path, results, task, image_ids)
        assert found[task] == pytest.approx({k: expected[k] for k in COCO_FIGURES}, abs=1e-9, nan_ok=True)
    assert found["bbox"]["AR100"] > 0


def test_no_detections_at_all_score_zero(shared: Path) -> None:
    path = shared / "data" / SETS["coco-tiny"][0]
    found = figures_of(path, [], list(read(path).imgs), "bbox")
    assert {found[name] for name in COCO_FIGURES} == {0.0}
