"""CSV files of every make, and Open Images' own, on BCCD."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer.data.check import check_coco
from explorer.data.layout import find_split, list_splits
from explorer.scoring.runs import read_truth
from tests.data.formats.conftest import Original, rows_of


def write(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)


def objects(original: Original) -> list[tuple[dict[str, Any], str, list[float]]]:
    return [
        (image, original.names[own["category_id"]], own["bbox"])
        for image in original.content["images"]
        for own in original.objects(image["id"])
    ]


def corners(image: dict[str, Any], name: str, box: list[float]) -> dict[str, Any]:
    """TensorFlow's and Roboflow's columns."""
    x, y, w, h = box
    size = {"filename": image["file_name"], "width": image["width"], "height": image["height"]}
    return {**size, "class": name, "xmin": x, "ymin": y, "xmax": x + w, "ymax": y + h}


def sides(image: dict[str, Any], name: str, box: list[float]) -> dict[str, Any]:
    return {"Image": image["file_name"], **dict(zip(("x", "y", "width", "height"), box, strict=True)), "Label": name}


def bracket(image: dict[str, Any], name: str, box: list[float]) -> dict[str, Any]:
    """Kaggle's Global Wheat columns: no suffix, a list as text."""
    size = {"width": image["width"], "height": image["height"]}
    return {"image_id": Path(image["file_name"]).stem, **size, "bbox": str(box), "label": name}


@pytest.mark.parametrize("columns", [corners, sides, bracket])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_by_name(bccd: Original, tmp_path: Path, columns: Any, delimiter: str) -> None:
    bccd.link_images(tmp_path / "images")
    write(tmp_path / "labels.csv", [columns(*own) for own in objects(bccd)], delimiter)
    for source in (tmp_path, tmp_path / "labels.csv", f"{tmp_path / 'labels.csv'}:{tmp_path / 'images'}"):
        content, problems = find_split(str(source)).read_instances()
        assert rows_of(content) == bccd.rows()
        assert [own.kind for own in problems] == ["format"]


def test_without_a_header(bccd: Original, tmp_path: Path) -> None:
    """keras-retinanet's columns, with a path of another machine."""
    bccd.link_images(tmp_path / "images")
    lines = [
        f"/mnt/disk/{image['file_name']},{x},{y},{x + w},{y + h},{name}\n"
        for image, name, (x, y, w, h) in objects(bccd)
    ]
    (tmp_path / "all.csv").write_text("".join(lines))
    assert rows_of(find_split(str(tmp_path)).read_instances()[0]) == bccd.rows()


def test_roboflows_folders_share_their_classes(bccd: Original, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        bccd.link_images(tmp_path / split)
    rows = [corners(*own) for own in objects(bccd)]
    write(tmp_path / "train/_annotations.csv", rows)
    write(tmp_path / "valid/_annotations.csv", [row for row in rows if row["class"] == "WBC"])
    assert list_splits(tmp_path) == ("train", "valid")
    content, _ = find_split(f"{tmp_path}:valid").read_instances()
    assert [own["name"] for own in content["categories"]] == ["Platelets", "RBC", "WBC"]


@pytest.mark.parametrize(("flag", "is_set"), [("1", True), ("1.0", True), ("True", True), ("2", True), ("0", False)])
@pytest.mark.parametrize("form", ["CSV", "Pascal VOC", "DOTA", "Open Images", "COCO"])
def test_a_flag_is_set_however_it_is_written(form: str, flag: str, is_set: bool, tmp_path: Path) -> None:
    """pandas writes 1.0 where a column has gaps; VOC's and DOTA's own evaluations take any number but 0."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "images/a.png")
    files = {
        "CSV": ("all.csv", f"image,label,x1,y1,x2,y2,iscrowd\na.png,cup,1,2,30,20,{flag}\n"),
        "Pascal VOC": (
            "Annotations/a.xml",
            f"""<annotation><object><name>cup</name><difficult>{flag}</difficult>
            <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object></annotation>""",
        ),
        "DOTA": ("labelTxt/a.txt", f"1 2 30 2 30 20 1 20 cup {flag}\n"),
        "Open Images": (
            "all-annotations-bbox.csv",
            f"ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,cup,0.1,0.5,0.1,0.5,{flag}\n",
        ),
        "COCO": (
            "annotations/instances_all.json",
            json.dumps(
                {
                    "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
                    "categories": [{"id": 1, "name": "cup"}],
                    "annotations": [
                        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 29, 18], "iscrowd": flag}
                    ],
                }
            ),
        ),
    }
    name, text = files[form]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert read_truth(str(tmp_path)).crowds.tolist() == [is_set]


def test_ids_crowds_and_images_without_objects(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    Image.new("RGB", (60, 40)).save(tmp_path / "b.png")
    (tmp_path / "boxes.csv").write_text(
        "id,image_id,file_name,label,x,y,w,h,iscrowd\n"
        "007,90071992547409931,a.png,cup,1,2,3,4,0\nx-1,90071992547409931,a.png,cup,1,2,30,4,1\n,b-2,b.png,,,,,,\n"
    )
    truth = read_truth(str(tmp_path))
    assert truth.image_ids.tolist() == [90071992547409931, "b-2"]
    assert truth.ids.tolist() == ["007", "x-1"]
    assert truth.crowds.tolist() == [False, True]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("a.png,cup,nan,2,3,4", "not-finite"),
        ("a.png,cup,1e999,2,3,4", "not-finite"),
        ("a.png,cup,,2,3,4", "not-finite"),
        ("a.png,cup,5,2,3,4", "zero-area"),
        ("a.png,cup,,,,", "bad-box"),
        ("a.png,,1,2,3,4", "bad-box"),
        ("c.png,cup,1,2,3,4", "missing-image"),
        ("../a.png,cup,1,2,3,4", "format"),  # found by its name in the folder
        ("../../x.png,cup,1,2,3,4", "outside-image"),
        ("/etc/passwd,cup,1,2,3,4", "outside-image"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(tmp_path: Path, row: str, kind: str) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text(f"image,class,xmin,ymin,xmax,ymax\na.png,cup,1,2,13,14\n{row}\n")
    (report,) = check_coco(tmp_path / "boxes.csv").splits
    assert set(report.counts) == {kind, "format"}


def test_a_table_without_boxes_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("name,age\nAda,36\n")
    with pytest.raises(ValueError, match="no columns of boxes"):
        find_split(str(tmp_path / "people.csv"))
    with pytest.raises(ValueError, match="no data set in a known format"):
        find_split(str(tmp_path))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_no_text_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("any")
    Image.new("RGB", (8, 8)).save(root / "a.png")
    (root / "b.csv").write_text(f"image,class,x,y,w,h\n{text}", encoding="utf-8", errors="surrogatepass")
    check_coco(root / "b.csv")


def write_open_images(original: Original, root: Path) -> None:
    """As on its download page: corners in shares, labels by their machine names, a box of a group."""
    ids = {name: f"/m/0{number}" for number, name in enumerate(original.names.values())}
    rows = []
    for image, name, (x, y, w, h) in objects(original):
        width, height = image["width"], image["height"]
        shares = {"XMin": x / width, "XMax": (x + w) / width, "YMin": y / height, "YMax": (y + h) / height}
        own = {"ImageID": Path(image["file_name"]).stem, "Source": "xclick", "LabelName": ids[name], "Confidence": 1}
        rows.append({**own, **shares, "IsOccluded": 0, "IsTruncated": 0, "IsGroupOf": int(not rows), "IsDepiction": 0})
    write(root / "validation-annotations-bbox.csv", rows)
    (root / "class-descriptions-boxable.csv").write_text("".join(f"{own},{name}\n" for name, own in ids.items()))


def test_open_images(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "validation")
    write_open_images(bccd, tmp_path)
    assert list_splits(tmp_path) == ("validation",)
    content, problems = find_split(str(tmp_path)).read_instances()
    ours, theirs = rows_of(content), bccd.rows()
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    np.testing.assert_allclose([row[2:] for row in ours], [row[2:] for row in theirs], atol=1e-5)
    assert [own["iscrowd"] for own in content["annotations"]].index(1) == 0
    assert sum(own["iscrowd"] for own in content["annotations"]) == 1
    assert "groups are crowds" in problems[-1].what


def test_open_images_as_fiftyone_lays_it(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "data")
    write_open_images(bccd, tmp_path)
    for name, place in (
        ("validation-annotations-bbox", "labels/detections"),
        ("class-descriptions-boxable", "metadata/classes"),
    ):
        (tmp_path / place).parent.mkdir()
        (tmp_path / f"{name}.csv").rename(tmp_path / f"{place}.csv")
    assert list_splits(tmp_path) == ("all",)
    assert len(rows_of(find_split(str(tmp_path)).read_instances()[0])) == len(bccd.rows())


def test_width_and_height_of_the_box_are_not_the_images(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    lines = ["image,class,xmin,ymin,xmax,ymax,width,height", "a.png,cup,1,2,21,17,20,15", "b.png,cup,1,2,21,17,60,40"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    assert read_truth(str(tmp_path)).image_sizes.tolist() == [[40, 60], [40, 60]]


def test_images_of_one_name_in_two_folders_are_not_taken_for_one(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    lines = [f"{name},cup,{x},2,{x + 9},14" for x, name in enumerate(["a.png", "left/a.png", "./a.png", "left\\a.png"])]
    (tmp_path / "labels.csv").write_text("\n".join(["image,class,x1,y1,x2,y2", *lines]))
    assert len(read_truth(str(tmp_path))) == 4
    (tmp_path / "labels.csv").write_text("\n".join(["image,class,x1,y1,x2,y2", *lines, "right/a.png,cup,5,2,9,4"]))
    (problem, *_) = check_coco(tmp_path).splits[0].problems
    assert (
        str(problem)
        == "file labels.csv, line 6: a.png would be the image of left and of right: give each a file of its own"
    )
