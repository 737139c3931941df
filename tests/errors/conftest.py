"""Invented annotations and detections, and pycocotools to hold figures against."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.errors.columns import Truth, in_order
from explorer.errors.results_file import found_among
from explorer.errors.runs import Run, truth_from_coco
from explorer.errors.sizes import SizeBin
from explorer.errors.taxonomy import Taxonomy, classify_errors

Content = dict[str, Any]
Results = list[dict[str, Any]]

HEIGHT, WIDTH = 240, 320


@pytest.fixture(scope="session")
def invent() -> Callable[..., tuple[Content, Results]]:
    return _invent


def _invent(
    seed: int,
    *,
    images: int = 12,
    classes: int = 3,
    objects: int = 5,
    detections: int = 8,
    ties: bool = False,
    crowds: float = 0.1,
) -> tuple[Content, Results]:
    """Annotations in COCO's format, and detections of all kinds: moved, renamed, doubled, and out of nowhere.

    Sizes are spread over all of COCO's; ids have gaps and annotations are in no order.
    """
    rng = np.random.default_rng(seed)
    content: Content = {
        "images": [{"id": 3 * i + 7, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT} for i in range(images)],
        "categories": [{"id": 2 * c + 1, "name": f"class {c}"} for c in range(classes)],
        "annotations": [],
    }
    results: Results = []
    for image in content["images"]:
        boxes = [_box(rng) for _ in range(rng.integers(objects + 1))]
        owned = rng.integers(0, classes, len(boxes)) * 2 + 1
        for box, category in zip(boxes, owned, strict=True):
            crowd = bool(rng.random() < crowds)
            content["annotations"].append(_annotation(rng, image["id"], int(category), box, crowd))
        for _ in range(rng.integers(detections + 1)):
            base = boxes[rng.integers(len(boxes))] if boxes and rng.random() < 0.8 else _box(rng)
            spread = rng.choice([0, 0.03, 0.1, 0.3])
            x, y, w, h = (float(v) for v in base * (1 + spread * rng.normal(size=4)))
            category = int(rng.integers(0, classes) * 2 + 1)
            if boxes and rng.random() < 0.7:
                category = int(owned[np.argmin([np.abs(base - b).sum() for b in boxes])])
            score = round(float(rng.random()), 1 if ties else 9)
            rle = _rle(x, y, abs(w), abs(h))
            results.append(
                {"image_id": image["id"], "category_id": category, "bbox": [x, y, abs(w), abs(h)], "score": score}
                | {"segmentation": {"size": rle["size"], "counts": rle["counts"].decode()}}
            )
    order = rng.permutation(len(content["annotations"]))
    content["annotations"] = [{**content["annotations"][i], "id": n + 1} for n, i in enumerate(order)]
    return content, [results[i] for i in rng.permutation(len(results))]


def _box(rng: np.random.Generator) -> np.ndarray:
    w, h = np.exp(rng.uniform(np.log(4), np.log(220), 2))
    return np.array([rng.uniform(-5, WIDTH - 5), rng.uniform(-5, HEIGHT - 5), w, h])


def _annotation(rng: np.random.Generator, image_id: int, category: int, box: np.ndarray, crowd: bool) -> Content:
    rle = _rle(*box.tolist())
    area = float(mask_api.area(rle)) or 1.0
    if rng.random() < 0.1:
        area = float(rng.choice([32.0**2, 96.0**2]))  # on the edge of two bins
    segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
    return {
        "image_id": image_id,
        "category_id": category,
        "bbox": box.tolist(),
        "area": area,
        "iscrowd": int(crowd),
        "segmentation": segmentation,
    }


def _rle(x: float, y: float, w: float, h: float) -> dict[str, Any]:
    rle: dict[str, Any] = mask_api.frPyObjects([[x, y, x + w, y, x + w, y + h, x + 0.2 * w, y + h]], HEIGHT, WIDTH)[0]
    return rle


@pytest.fixture(scope="session")
def as_run() -> Callable[..., Run]:
    def make(content: Content, results: Results, name: str = "a run") -> Run:
        truth = truth_from_coco(content)
        return Run(name, truth, found_among(results, truth), {})

    return make


@pytest.fixture(scope="session")
def official() -> Callable[..., COCOeval]:
    return _official


def _official(
    content: Content,
    results: Results,
    task: str,
    *,
    bins: Sequence[SizeBin] = (),
    max_detections: Sequence[int] = (1, 10, 100),
) -> COCOeval:
    """pycocotools' evaluation; without `bins` in COCO's own."""
    ignored = {"bbox": "segmentation", "segm": "bbox"}[task]  # a mask would take its area from a box beside it
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(content)
        truth.createIndex()
        found = COCO()
        if results:
            found = truth.loadRes([{k: v for k, v in r.items() if k != ignored} for r in copy.deepcopy(results)])
        else:
            found.dataset = {"images": truth.dataset["images"], "categories": truth.dataset["categories"]}
            found.createIndex()
        evaluation = COCOeval(truth, found, task)
        evaluation.params.maxDets = list(max_detections)
        if bins:
            evaluation.params.areaRng = [[size.min_area_px, size.max_area_px] for size in bins]
            evaluation.params.areaRngLbl = [size.name for size in bins]
        evaluation.evaluate()
        evaluation.accumulate()
        if not bins and len(max_detections) == 3:
            evaluation.summarize()
    return evaluation


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


@pytest.fixture(scope="session")
def big_run() -> Callable[..., Run]:
    return _big_run


def _big_run(*, images: int, objects: int, detections_per_image: int, classes: int, seed: int = 0) -> Run:
    """Four in ten detections are on an object of their class; sizes are spread as widely as COCO's."""
    rng = np.random.default_rng(seed)
    where = np.sort(rng.integers(0, images, objects))
    boxes = _boxes_anywhere(rng, objects)
    truth = Truth(
        image_ids=np.arange(images) + 1,
        file_names=tuple(f"{i}.jpg" for i in range(images)),
        image_sizes=np.full((images, 2), 640),
        category_ids=np.arange(classes) + 1,
        class_names=tuple(f"class {i}" for i in range(classes)),
        ids=np.arange(objects) + 1,
        images=where,
        classes=rng.integers(0, classes, objects),
        boxes_xywh=boxes,
        areas_px=boxes[:, 2] * boxes[:, 3] * 0.7,
        crowds=rng.random(objects) < 0.01,
    )
    detections = images * detections_per_image
    on_image = np.repeat(np.arange(images), detections_per_image)
    first, number = np.searchsorted(where, on_image), np.bincount(where, minlength=images)[on_image]
    on_object = (rng.random(detections) < 0.4) & (number > 0)
    source = np.minimum(first + rng.integers(0, 2**31, detections) % np.maximum(number, 1), objects - 1)
    near = boxes[source] * np.exp(rng.normal(0, 0.08, (detections, 4)))
    found = in_order(
        on_image,
        np.where(on_object, truth.classes[source], rng.integers(0, classes, detections)),
        np.where(on_object[:, None], near, _boxes_anywhere(rng, detections)),
        np.round(rng.random(detections) ** 2, 6),
    )
    return Run(f"run {seed}", truth, found, {})


def _boxes_anywhere(rng: np.random.Generator, number: int) -> np.ndarray:
    return np.concatenate([rng.uniform(0, 500, (number, 2)), np.exp(rng.uniform(1.5, 5.5, (number, 2)))], axis=1)
