"""Corrections back to COCO: what was not touched stays to the last key, what was changed is what was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from explorer.browser.export import Changes, correct

CONTENT: dict[str, Any] = {
    "info": {"year": 2026},
    "images": [{"id": 4, "file_name": "a.jpg", "width": 200, "height": 100}],
    "categories": [{"id": 1, "name": "car"}, {"id": 5, "name": "plane"}],
    "annotations": [
        {"id": 7, "image_id": 4, "category_id": 1, "bbox": [20, 10, 40, 30], "area": 900, "iscrowd": 0, "extra": 1}
        | {"segmentation": [[20, 10, 60, 10, 60, 40]]},
        {"id": 9, "image_id": 4, "category_id": 5, "bbox": [0, 0, 10, 10], "area": 80, "iscrowd": 1},
    ],
}


def sample(*objects: dict[str, Any], accepted: tuple[dict[str, Any], ...] = (), tags: tuple[str, ...] = ()) -> Any:
    return {"coco_id": 4, "tags": list(tags), "objects": list(objects), "accepted": list(accepted)}


def label(coco_id: int | None = 7, **changes: Any) -> dict[str, Any]:
    boxes: dict[int | None, list[float]] = {7: [0.1, 0.1, 0.2, 0.3], 9: [0, 0, 0.05, 0.1], None: [0.5, 0.5, 0.1, 0.1]}
    classes: dict[int | None, str] = {7: "car", 9: "plane", None: "plane"}
    return {"coco_id": coco_id, "label": classes[coco_id], "bounding_box": boxes[coco_id], "tags": [], **changes}


def test_untouched_is_the_same() -> None:
    content, changes = correct(CONTENT, [sample(label(7), label(9))])
    assert content == CONTENT
    assert changes == Changes(0, 0, 0, 0, 0)


def test_what_the_app_does_not_show_stays() -> None:
    broken = CONTENT["annotations"][0] | {"id": 8, "bbox": None}
    content = CONTENT | {"annotations": [*CONTENT["annotations"], broken]}
    assert correct(content, [sample(label(7), label(9))], {"7", "9"}) == (content, Changes(0, 0, 0, 0, 0))


def test_every_kind_of_change() -> None:
    moved = label(7, label="plane", bounding_box=[0.2, 0.1, 0.2, 0.3], tags=["check"])
    drawn, taken = label(None), label(None, bounding_box=[0, 0.5, 0.5, 0.5], tags=["accept", "sure"])
    content, changes = correct(CONTENT, [sample(moved, drawn, accepted=(taken,), tags=("blurred",))])
    assert changes == Changes(relabelled=1, moved=1, added=2, removed=1, tagged=3)
    assert changes.summary == "1 relabelled, 1 moved, 2 added, 1 removed, 3 tagged"
    first, second, third = content["annotations"]
    assert first == {
        "id": 7, "image_id": 4, "category_id": 5, "bbox": [40, 10, 40, 30], "area": 1200, "iscrowd": 0, "extra": 1,
        "tags": ["check"],
    }  # fmt: skip
    assert second == {"id": 10, "image_id": 4, "category_id": 5, "bbox": [100, 50, 20, 10], "area": 200, "iscrowd": 0}
    assert third["bbox"] == [0, 50, 100, 50]
    assert third["tags"] == ["sure"]
    assert content["images"] == [{**CONTENT["images"][0], "tags": ["blurred"]}]
    assert content["info"] == CONTENT["info"]
    assert "tags" not in CONTENT["images"][0]


@pytest.mark.parametrize("ids", [(2**70, 2**53 + 1, -3, 10**30), ("d", "a", "b", "c"), ("4", 9, "x", 2**64)])
def test_ids_of_any_kind_come_back(ids: tuple[int | str, ...]) -> None:
    renamed = json.loads(json.dumps(CONTENT))
    renamed["images"][0]["id"] = ids[0]
    for place in (0, 1):
        renamed["categories"][place]["id"] = ids[place + 2]
        renamed["annotations"][place] |= {"id": ids[place + 1], "image_id": ids[0], "category_id": ids[place + 2]}
    # as FiftyOne keeps them: texts where one is no 64-bit number
    labels = [label(7) | {"coco_id": str(ids[1])}, label(9) | {"coco_id": str(ids[2])}]
    given = {"coco_id": str(ids[0]), "tags": [], "objects": labels, "accepted": [label(None)]}
    content, changes = correct(renamed, [given])
    assert changes == Changes(0, 0, 1, 0, 0)
    *kept, added = content["annotations"]
    assert (kept, content["images"]) == (renamed["annotations"], renamed["images"])
    assert str(added["id"]) not in {str(own["id"]) for own in kept}
    assert isinstance(added["id"], str) is all(isinstance(own, str) for own in ids)


def test_an_image_that_was_added_in_the_app_is_named() -> None:
    with pytest.raises(ValueError, match="image None is not in the annotations: it was added in the App"):
        correct(CONTENT, [sample(), sample() | {"coco_id": None}])


def test_categories_of_one_name_stay_two() -> None:
    content = CONTENT | {"categories": [{"id": 1, "name": "car"}, {"id": 5, "name": "car"}]}
    labels = (label(7, label="car (id 1)"), label(9, label="car (id 5)"))
    assert correct(content, [sample(*labels)]) == (content, Changes(0, 0, 0, 0, 0))


def test_a_rejected_object_goes() -> None:
    content, changes = correct(CONTENT, [sample(label(7), label(9, tags=["reject"]))])
    assert [annotation["id"] for annotation in content["annotations"]] == [7]
    assert changes == Changes(0, 0, 0, 1, 0)


def test_an_image_deleted_in_the_app_goes_with_its_objects() -> None:
    content, changes = correct(CONTENT, [])
    assert (content["images"], content["annotations"]) == ([], [])
    assert changes.removed == 2


def test_a_class_that_the_data_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="class 'ship', which the data does not have; it has car, plane"):
        correct(CONTENT, [sample(label(7, label="ship"))])


@pytest.mark.mongo
@pytest.mark.filterwarnings("ignore")
def test_from_the_database_and_back(fiftyone: ModuleType, make: Callable[..., Any], tmp_path: Path) -> None:
    from explorer.browser.build import build
    from explorer.browser.export import write_corrected
    from explorer.data.check import check_split
    from explorer.data.layout import find_split

    scene = make(tmp_path / "scene")
    dataset = build(scene.data, scene.runs, name="exported").dataset
    original = json.loads((tmp_path / "scene/annotations/instances_val.json").read_text())
    assert write_corrected(dataset, scene.data, tmp_path / "same.json") == Changes(0, 0, 0, 0, 0)
    same = json.loads((tmp_path / "same.json").read_text())
    assert {**same, "annotations": sorted(same["annotations"], key=lambda a: a["id"])} == original

    for item in dataset.sort_by("coco_id"):
        if item.ground_truth.detections:
            item.ground_truth.detections[0].label = "ship"
            item.tags.append("seen")
            item.better.detections[0].tags = ["accept"]
            item.save()
            break
    changes = write_corrected(dataset, scene.data, tmp_path / "corrected.json")
    assert (changes.added, changes.removed, changes.tagged) == (1, 0, 1)
    split = find_split(f"{tmp_path / 'corrected.json'}:{tmp_path / 'scene/val'}")
    assert not [problem for problem in check_split(split).problems if problem.severity == "error"]
