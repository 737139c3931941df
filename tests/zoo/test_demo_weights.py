"""The weights that come with the package: small, half precision, complete, and as good as their cards say.

Every card's figures are measured again in `slow`. The ordinary suite holds the first images of each to what they gave
when the card was written: 30 of the two first models, 8 of the others, whose 30 are `slow`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import box_convert, box_iou

from explorer.config import CONFIGS
from explorer.data.aerial import make_aerial, render_scene
from explorer.data.coco import register_coco
from explorer.engine.evaluation.evaluate import evaluate
from explorer.engine.loading import load_detector
from explorer.scoring.runs import read_truth
from explorer.ui.examples import AERIAL
from explorer.zoo.downloads import sha256_of
from explorer.zoo.registry import WEIGHTS, ZooEntry, entries

DEMOS = [entry for entry in entries() if entry.status == "bundled"]
ON_SCENES = [entry for entry in DEMOS if entry.card and entry.card.measured.scenes]
OF_CELLS = [entry for entry in DEMOS if entry.name.endswith("-bccd")]
OF_VEHICLES = [entry for entry in DEMOS if entry.name.endswith("-aerial-real")]
POINTS = 0.2
"""By how much AP may differ from a card's, in points."""
FIRST: dict[str, dict[str, dict[str, float]]] = json.loads(Path(__file__).with_name("first_images.json").read_text())
"""AP of boxes and masks and PQ on the first images of what each card was measured on (scenes of seed 1), by number."""
ON_ALL_30 = {"demo/V-19-slim-dw", "demo/MobileNetV2"}
"""The models whose 30 images, and whose scenes of the page, are in the ordinary suite."""


def on_first_images(models: list[ZooEntry]) -> list[Any]:
    """Models and numbers of images as a test's parameters."""
    return [
        pytest.param(
            *(entry, images),
            id=f"{entry.name}-{images}",
            marks=[pytest.mark.slow] if images == 30 and entry.name not in ON_ALL_30 else [],
        )
        for entry in models
        for images in ((30,) if entry.name in ON_ALL_30 else (8, 30))
    ]


def test_the_demos_are_listed_first() -> None:
    assert [entry.name for entry in DEMOS[:2]] == ["demo/V-19-slim-dw", "demo/MobileNetV2"]
    assert list(entries()[: len(DEMOS)]) == DEMOS
    assert len(DEMOS) == 13


@pytest.mark.parametrize("entry", DEMOS, ids=lambda entry: entry.name)
def test_they_are_small_and_what_their_cards_are_of(entry: ZooEntry) -> None:
    from safetensors import safe_open

    assert entry.bundled
    assert entry.card
    assert entry.config
    assert entry.bundled.stat().st_size < 8e6
    assert sha256_of(entry.bundled) == entry.sha256
    assert (CONFIGS / entry.config).is_file()
    with safe_open(str(entry.bundled), "pt") as file:
        assert "iterations" in file.metadata()["training"]
        kinds = {file.get_slice(name).get_dtype() for name in file.offset_keys() if "conv" in name and "weight" in name}
    assert kinds & {"F16", "I8"}
    for value, low, high in entry.card.measured.box.values():
        assert low is not None
        assert high is not None
        assert low < value < high
    measured = entry.card.measured
    assert (measured.made["by_class"]["car"]["AP50"] if "by_class" in measured.made else measured.box["AP50"][0]) > 50


def test_all_together_stay_small() -> None:
    sizes = [path.stat().st_size for path in WEIGHTS.glob("*/*.safetensors")]
    assert max(sizes) < 8e6
    assert sum(sizes) < 60e6
    assert sum(entry.size_mb for entry in DEMOS) == pytest.approx(sum(sizes) / 1e6)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Draws the scenes that a card was measured on, once."""

    @cache
    def drawn(images: int, seed: int) -> str:
        folder = tmp_path_factory.mktemp("scenes") / "aerial"
        make_aerial(folder, images=images, seed=seed)
        return register_coco(str(folder))

    return drawn


@pytest.mark.parametrize(("entry", "images"), on_first_images(ON_SCENES))
def test_they_are_as_good_as_they_were(entry: ZooEntry, images: int, scenes: Callable[..., str]) -> None:
    assert_as_recorded(entry, scenes(images=30, seed=1), images)


@pytest.mark.parametrize(("entry", "images"), on_first_images(OF_CELLS))
def test_the_blood_cell_detectors_are_as_good_as_they_were(entry: ZooEntry, images: int, shared: Path) -> None:
    assert_as_recorded(entry, f"{shared}/data/bccd:test", images)


def assert_as_recorded(entry: ZooEntry, data: str, images: int) -> None:
    values = evaluate(load_detector(entry.name), data, limit=images).metrics.values
    kinds = {"bbox": "AP", "segm": "AP", "panoptic_seg": "PQ"}
    found = {kind: values[kind][figure] for kind, figure in kinds.items() if kind in values}
    assert found == pytest.approx(FIRST[str(images)][entry.name], abs=POINTS)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ON_SCENES, ids=lambda entry: entry.name)
def test_they_have_their_cards_ap_on_scenes(entry: ZooEntry, scenes: Callable[..., str]) -> None:
    assert entry.card
    detector = load_detector(entry.name)
    metrics = evaluate(detector, scenes(**entry.card.measured.scenes)).metrics
    assert metrics.images == entry.card.measured.images
    measured, values = entry.card.measured, metrics.values
    assert values["bbox"]["AP"] == pytest.approx(measured.box["AP"][0], abs=POINTS)
    assert values["bbox"]["AP50"] > (60 if entry.name == "demo/V-19-slim-dw" else 50)
    assert ("segm" in values) == bool(measured.mask)
    if measured.mask:
        assert values["segm"]["AP"] == pytest.approx(measured.mask["AP"][0], abs=POINTS)
        assert values["segm"]["AP50"] > 50
    if measured.panoptic:
        assert values["panoptic_seg"]["PQ"] == pytest.approx(measured.panoptic["PQ"], abs=POINTS)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(entry, id=entry.name, marks=[] if entry.name in ON_ALL_30 else pytest.mark.slow)
        for entry in ON_SCENES
    ],
)
def test_they_find_most_of_what_is_in_the_page_s_scenes(entry: ZooEntry) -> None:
    detector = load_detector(entry.name, engine="torch")
    found = objects = wrong = shown = 0
    for layout, seed in AERIAL.items():
        scene = render_scene(seed, layout=layout)
        truth = np.array([one["bbox"] for one in scene.annotations if not one["iscrowd"]], dtype=np.float32)
        truth[:, 2:] += truth[:, :2]
        detections = detector.detect(scene.image).detections
        sure = detections.keep(detections.scores > 0.5)
        overlaps = box_iou(torch.from_numpy(truth), torch.from_numpy(sure.boxes_xyxy))
        found += int((overlaps.amax(1) > 0.5).sum())
        wrong += int((overlaps.amax(0) < 0.3).sum())
        objects, shown = objects + len(truth), shown + len(sure)
    assert found > 0.5 * objects
    assert wrong < 0.25 * shown


@pytest.mark.slow
@pytest.mark.parametrize("entry", OF_CELLS, ids=lambda entry: entry.name)
def test_the_blood_cell_detectors_have_their_cards_ap(entry: ZooEntry, shared: Path) -> None:
    assert entry.card
    detector = load_detector(entry.name)
    metrics = evaluate(detector, f"{shared}/data/bccd:test").metrics
    assert metrics.images == entry.card.measured.images
    assert metrics.values["bbox"]["AP"] == pytest.approx(entry.card.measured.box["AP"][0], abs=POINTS)
    assert metrics.values["bbox"]["AP"] > (59 if entry.name == "demo/V-19-slim-dw-bccd" else 54)
    assert metrics.values["bbox"]["AP50"] > 88


@pytest.mark.parametrize("entry", OF_VEHICLES, ids=lambda entry: entry.name)
def test_the_detectors_of_real_vehicles_find_most_cars_of_a_photograph(entry: ZooEntry, shared: Path) -> None:
    truth = read_truth(f"{shared}/data/aerial-real:test").of_classes(["car"])
    truth = truth.of_images(truth.image_ids[-1:].tolist())
    detections = load_detector(entry.name, engine="torch").detect(truth.file_names[0]).detections
    cars = detections[(detections.classes == detections.class_names.index("car")) & (detections.scores > 0.5)]
    boxes = torch.from_numpy(truth.boxes_xywh).float()
    overlaps = box_iou(box_convert(boxes, "xywh", "xyxy"), torch.from_numpy(cars.boxes_xyxy))
    assert len(boxes) > 40
    assert (overlaps.amax(1) > 0.5).float().mean() > 0.7
    assert (overlaps.amax(0) > 0.5).float().mean() > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("entry", OF_VEHICLES, ids=lambda entry: entry.name)
def test_the_detectors_of_real_vehicles_have_their_cards_ap(entry: ZooEntry, shared: Path) -> None:
    assert entry.card
    metrics = evaluate(load_detector(entry.name), f"{shared}/data/aerial-real:test").metrics
    measured = entry.card.measured
    assert metrics.images == measured.images
    assert metrics.values["bbox"]["AP"] == pytest.approx(measured.box["AP"][0], abs=POINTS)
    assert metrics.values["bbox"]["APs"] == pytest.approx(measured.box["APs"][0], abs=POINTS)
    cars = metrics.details["per_class"]["bbox"]["car"]
    assert cars == pytest.approx(measured.made["by_class"]["car"]["AP"], abs=POINTS)
    assert cars > (44 if entry.name == "demo/V-19-slim-dw-aerial-real" else 39)
