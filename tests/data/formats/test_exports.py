"""Exports of Label Studio, FiftyOne, Roboflow and LVIS, and DOTA's folders, as their documentation has them."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from explorer.data.check import check_coco
from explorer.data.coco import class_names, register_coco
from explorer.data.layout import find_split, list_splits
from explorer.scoring.runs import read_truth
from tests.data.formats.conftest import Original, rows_of


def close(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> bool:
    same = [row[:2] for row in ours] == [row[:2] for row in theirs]
    return same and np.allclose([row[2:] for row in ours], [row[2:] for row in theirs], atol=1e-5)


@pytest.mark.parametrize("front", ["images\\", "images/", "../../media/upload/1/", "/label-studio/data/"])
def test_label_studios_coco_export(bccd: Original, tmp_path: Path, front: str) -> None:
    content = deepcopy(bccd.content)
    for image in content["images"]:
        image["file_name"] = front + image["file_name"]
    bccd.link_images(tmp_path / "images")
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert list_splits(tmp_path) == ("result",)
    truth = read_truth(str(tmp_path))
    assert truth.file_names == tuple(
        str(tmp_path / "images" / Path(n).name) for n in read_truth(bccd.source).file_names
    )
    assert register_coco(f"{tmp_path / 'result.json'}:{tmp_path / 'images'}")


def task(image: dict[str, Any], shapes: list[dict[str, Any]], number: int) -> dict[str, Any]:
    size = {"original_width": image["width"], "original_height": image["height"]}
    results = [{**size, "type": next(key for key in own if key.endswith("labels")), "value": own} for own in shapes]
    data = {"image": f"/data/upload/3/1f2e3d4c-{image['file_name']}"}
    return {"id": number, "data": data, "annotations": [{"was_cancelled": True}, {"result": results}]}


def rectangle(image: dict[str, Any], box: list[float], name: str, rotation: float = 0) -> dict[str, Any]:
    sides = (image["width"], image["height"]) * 2
    x, y, w, h = (100 * value / side for value, side in zip(box, sides, strict=True))
    return {"x": x, "y": y, "width": w, "height": h, "rotation": rotation, "rectanglelabels": [name]}


@pytest.mark.parametrize("short", [False, True], ids=["JSON", "JSON-MIN"])
def test_label_studios_own_json(bccd: Original, tmp_path: Path, short: bool) -> None:
    bccd.link_images(tmp_path / "images")
    tasks = []
    for image in bccd.content["images"]:
        shapes = [rectangle(image, own["bbox"], bccd.names[own["category_id"]]) for own in bccd.objects(image["id"])]
        full = task(image, shapes, image["id"])
        size = {"original_width": image["width"], "original_height": image["height"]}
        minimal = {"id": image["id"], **full["data"], "label": [{**own, **size} for own in shapes]}
        tasks.append(minimal if short else full)
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    content, problems = find_split(str(tmp_path)).read_instances()
    assert close(rows_of(content), bccd.rows())
    assert [own["id"] for own in content["images"]] == [own["id"] for own in bccd.content["images"]]
    assert [own.kind for own in problems] == ["format"]


def test_label_studios_other_shapes(tmp_path: Path) -> None:
    image = {"file_name": "a.png", "width": 60, "height": 40}
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    shapes = [
        rectangle(image, [30, 10, 20, 10], "cup", rotation=90),
        {"points": [[10, 10], [50, 10], [50, 50]], "polygonlabels": ["cup"]},
        {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 0, "ellipselabels": ["cup"]},
        {"format": "rle", "rle": [1, 2], "brushlabels": ["cup"]},
        {"x": "?", "y": None, "width": 1, "height": 1, "rectanglelabels": ["cup"]},
    ]
    (tmp_path / "export.json").write_text(json.dumps([task(image, shapes, 1)]))
    (report,) = check_coco(tmp_path).splits
    assert report.counts == {"not-finite": 1, "no-mask": 3, "no-object": 1, "format": 1}
    boxes = read_truth(str(tmp_path)).boxes_xywh
    np.testing.assert_allclose(boxes, [[20, 10, 10, 20], [6, 4, 24, 16], [24, 16, 12, 8]], atol=1e-9)


@pytest.mark.parametrize(
    ("keys", "what"), [({"image_rotation": 90}, "turned by 90"), ({"to_name": "right"}, "several images, left, right")]
)
def test_label_studios_turned_and_second_images_are_refused(tmp_path: Path, keys: dict[str, Any], what: str) -> None:
    image = {"file_name": "a.png", "width": 60, "height": 40}
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    content = task(image, [rectangle(image, [30, 10, 20, 10], "cup") | {"rectanglelabels": ["cup", "old"]}] * 2, 1)
    first, second = content["annotations"][1]["result"]
    first["to_name"], second["to_name"] = "left", "left"
    (tmp_path / "export.json").write_text(json.dumps([content]))
    assert check_coco(tmp_path).splits[0].counts["no-object"] == 2  # a second label of a shape
    content["annotations"][1]["result"][1] = second | keys
    (tmp_path / "export.json").write_text(json.dumps([content]))
    (problem, *_) = check_coco(tmp_path).splits[0].problems
    assert problem.kind == "structure"
    assert what in str(problem)


def test_two_tasks_of_label_studio_on_one_image_are_refused(tmp_path: Path) -> None:
    """Its objects would count twice, and half of them could not be found."""
    image = {"file_name": "a.png", "width": 60, "height": 40}
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    tasks = [task(image, [rectangle(image, [30, 10, 20, 10], "cup")], number) for number in (4, 9)]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    (problem, *_) = check_coco(tmp_path).splits[0].problems
    assert str(problem) == "file a.png: it is the image of both id 4 and id 9: give each a file of its own"


def test_fiftyones_labels_and_data(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "data")
    names, labels = list(bccd.names.values()), {}
    for image in bccd.content["images"]:
        sides = (image["width"], image["height"]) * 2
        labels[Path(image["file_name"]).stem] = [
            {
                "label": names.index(bccd.names[own["category_id"]]),
                "bounding_box": [value / side for value, side in zip(own["bbox"], sides, strict=True)],
                "attributes": {"iscrowd": 0},
            }
            for own in bccd.objects(image["id"])
        ] or None
    (tmp_path / "labels.json").write_text(json.dumps({"classes": names, "labels": labels}))
    assert list_splits(tmp_path) == ("all",)
    content, _ = find_split(str(tmp_path)).read_instances()
    assert close(rows_of(content), bccd.rows())
    assert class_names(register_coco(str(tmp_path / "labels.json"))) == tuple(names)


def test_fiftyones_coco_export(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "data")
    (tmp_path / "labels.json").write_text(json.dumps(bccd.content))
    truth = read_truth(str(tmp_path))
    assert truth.image_ids.tolist() == read_truth(bccd.source).image_ids.tolist()
    assert Path(truth.file_names[0]).is_file()


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        ({"label": 9, "bounding_box": [0, 0, 0.5, 0.5]}, "unknown-category"),
        ({"label": "cup"}, "bad-box"),
        ({"label": "cup", "bounding_box": [0, 0, "x", 1]}, "not-finite"),
        (7, "unknown-category"),
    ],
)
def test_what_is_wrong_with_a_label_is_named(tmp_path: Path, own: Any, kind: str) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    good = {"label": 0, "bounding_box": [0, 0, 0.5, 0.5]}
    (tmp_path / "labels.json").write_text(json.dumps({"classes": ["cup"], "labels": {"a": [good, own]}}))
    (report,) = check_coco(tmp_path).splits
    assert set(report.counts) == {kind, "format"}


def test_roboflows_class_of_all_is_left_out(bccd: Original, tmp_path: Path) -> None:
    content = deepcopy(bccd.content)
    above = {"id": 0, "name": "cells", "supercategory": "none"}
    content["categories"] = [above, *({**own, "supercategory": "cells"} for own in content["categories"])]
    bccd.link_images(tmp_path / "valid")
    (tmp_path / "valid/_annotations.coco.json").write_text(json.dumps(content))
    name = register_coco(f"{tmp_path}:valid")
    assert class_names(name) == tuple(bccd.names.values())
    (report,) = check_coco(tmp_path).splits
    assert "'cells' has no objects" in next(own.what for own in report.problems if own.kind == "format")


def test_lvis_names_images_by_their_address(coco_tiny: Original, tmp_path: Path) -> None:
    content = deepcopy(coco_tiny.content)
    for image in content["images"]:
        del image["file_name"]
        image |= {"neg_category_ids": [1], "not_exhaustive_category_ids": []}
    coco_tiny.link_images(tmp_path / "val2017")
    (tmp_path / "lvis_v1_val.json").write_text(json.dumps(content))
    assert list_splits(tmp_path) == ("lvis_v1_val",)
    truth, original = read_truth(str(tmp_path)), read_truth(coco_tiny.source)
    assert truth.file_names[0] == str(tmp_path / "val2017" / Path(original.file_names[0]).name)
    np.testing.assert_array_equal(truth.boxes_xywh, original.boxes_xywh)
    (report,) = check_coco(tmp_path).splits
    assert report.counts["format"] == 1
    assert report.ok


def test_dotas_corners_touch_their_box(bccd: Original, tmp_path: Path) -> None:
    """Each box as a quadrilateral with a corner on each of its sides, in DOTA's order, from any of them on."""
    bccd.link_images(tmp_path / "images")
    (tmp_path / "labelTxt").mkdir()
    rng = np.random.default_rng(2)
    for image in bccd.content["images"]:
        lines = ["imagesource:microscope", "gsd:null"]
        for own in bccd.objects(image["id"]):
            (x, y, w, h), (a, b, c, d) = own["bbox"], rng.random(4).tolist()
            corners = np.array([(x + a * w, y), (x + w, y + b * h), (x + c * w, y + h), (x, y + d * h)])
            points = np.roll(corners, int(rng.integers(4)), axis=0).ravel().tolist()
            lines.append(" ".join(map(repr, points)) + f" {bccd.names[own['category_id']]} 0")
        (tmp_path / "labelTxt" / f"{Path(image['file_name']).stem}.txt").write_text("\n".join(lines))
    assert list_splits(tmp_path) == ("all",)
    content, problems = find_split(str(tmp_path)).read_instances()
    assert close(rows_of(content), bccd.rows())
    assert [own.kind for own in problems] == ["format"]


def test_dota_as_hulls(tmp_path: Path) -> None:
    for split, text in (
        (
            "train",
            "imagesource:GoogleEarth\ngsd:0.15\n10 10 20 5 25 15 15 20 small-vehicle 0\n1 1 9 1 9 9 1 9 ship 1\n",
        ),
        ("val", "10 10 20 5 25 15 15 20 small-vehicle 0\n1 2 3 plane\n1 2 3 4 5 6 7 nan ship 0\n"),
    ):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "labelTxt-v1.0").mkdir()
        Image.new("RGB", (60, 40)).save(tmp_path / split / "images/P0001.png")
        (tmp_path / split / "labelTxt-v1.0/P0001.txt").write_text(text)
    (tmp_path / "val/labelTxt-v1.0/P0002.txt").write_text("")
    assert list_splits(tmp_path) == ("train", "val")
    content, _ = find_split(f"{tmp_path}:train").read_instances()
    assert [own["bbox"] for own in content["annotations"]] == [[10, 5, 15, 15], [1, 1, 8, 8]]
    assert content["annotations"][1]["difficult"] == 1
    assert class_names(register_coco(f"{tmp_path}:val")) == ("ship", "small-vehicle")
    report = check_coco(f"{tmp_path}:val").splits[0]
    assert report.counts == {"unknown-image": 1, "bad-box": 1, "not-finite": 1, "format": 1}
    assert "axis-aligned bounding boxes" in report.problems[-1].what


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '[{"labels": 1, "data": 3}]',
        '[{"annotations": 5}]',
        '{"classes": 1}',
        '{"labels":[]}',
        '{"labels": {"a": 5}}',
    ],
)
def test_any_json_ends_in_a_report(tmp_path: Path, text: str) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    (tmp_path / "labels.json").write_text(text)
    assert not check_coco(tmp_path / "labels.json").ok
