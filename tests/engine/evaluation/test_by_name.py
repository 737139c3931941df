"""One detector on one data set whose classes have other ids, another order, fewer or other names: by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.data.aerial import make_aerial
from explorer.engine.detector import Detector
from explorer.engine.evaluation.classes import scored_classes
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.loading import load_detector

Content = dict[str, Any]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("demo/V-19-slim-dw", device="cpu", engine="torch")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aerial")
    make_aerial(folder, images=4, seed=3, size=(256, 320), workers=1)
    return folder


@pytest.fixture
def changed(scenes: Path, tmp_path: Path) -> Callable[[Callable[[Content], None]], str]:
    """The scenes with changed annotations."""

    def make(change: Callable[[Content], None]) -> str:
        content = json.loads((scenes / "annotations/instances_val.json").read_text())
        change(content)
        (tmp_path / "annotations").mkdir()
        (tmp_path / "annotations/instances_val.json").write_text(json.dumps(content))
        (tmp_path / "val").symlink_to(scenes / "val")
        return f"{tmp_path}:val"

    return make


def by_pycocotools(file: Path, results: Path, category_ids: list[Any] | None = None) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluation.params.catIds = category_ids or evaluation.params.catIds
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(100 * evaluation.stats[0])


@pytest.fixture(scope="module")
def as_made(detector: Detector, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    out = tmp_path_factory.mktemp("run")
    metrics = evaluate(detector, scenes, out=out).metrics
    expected = by_pycocotools(scenes / "annotations/instances_val.json", out / "coco_instances_results.json")
    assert metrics.values["bbox"]["AP"] == pytest.approx(expected, abs=1e-9)
    return dict(metrics.details["per_class"]["bbox"]) | {"AP": expected}


def renumber(content: Content) -> None:
    """Other ids, so that the order of ids is another one too."""
    ids = [category["id"] for category in content["categories"]]
    new = dict(zip(ids, random.Random(0).sample(range(100, 200), len(ids)), strict=True))
    for category in content["categories"]:
        category["id"] = new[category["id"]]
    for annotation in content["annotations"]:
        annotation["category_id"] = new[annotation["category_id"]]
    random.Random(1).shuffle(content["categories"])


def test_other_ids_and_another_order_change_nothing(detector, changed, as_made: dict[str, float]) -> None:
    metrics = evaluate(detector, changed(renumber)).metrics
    assert metrics.values["bbox"]["AP"] == pytest.approx(as_made["AP"], abs=1e-9)
    assert metrics.details["per_class"]["bbox"] == pytest.approx(
        {name: ap for name, ap in as_made.items() if name != "AP"}, nan_ok=True
    )


def test_other_names_are_refused(detector: Detector, changed) -> None:
    def rename(content: Content) -> None:
        for category, name in zip(content["categories"], ("cat", "dog", "cow", "horse", "sheep", "bear"), strict=True):
            category["name"] = name

    with pytest.raises(ValueError, match="share no class by name"):
        evaluate(detector, changed(rename))


def test_data_with_two_of_the_models_classes_is_measured_on_those(detector, changed, as_made: dict[str, float]) -> None:
    def keep_two(content: Content) -> None:
        kept = {category["id"] for category in content["categories"] if category["name"] in {"car", "plane"}}
        content["categories"] = [c for c in content["categories"] if c["id"] in kept] + [{"id": 99, "name": "tram"}]
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] in kept]

    metrics = evaluate(detector, changed(keep_two)).metrics
    assert metrics.details["per_class"]["bbox"] == pytest.approx(
        {name: as_made[name] for name in ("car", "plane")}, nan_ok=True
    )
    (note, *_) = metrics.details["notes"]
    assert "4 of the model's classes" in note
    assert "1 of the data set's classes (tram)" in note


def test_a_choice_of_classes_is_pycocotools_choice(detector, scenes: Path, tmp_path: Path) -> None:
    run = evaluate(detector, scenes, out=tmp_path, classes=["ship", "car"])
    file = scenes / "annotations/instances_val.json"
    chosen = [c["id"] for c in json.loads(file.read_text())["categories"] if c["name"] in {"ship", "car"}]
    expected = by_pycocotools(file, tmp_path / "coco_instances_results.json", chosen)
    assert run.metrics.values["bbox"]["AP"] == pytest.approx(expected, abs=1e-9)


def test_an_old_name_is_the_new_one(detector: Detector, changed, as_made: dict[str, float]) -> None:
    def rename(content: Content) -> None:
        for category in content["categories"]:
            category["name"] = {"car": "automobile"}.get(category["name"], category["name"])

    metrics = evaluate(detector, changed(rename), renamed={"automobile": "car"}).metrics
    assert metrics.values["bbox"]["AP"] == pytest.approx(as_made["AP"], abs=1e-9)


def test_stuff_goes_by_name_too_and_what_has_no_name_is_not_scored() -> None:
    data = SimpleNamespace(thing_classes=["car"], get={"stuff_classes": ["things", "grass", "water"]}.get)
    named = SimpleNamespace(class_names=("car",), stuff_class_names=("things", "water", "snow"))
    scored = scored_classes(named, data)
    assert scored.stuff is not None
    assert (scored.stuff.names, scored.stuff.rows) == (("things", "water"), (0, 1, -1))
    nameless = SimpleNamespace(class_names=("car",), stuff_class_names=("stuff 0", "stuff 1"))
    assert scored_classes(nameless, data).stuff is None
    assert (
        "Segments are not scored. The model and the data set share no class" in scored_classes(nameless, data).notes[0]
    )
