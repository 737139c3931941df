"""Classes are matched by name on whichever side they have another place, another id or another name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from explorer.scoring.classes import shared_classes
from explorer.scoring.convert import run_from_detections
from explorer.scoring.metrics import metrics_of
from explorer.scoring.runs import truth_from_coco
from explorer.types import Detections

CARS = ("car", "bus", "truck")


def test_the_same_names_in_another_order_are_the_same_classes() -> None:
    shared = shared_classes(CARS, ("truck", "car", "bus"))
    assert shared.names == ("truck", "car", "bus")
    assert shared.rows == (1, 2, 0)
    assert not shared.note


def test_what_one_side_lacks_is_said_and_not_scored() -> None:
    shared = shared_classes(CARS, ("bus", "tram"))
    assert shared.names == ("bus",)
    assert shared.rows == (-1, 0, -1)
    assert shared.note == (
        "1 class is scored (bus); not scored: 2 of the model's classes (car, truck) and "
        "1 of the data set's classes (tram)."
    )


def test_other_names_are_refused_and_the_nearest_is_offered() -> None:
    with pytest.raises(ValueError, match=r"share no class by name\..*--map \"model's class=data's class\""):
        shared_classes(CARS, ("cat", "dog", "zebra"))
    with pytest.raises(ValueError, match=r'--map "car=Car"'):
        shared_classes(CARS, ("Car", "Bus"))
    with pytest.raises(ValueError, match=r"The model has class 0, class 1; the data set has cat, dog.*CLASS_NAMES"):
        shared_classes(("class 0", "class 1"), ("cat", "dog"))


def test_a_new_name_holds_on_whichever_side_has_the_old_one() -> None:
    of_model = shared_classes(("car", "minibus"), ("car", "bus"), renamed={"minibus": "car"})
    assert (of_model.names, of_model.rows, of_model.data_only) == (("car",), (0, 0), ("bus",))
    of_data = shared_classes(("car",), ("minibus", "car"), renamed={"minibus": "car"})
    assert (of_data.names, of_data.rows, of_data.row_of("minibus")) == (("car",), (0,), 0)
    both = shared_classes(("a",), ("b",), renamed={"a": "vehicle", "b": "vehicle"})
    assert both.names == ("vehicle",)


def test_a_choice_of_classes_must_be_shared() -> None:
    assert shared_classes(CARS, CARS, ["bus"]).rows == (-1, 0, -1)
    assert not shared_classes(CARS, CARS, ["bus"]).note
    with pytest.raises(ValueError, match="Class 'tram' cannot be scored: the model has no such class"):
        shared_classes(CARS, ("tram", "bus"), ["tram"])
    with pytest.raises(ValueError, match="no class 'tram' to rename"):
        shared_classes(CARS, CARS, renamed={"tram": "bus"})


def test_a_run_of_renamed_and_fewer_classes_has_the_figures_of_a_file_with_those_names(
    invent: Callable[..., Any], as_run: Callable[..., Any]
) -> None:
    """The reference is the same data set written with the new categories."""
    content, results = invent(5, classes=3)
    merged_ids = {1: 1, 3: 1, 5: 5}  # class 1 counts as class 0
    merged = content | {
        "categories": [c for c in content["categories"] if c["id"] != 3],
        "annotations": [a | {"category_id": merged_ids[a["category_id"]]} for a in content["annotations"]],
    }
    expected = metrics_of(as_run(merged, [r | {"category_id": merged_ids[r["category_id"]]} for r in results]))
    renamed = {"class 1": "class 0"}
    shared = shared_classes(
        ("class 2", "class 1", "class 0", "unheard of"), [c["name"] for c in content["categories"]], renamed=renamed
    )
    truth = truth_from_coco(content)
    index_of = {5: 0, 3: 1, 1: 2}
    detections = []
    for image_id, size in zip(truth.image_ids.tolist(), truth.image_sizes.tolist(), strict=True):
        own = [r for r in results if r["image_id"] == image_id]
        boxes = np.array([r["bbox"] for r in own], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        classes = np.array([index_of[r["category_id"]] for r in own] + [3], dtype=np.int64)
        detections.append(
            Detections(
                np.concatenate([boxes, [[0, 0, 9, 9]]]).astype(np.float32),
                np.array([r["score"] for r in own] + [1.0], dtype=np.float32),
                classes,
                ("class 2", "class 1", "class 0", "unheard of"),
                tuple(size),
            )
        )
    run = run_from_detections(truth.of_classes(shared.names, shared.renamed), detections, "mine", classes=shared)
    assert run.truth.class_names == ("class 0", "class 2")
    assert run.truth.category_ids.tolist() == [1, 5]
    found = metrics_of(run).values["bbox"]
    assert found == pytest.approx(expected.values["bbox"], abs=2e-3, nan_ok=True)  # boxes are float32


def test_a_model_with_masks_that_finds_nothing_has_zero_for_masks_too() -> None:
    square = [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0]]
    truth = truth_from_coco(
        {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 20}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8], "area": 64, "iscrowd": 0}
                | {"segmentation": square}
            ],
        }
    )
    nothing = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("car",), (20, 20), masks=()
    )
    values = metrics_of(run_from_detections(truth, [nothing], "blind")).values
    assert (values["bbox"]["AP"], values["segm"]["AP"]) == (0, 0)
