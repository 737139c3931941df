"""A data set and files of results on the page: held against the annotations' own JSON, and against pycocotools."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.data.convert import convert
from explorer.scoring.protocols import PRESETS, protocol_of
from explorer.scoring.runs import read_truth
from explorer.types import Detections
from explorer.ui.actions.annotated import objects_found
from explorer.ui.actions.compare import compare
from explorer.ui.actions.dataset import DataSet, data_set
from explorer.ui.actions.errors import examine, explain_miss
from explorer.ui.actions.filters import Filters
from explorer.ui.actions.models import Models
from explorer.ui.actions.takeaway import as_coco

PHOTO = "BloodImage_00007.jpg"


@pytest.fixture(scope="module")
def content(shared: Path) -> dict[str, Any]:
    return dict(json.loads((shared / "data/bccd/annotations/test.json").read_text()))


@pytest.fixture(scope="module")
def results(content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another detector's boxes as CSV: annotated ones, moved by a tenth and each fifth left out."""
    path = tmp_path_factory.mktemp("results") / "yolo.csv"
    files = {image["id"]: image["file_name"] for image in content["images"]}
    names = {own["id"]: own["name"] for own in content["categories"]}
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("image", "x1", "y1", "x2", "y2", "class", "score"))
        for place, own in enumerate(content["annotations"]):
            x, y, width, height = own["bbox"]
            moved = (x + width / 10, y, x + width * 1.1, y + height)
            if place % 5:
                table.writerow(
                    (files[own["image_id"]], *moved, names[own["category_id"]], round(0.3 + 0.07 * (place % 10), 2))
                )
    return path


@pytest.fixture
def uploaded(shared: Path, tmp_path: Path) -> Path:
    """A photo of the data set as a visitor hands it over: under its name, elsewhere."""
    return Path(shutil.copy(shared / "data/bccd/images" / PHOTO, tmp_path))


def boxes_of(content: dict[str, Any]) -> list[list[float]]:
    image = next(own["id"] for own in content["images"] if own["file_name"] == PHOTO)
    return [own["bbox"] for own in content["annotations"] if own["image_id"] == image]


def test_results_and_annotations_stand_beside_a_model(
    zoo: Any, content: dict[str, Any], results: Path, uploaded: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_set(f"{shared}/data/bccd:test", [results])
    assert data is not None
    models = Models(extra=["A"], data=data)
    found = compare(models, ["A", "yolo.csv"], uploaded, timed=False)
    assert list(found.predictions) == ["A", "yolo.csv"]
    assert found.truth is not None
    truth = found.truth.boxes_xyxy.copy()
    truth[:, 2:] -= truth[:, :2]
    np.testing.assert_allclose(truth, boxes_of(content), atol=1e-3)
    own = [row for row in csv.DictReader(results.read_text().splitlines()) if row["image"] == PHOTO]
    expected = sorted([float(row[end]) for end in ("score", "x1", "y1", "x2", "y2")] for row in own)
    shown = found.predictions["yolo.csv"].detections
    np.testing.assert_allclose(sorted(np.c_[shown.scores, shown.boxes_xyxy].tolist()), expected, atol=1e-3)
    (_, row) = found.counts(Filters(0.5))
    assert row["found"] == _found_by_pycocotools(content, as_coco(found, Filters(0.5)), shared)
    assert row["time, ms"] == "–"
    titles = [one.text for one in found.figure(Filters(0.5)).layout.annotations[:2]]
    assert titles == ["A · A", "B · yolo.csv"]
    assert as_coco(found, Filters(0.5))["models"]["yolo.csv"]["results"]


def _found_by_pycocotools(content: dict[str, Any], download: dict[str, Any], shared: Path) -> str:
    image = next(own["id"] for own in content["images"] if own["file_name"] == PHOTO)
    truth = COCO(str(shared / "data/bccd/annotations/test.json"))
    own = download["models"]["yolo.csv"]
    names = {one["id"]: one["name"] for one in own["categories"]}
    ids = {one["name"]: one["id"] for one in content["categories"]}
    results = [{**one, "image_id": image, "category_id": ids[names[one["category_id"]]]} for one in own["results"]]
    scored = COCOeval(truth, truth.loadRes(results), "bbox")
    scored.params.imgIds, scored.params.iouThrs = [image], np.array([0.5])
    scored.params.areaRng, scored.params.areaRngLbl = [[0, 1e10]], ["all"]
    scored.evaluate()
    matched = sum(int((one["gtMatches"] > 0).sum()) for one in scored.evalImgs if one)
    return f"{matched} of {len(boxes_of(content))}"


@pytest.mark.parametrize("score", [0.3, 0.7])  # the nearest float32 lies above one and below the other
def test_what_is_shown_at_the_lowest_score_counts_as_found(score: float) -> None:
    boxes = np.array([[10, 10, 30, 40]], np.float32)
    there = Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int64), ("cup",), (60, 80))
    found = replace(there, scores=np.array([score], np.float32))
    assert len(Filters(score).keep(found)) == 1
    assert objects_found(there, found, score) == (1, 1)


def test_a_photo_of_another_name_size_or_set_is_not_taken_for_one(
    zoo: Any, results: Path, uploaded: Path, photo: Path, shared: Path
) -> None:
    models = Models(extra=["A"], data=data_set(f"{shared}/data/bccd:test", [results]))
    for other in (uploaded.rename(uploaded.with_name("mine.jpg")), photo.rename(photo.with_name(PHOTO))):
        found = compare(models, ["A", "yolo.csv"], other, timed=False)
        assert found.truth is None
        assert list(found.predictions) == ["A"]
        said = f"This file has detections on the 72 photos of bccd:test, and {other.name} is none of them."
        assert found.unavailable["yolo.csv"] == said


def test_another_photo_of_the_same_name_and_size_has_no_annotations(shared: Path, tmp_path: Path) -> None:
    import cv2

    from explorer.data.images import read_image

    data = data_set(f"{shared}/data/bccd:test")
    assert data is not None
    own, other = (Path(name) for name in data.truth.file_names[:2])
    for source, is_known in ((own, True), (other, False)):
        photo, pixels = tmp_path / own.name, read_image(source)
        assert pixels.shape == read_image(own).shape
        cv2.imwrite(str(photo), pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])
        assert (data.annotated(photo, read_image(photo)) is not None) == is_known


def test_photos_of_one_name_are_told_by_their_pixels(tmp_path: Path) -> None:
    import cv2

    from explorer.data.images import read_image

    images = []
    for number, folder in enumerate(("a", "b")):
        (tmp_path / "images" / folder).mkdir(parents=True)
        picture = np.full((20, 30, 3), 100 * number, np.uint8)
        cv2.imwrite(str(tmp_path / "images" / folder / "same.png"), picture)
        images.append({"id": number, "file_name": f"{folder}/same.png", "width": 30, "height": 20})
    boxes = [
        {"id": 1 + row, "image_id": row, "category_id": 1, "bbox": [row, 1, 5, 5], "area": 25, "iscrowd": 0}
        for row in range(2)
    ]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val.json").write_text(json.dumps(document))
    (tmp_path / "images").rename(tmp_path / "val")
    data = data_set(f"{tmp_path}:val")
    assert data is not None
    photo = Path(shutil.copy(tmp_path / "val/b/same.png", tmp_path))
    truth = data.annotated(photo, read_image(photo))
    assert truth is not None
    assert truth.boxes_xyxy.tolist() == [[1, 1, 6, 6]]


def test_what_needs_a_network_says_so(results: Path, shared: Path) -> None:
    models = Models(data=data_set(f"{shared}/data/bccd:test", [results]))
    assert models.networks(["demo/V-19-slim-dw", "yolo.csv"]) == ["demo/V-19-slim-dw"]
    with pytest.raises(ValueError, match=r"yolo\.csv is a file of results, without the network"):
        models.networks(["yolo.csv"])
    with pytest.raises(ValueError, match="give the data set as PATH:SPLIT"):
        data_set(None, [results])


@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_errors_of_results_are_those_of_their_run_in_any_format(
    to: str, results: Path, shared: Path, tmp_path: Path
) -> None:
    """YOLO's and VOC's folders serve as COCO's does: the same AP, by pycocotools, and the same objects by size."""
    convert(f"{shared}/data/bccd:test", tmp_path / to, to=to)
    source = f"{tmp_path / to}:test"
    data = data_set(source, [results], protocol_of("ai-tod"))
    assert data is not None
    models = Models(data=data, protocol=data.protocol)
    examined = examine(models, ["yolo.csv"], read_truth(source))
    assert examined.analyses[0].autopsy is None
    assert examined.analyses[0].run.protocol == PRESETS["ai-tod"]
    ap = examined.analyses[0].resamples.figures.named()["AP50"]
    assert ap == pytest.approx(_ap50(results, shared), abs=0.3 if to == "voc" else 0.05)  # VOC has whole pixels
    assert examined.misses["yolo.csv"]
    with pytest.raises(ValueError, match="file of results"):
        explain_miss(models, examined, "yolo.csv", 0)
    few = read_truth(source).of_rows(np.arange(5))
    assert len(examine(models, ["yolo.csv"], few).truth.image_ids) == 5
    with pytest.raises(ValueError, match="results on none of these 87 images"):
        examine(models, ["yolo.csv"], read_truth(f"{shared}/data/bccd:val"))


def _ap50(results: Path, shared: Path) -> float:
    truth = COCO(str(shared / "data/bccd/annotations/test.json"))
    images = {own["file_name"]: own["id"] for own in truth.dataset["images"]}
    ids = {own["name"]: own["id"] for own in truth.dataset["categories"]}
    boxes = []
    for row in csv.DictReader(results.read_text().splitlines()):
        x1, y1, x2, y2 = (float(row[end]) for end in ("x1", "y1", "x2", "y2"))
        where = {"image_id": images[row["image"]], "category_id": ids[row["class"]]}
        boxes.append({**where, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(row["score"])})
    scored = COCOeval(truth, truth.loadRes(boxes), "bbox")
    scored.evaluate()
    scored.accumulate()
    precision = scored.eval["precision"][0, :, :, 0, 2]
    return 100 * float(precision[precision > -1].mean())


@pytest.mark.parametrize(("name", "labels"), [("coco", 3), ("ai-tod", 4), ("soda", 5), ("visdrone", 0), ("8,32", 3)])
def test_sizes_shown_are_the_protocols(name: str, labels: int, zoo: Any, photo: Path) -> None:
    protocol = protocol_of(name)
    found = compare(Models(extra=["A"], protocol=protocol), ["A"], photo, timed=False)
    (row,) = found.counts(Filters(0.05))
    sizes = protocol.size_labels
    assert len(sizes) == labels
    assert [row[size] for size in sizes] == [
        sum(protocol.size_names([area])[0] == size for area in (100, 2500, 100)) for size in sizes
    ]
    for size in sizes:
        shown = found.shown(Filters(0.05, sizes=(size,)))["A"]
        assert len(shown) == row[size]
    if not sizes:
        assert len(found.shown(Filters(0.05, sizes=()))["A"]) == 3


def test_the_page_opens_on_a_photo_of_the_data_with_the_results_chosen(results: Path, shared: Path) -> None:
    pytest.importorskip("gradio")
    from explorer.ui.layout.page import build

    page = build(data=f"{shared}/data/bccd:test", results=[results], protocol=protocol_of("8,32,96"))
    known = {block["props"].get("label"): block["props"] for block in page.config["components"]}
    assert known["Models, up to 4"]["value"] == ["yolo.csv"]
    assert known["Photo"]["value"]["orig_name"] == PHOTO
    assert known["Sizes (8,32,96)"]["value"] == ["under 8²", "8²–32²", "32²–96²", "96² and over"]
    assert known["Size bins"]["value"] == "8,32,96"
    tables = [block["props"].get("value") for block in page.config["components"] if block["type"] == "html"]
    (counted,) = (table for table in tables if "<caption>Objects by 8,32,96 size, and time" in str(table))
    assert ">yolo.csv</td>" in counted
    assert known["Data set"]["value"] == "bccd:test"
    assert str(shared) not in json.dumps(page.config, default=str)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{folder}", "cells"),
        ("{folder}:val", "cells:val"),
        ("{folder}/all.json", "all.json"),
        ("{folder}/all.json:{folder}", "all.json:cells"),
    ],
)
def test_visitors_are_not_told_where_a_data_set_is(source: str, name: str, shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cells"
    folder.mkdir()
    (folder / "all.json").touch()
    assert DataSet(source.format(folder=folder), read_truth(f"{shared}/data/bccd:test")).name == name


def test_files_of_one_name_are_numbered(results: Path, shared: Path, tmp_path: Path) -> None:
    data = data_set(f"{shared}/data/bccd:test", [results, shutil.copy(results, tmp_path), results])
    assert data is not None
    assert list(data.runs) == ["yolo.csv", "yolo.csv (2)", "yolo.csv (3)"]
