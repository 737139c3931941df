"""Average precision equals pycocotools', on real annotations with crowds, ties and every kind of detection."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances
from faster_coco_eval import COCO
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import coco
from pycocotools import mask as mask_api
from pycocotools.cocoeval import COCOeval

from explorer.data.coco import register_coco
from explorer.engine.detector import Detector
from explorer.engine.evaluation.coco import METRICS, CocoEvaluator, coco_metrics
from explorer.engine.evaluation.evaluate import evaluation_loader
from explorer.scoring.convert import coco_results
from explorer.scoring.results_file import RESULTS_FILE

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
    figures = {name: 100 * stat if stat > -1 else np.nan for name, stat in zip(METRICS, evaluation.stats, strict=True)}
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


def assert_equal_figures(path: Path, truth: COCO, results: Results, task: str, image_ids: list[int]) -> None:
    found = coco_metrics(truth, results, task, image_ids, class_names={i: str(i) for i in truth.cats})
    assert found == pytest.approx(official(path, results, task, image_ids), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, (_, tasks) in SETS.items() for task in tasks])
def test_invented_detections_have_pycocotools_figures(shared: Path, name: str, task: str) -> None:
    path = shared / "data" / SETS[name][0]
    truth = COCO(str(path))

    @given(seed=st.integers(0, 2**32), per_object=st.integers(0, 3), noise=st.integers(1, 200), ties=st.booleans())
    @settings(max_examples=5, deadline=None)
    def check(seed: int, per_object: int, noise: int, ties: bool) -> None:
        results = invented(truth, seed, per_object=per_object, noise=noise, ties=ties)
        assert_equal_figures(path, truth, results, task, sorted(truth.imgs))

    check()


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_good_detections_have_pycocotools_figures(shared: Path, task: str) -> None:
    """So that the equality is not one of zeros."""
    path = shared / "data" / SETS["coco-tiny"][0]
    truth = COCO(str(path))
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.5}
        | {"segmentation": {**(rle := truth.annToRLE(a)), "counts": _text(rle["counts"])}}
        for a in truth.anns.values()
        if a["id"] % 4
    ]
    assert coco_metrics(truth, results, task, list(truth.imgs))["AP"] > 50
    assert_equal_figures(path, truth, results, task, sorted(truth.imgs))


def _text(counts: bytes | str) -> str:
    return counts.decode() if isinstance(counts, bytes) else counts


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_a_part_of_the_images_counts_alone(shared: Path, task: str) -> None:
    path = shared / "data" / SETS["coco-tiny"][0]
    truth = COCO(str(path))
    chosen = sorted(truth.imgs)[::3]
    results = [r for r in invented(truth, seed=1) if r["image_id"] in chosen]
    assert_equal_figures(path, truth, results, task, chosen)


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
    detector = tiny("mask_rcnn_V_39_FPN_3x", "MODEL.ROI_HEADS.NUM_CLASSES", "1", *many)
    evaluator = CocoEvaluator(dataset, tmp_path / "out")
    with torch.no_grad():
        for inputs in evaluation_loader(detector.cfg, dataset, limit=12):
            evaluator.process(inputs, detector.model(inputs))
    found = evaluator.evaluate()
    results = json.loads((tmp_path / "out" / RESULTS_FILE).read_text())
    assert set(found) == set(tasks)
    image_ids = [record["image_id"] for record in DatasetCatalog.get(dataset)[:12]]
    for task in tasks:
        expected = official(path, results, task, image_ids)
        assert {k: found[task][k] for k in METRICS} == pytest.approx(
            {k: expected[k] for k in METRICS}, abs=1e-9, nan_ok=True
        )
    assert found["bbox"]["AR100"] > 0


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_no_detections_at_all_score_zero(shared: Path, task: str) -> None:
    truth = COCO(str(shared / "data" / SETS["coco-tiny"][0]))
    assert set(coco_metrics(truth, [], task, list(truth.imgs)).values()) == {0.0}


def test_results_are_not_changed(shared: Path) -> None:
    truth = COCO(str(shared / "data" / SETS["coco-tiny"][0]))
    results = invented(truth, seed=3)
    before = copy.deepcopy(results)
    coco_metrics(truth, results, "segm", list(truth.imgs))
    assert results == before


def small_set(folder: Path, annotations: list[dict[str, Any]]) -> str:
    """A registered data set of two black images with the categories cat (3) and dog (8)."""
    from PIL import Image

    (folder / "annotations").mkdir(parents=True)
    (folder / "val").mkdir()
    images = [{"id": i, "file_name": f"{i}.png", "height": 100, "width": 100} for i in (1, 2)]
    for image in images:
        Image.new("RGB", (100, 100)).save(folder / "val" / image["file_name"])
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    (folder / "annotations/instances_val.json").write_text(json.dumps(content))
    return register_coco(f"{folder}:val")


def box(image_id: int, category_id: int, x: int) -> dict[str, Any]:
    return {"id": image_id, "image_id": image_id, "category_id": category_id, "bbox": [x, 10, 20, 20]} | {
        "area": 400,
        "iscrowd": 0,
    }


def found_in(boxes: list[list[float]], classes: list[int], scores: list[float]) -> dict[str, Instances]:
    instances = Instances((100, 100))
    instances.pred_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.pred_classes = torch.tensor(classes, dtype=torch.int64)
    instances.scores = torch.tensor(scores)
    return {"instances": instances}


def test_hand_made_figures(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(small_set(tmp_path, [box(1, 3, 10), box(2, 8, 50)]), tmp_path / "out")
    evaluator.process([{"image_id": 1}], [found_in([[10, 10, 30, 30]], [0], [0.9])])
    evaluator.process([{"image_id": 2}], [found_in([], [], [])])
    found = evaluator.evaluate()
    assert set(found) == {"bbox"}
    assert found["bbox"]["AP-cat"] == pytest.approx(100)
    assert found["bbox"]["AP-dog"] == 0
    assert found["bbox"]["AP"] == pytest.approx(50)
    assert found["bbox"]["APs"] == pytest.approx(50)
    assert np.isnan(found["bbox"]["APl"])
    written = json.loads((tmp_path / "out" / RESULTS_FILE).read_text())
    assert written == [{"image_id": 1, "category_id": 3, "bbox": [10, 10, 20, 20], "score": pytest.approx(0.9)}]


def test_a_reset_forgets(tmp_path: Path) -> None:
    evaluator = CocoEvaluator(small_set(tmp_path, [box(1, 3, 10)]))
    evaluator.process([{"image_id": 1}], [found_in([[10, 10, 30, 30]], [0], [0.9])])
    evaluator.reset()
    evaluator.process([{"image_id": 1}], [found_in([], [], [])])
    assert evaluator.evaluate()["bbox"]["AP"] == 0


def test_classes_that_the_data_set_lacks_are_an_error() -> None:
    with pytest.raises(ValueError, match="class 5, but the data set has 2"):
        coco_results(found_in([[0, 0, 1, 1]], [5], [0.9])["instances"], 1, {0: 3, 1: 8})


def test_a_data_set_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no annotations"):
        CocoEvaluator(small_set(tmp_path, []))
    with pytest.raises(ValueError, match="no COCO annotation file"):
        CocoEvaluator("never registered")
