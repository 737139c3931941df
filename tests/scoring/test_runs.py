"""Runs are read from any detector's results; what is wrong with them is said, and nothing is guessed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api

from explorer.data.aerial import make_aerial
from explorer.scoring.convert import run_from_detections
from explorer.scoring.matching import match
from explorer.scoring.metrics import score
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import Run, load_run, read_truth, truth_from_coco
from explorer.types import Detections

Content = dict[str, Any]
Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def content(invent: Callable[..., tuple[Content, Results]]) -> Content:
    return invent(1)[0]


@pytest.fixture
def result() -> dict[str, Any]:
    return {"image_id": 7, "category_id": 1, "bbox": [1.0, 2.0, 30.0, 40.0], "score": 0.5}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": 8}, "detection 0 (counted from 0) is on image 8, which is not among the 12 images"),
        ({"image_id": "7"}, "image '7', a string, but this id is a number in the data"),
        ({"image_id": "77"}, "image '77', which is not among the 12 images evaluated; or match by file name"),
        ({"image_id": 7.5}, "has image_id 7.5, which must be a whole number or a string"),
        ({"image_id": True}, "has image_id True, which must be a whole number or a string"),
        ({"image_id": [7]}, "has image_id [7], which must be a whole number or a string"),
        ({"image_id": 10**2000}, "which is not among the 12 images evaluated"),
        ({"category_id": 2}, "has category_id 2, which the data set does not have; its ids are 1, 3, 5"),
        ({"category_id": "1"}, "has category_id '1', which the data set does not have; its ids are 1, 3, 5"),
        ({"category_id": False}, "has category_id False, which must be a whole number or a string"),
        ({"category_id": 2, "category_name": ["car"]}, "has category_id 2, which the data set does not have"),
        ({"category_name": "ship"}, "none of its 1 detections is of a class that the data has: ship (1)"),
        ({"score": float("nan")}, "score nan, which must be a finite number"),
        ({"score": float("inf")}, "score inf, which must be a finite number"),
        ({"score": None}, "score None"),
        ({"score": True}, "score True"),
        ({"score": 10**2000}, "which must be a finite number"),
        ({"score": -(10**400)}, "which must be a finite number"),
        ({"bbox": [1, 2, 3]}, "four finite numbers"),
        ({"bbox": [1, 2, 3, float("nan")]}, "four finite numbers"),
        ({"bbox": [10, 10, -5, 5]}, "negative size; boxes are [x, y, width, height], not corners"),
        ({"bbox": "abcd"}, "four finite numbers"),
        ({"bbox": {"1": 1, "2": 2, "3": 3, "4": 4}}, "four finite numbers"),
        ({"bbox": [1, 2, 3, True]}, "four finite numbers"),
        ({"bbox": [1, 2, 3, 10**2000]}, "four finite numbers"),
        ({"bbox": [1, 2, 3, 2e9]}, "four finite numbers"),
        ({"bbox": None}, "four finite numbers"),
        ({"segmentation": [[0, 0, 1, 1]]}, "too few coordinates"),
        ({"segmentation": [[0, 0, 1, 1, 2, 10**2000]]}, "beyond a billion"),
        ({"segmentation": [0, 0, 1, 1, 2, 2]}, "is not a list of polygons"),
        ({"segmentation": "nonsense"}, "is not a list of polygons"),
        ({"segmentation": {"size": [240, 320], "counts": "\x00nonsense"}}, "image 7"),
    ],
)
def test_a_broken_detection_is_named(content: Content, result: dict[str, Any], change: Content, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^mine\.json: .*{re.escape(words)}"):
        found_among([result | change], truth_from_coco(content), "mine.json")


def test_masks_for_some_detections_only_serve_boxes(content: Content, result: dict[str, Any]) -> None:
    mask = {"size": [240, 320], "counts": [100, 50, 240 * 320 - 150]}
    truth = truth_from_coco(content)
    for nothing in ({}, {"segmentation": []}, {"segmentation": None}, {"segmentation": {}}):
        for results in ([result | nothing, result | {"segmentation": mask}], [result | {"segmentation": mask}, result]):
            found = found_among(results, truth)
            assert found.masks is not None
            assert [own is not None for own in found.masks] == [
                "size" in (r.get("segmentation") or {}) for r in results
            ]
            run = Run("mixed", truth, found, {})
            assert score(match(run)).value() >= 0
            with pytest.raises(ValueError, match=r"1 of 2 detections of mixed have no mask, the first is on image 7"):
                match(run, "segm")
        assert found_among([result | nothing], truth).masks is None


def test_polygons_are_pycocotools_masks(content: Content, result: dict[str, Any]) -> None:
    polygons = [[10, 10, 50, 12, 40, 60], [100, 100, 150, 100, 150.5, 170, 90, 160]]
    expected = mask_api.merge(mask_api.frPyObjects(polygons, 240, 320))
    short = [*polygons, [1, 2, 3, 4], []]
    found = found_among(
        [result | {"segmentation": polygons}, result | {"segmentation": short}], truth_from_coco(content)
    )
    assert found.masks is not None
    assert [dict(mask or {}) for mask in found.masks] == [expected] * 2


def test_ids_may_be_whole_floats(content: Content, result: dict[str, Any]) -> None:
    found = found_among([result | {"image_id": 7.0, "category_id": 1.0}, result], truth_from_coco(content))
    assert (found.images.tolist(), found.classes.tolist()) == ([0, 0], [0, 0])


def test_a_mask_alone_has_its_box(content: Content, result: dict[str, Any]) -> None:
    counts = [240 * 10 + 5, 20, 240 * 320 - 240 * 10 - 25]  # one column, x 10, y 5 to 25
    del result["bbox"]
    found = found_among([result | {"segmentation": {"size": [240, 320], "counts": counts}}], truth_from_coco(content))
    np.testing.assert_array_equal(found.boxes_xywh, [[10, 5, 1, 20]])


def test_boxes_outside_the_image_are_scored_as_coco_does(content: Content, result: dict[str, Any]) -> None:
    outside = result | {"bbox": [-500.0, -500.0, 20.0, 20.0]}
    run = Run("outside", truth_from_coco(content), found_among([outside], truth_from_coco(content)), {})
    assert score(match(run)).value() == 0


def test_boxes_of_a_resized_image_are_told(
    content: Content, result: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    boxes = [[300.0, 200.0, 15.0, 15.0], [640.0, 400.0, 30.0, 30.0]]
    found_among([result | {"bbox": box} for box in boxes[:1]], truth_from_coco(content))
    assert not caplog.text
    found_among([result | {"bbox": box} for box in boxes], truth_from_coco(content), "theirs")
    assert "theirs: 1 of 2 boxes reach far beyond their image" in caplog.text


def test_detections_are_sorted_and_equals_stay_in_order(content: Content, result: dict[str, Any]) -> None:
    rows = [(10, 0.5), (7, 0.2), (7, 0.9), (7, 0.2)]
    found = found_among(
        [result | {"image_id": i, "score": s, "bbox": [n, 0, 1, 1]} for n, (i, s) in enumerate(rows)],
        truth_from_coco(content),
    )
    assert found.boxes_xywh[:, 0].tolist() == [2, 1, 3, 0]
    assert found.images.tolist() == [0, 0, 0, 1]


@pytest.fixture(scope="module")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "aerial"
    make_aerial(folder, images=4, seed=1, size=(120, 160))
    return f"{folder}:val"


@pytest.fixture
def run_folder(aerial: str, tmp_path: Path) -> Path:
    """What `explorer evaluate --out` writes, on the data set's first three images."""
    truth = read_truth(aerial)
    image, category = int(truth.image_ids[0]), int(truth.category_ids[0])
    found = [{"image_id": image, "category_id": category, "bbox": [0, 0, 9, 9], "score": 0.5}]
    (tmp_path / "coco_instances_results.json").write_text(json.dumps(found))
    (tmp_path / "image_ids.json").write_text(json.dumps(truth.image_ids[:3].tolist()))
    (tmp_path / "run.json").write_text(json.dumps({"model": "mine", "data": aerial, "images": 3}))
    return tmp_path


def test_a_run_folder_says_what_it_was_run_on(run_folder: Path, aerial: str) -> None:
    run = load_run(run_folder)
    assert (run.name, len(run.found), len(run.truth.image_ids), run.folder) == ("mine", 1, 3, run_folder)
    assert all(Path(name).is_file() for name in run.truth.file_names)
    assert load_run(run_folder, name="other").name == "other"
    (run_folder / "image_ids.json").unlink()  # runs of before it was written
    np.testing.assert_array_equal(load_run(run_folder).truth.image_ids, run.truth.image_ids)


def test_a_plain_results_file_needs_the_data_said(run_folder: Path, aerial: str) -> None:
    file = run_folder / "coco_instances_results.json"
    run = load_run(file, aerial)
    assert (run.name, len(run.truth.image_ids), run.folder) == ("coco_instances_results", 3, None)
    assert (run.facts["results"]["path"], run.facts["data"]) == (str(file), aerial)
    assert {len(run.facts[known]["sha256"]) for known in ("results", "annotations")} == {64}
    alone = file.rename(run_folder / "mine.json")
    assert len(load_run(alone, aerial).truth.image_ids) == 4
    alone.rename(file)
    with pytest.raises(ValueError, match="does not say what it was run on: give the data set"):
        load_run(file)


def test_broken_run_folders_are_explained(run_folder: Path, tmp_path: Path) -> None:
    for name, text, words in [
        ("image_ids.json", "[99999]", r"image_ids.json does not list images of .* 99999 is not in the data set"),
        ("image_ids.json", "7", "does not list images"),
        ("run.json", "[]", "must be an object"),
        ("run.json", "{", "cannot be read as JSON"),
        ("run.json", '{"data": "/nowhere/at/all"}', "was run on '/nowhere/at/all', but"),
        ("run.json", "{}", "does not say what it was run on"),
    ]:
        kept = (run_folder / name).read_text()
        (run_folder / name).write_text(text)
        with pytest.raises(ValueError, match=words):
            load_run(run_folder)
        (run_folder / name).write_text(kept)
    (run_folder / "coco_instances_results.json").unlink()
    with pytest.raises(ValueError, match=r"holds no coco_instances_results\.json: give a folder"):
        load_run(run_folder)
    with pytest.raises(ValueError, match="there is no run"):
        load_run(tmp_path / "nowhere")


def test_detections_at_hand_make_the_same_run(content: Content) -> None:
    truth = truth_from_coco(content)
    shuffled = ("class 2", "class 0", "class 1")
    none = Detections(np.zeros((0, 4), "f4"), np.zeros(0, "f4"), np.zeros(0, "i8"), shuffled, (240, 320))
    one = Detections(np.array([[1, 2, 31, 42]], "f4"), np.array([0.5], "f4"), np.array([2]), shuffled, (240, 320))
    run = run_from_detections(truth, [none, one, *[none] * 10], "at hand")
    assert run.found.images.tolist() == [1]
    assert truth.class_names[run.found.classes[0]] == "class 1"
    np.testing.assert_array_equal(run.found.boxes_xywh, [[1, 2, 30, 40]])
    for detections, words in [
        ([none], "detections for 1 images, the truth has 12"),
        ([broken(one, image_size=(100, 100)), *[none] * 11], r"frame of \(height, width\) \(100, 100\)"),
        ([broken(one, class_names=("x", "y", "z")), *[none] * 11], "class 'z', which the data set does not have"),
        ([broken(one, scores=np.array([np.nan], "f4")), *[none] * 11], "not finite"),
    ]:
        with pytest.raises(ValueError, match=words):
            run_from_detections(truth, detections, "broken")


def broken(found: Detections, **changes: Any) -> Detections:
    changed = copy.copy(found)
    for name, value in changes.items():
        object.__setattr__(changed, name, value)
    return changed


def test_part_of_a_data_set(content: Content) -> None:
    truth = truth_from_coco(content)
    part = truth.of_images([13, 7])
    assert part.image_ids.tolist() == [7, 13]
    expected = sorted(a["id"] for a in content["annotations"] if a["image_id"] in (7, 13))
    assert sorted(part.ids.tolist()) == expected
    with pytest.raises(ValueError, match="image ids 1, 2 are not in the data set"):
        truth.of_images([1, 2, 7])
