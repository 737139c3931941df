"""YOLO folders: the layouts that people have, held against the COCO original and, where installed, supervision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer.data.check import check_coco
from explorer.data.coco import class_names, register_coco
from explorer.data.formats.yolo import SAYS
from explorer.data.layout import find_split, list_splits
from explorer.scoring.runs import read_truth
from tests.data.formats.conftest import Original, rows_of

SIZE = (40, 60)
Folder = Callable[..., Path]


def write_labels(original: Original, folder: Path) -> None:
    """As Ultralytics' documentation has it: class, centre and size in shares of the image; no file without objects."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {key: place for place, key in enumerate(original.names)}
    for image in original.content["images"]:
        width, height = image["width"], image["height"]
        lines = []
        for own in original.objects(image["id"]):
            x, y, w, h = own["bbox"]
            shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
            lines.append(f"{index[own['category_id']]} {' '.join(map(repr, shares))}\n")
        if lines:
            (folder / image["file_name"]).with_suffix(".txt").write_text("".join(lines))


def names_file(original: Original, **keys: Any) -> str:
    return yaml.safe_dump({"names": list(original.names.values()), **keys})


@pytest.fixture
def small(tmp_path: Path) -> Folder:
    """Makes a folder with one image and its labels."""

    def make(labels: str, **keys: Any) -> Path:
        root = tmp_path / "small"
        (root / "images/val").mkdir(parents=True, exist_ok=True)
        (root / "labels/val").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(root / "images/val/a.png")
        (root / "labels/val/a.txt").write_text(labels)
        (root / "data.yaml").write_text(yaml.safe_dump({"names": ["cat", "dog"], "val": "images/val", **keys}))
        return root

    return make


@pytest.mark.parametrize(
    ("images", "labels", "keys"),
    [
        ("images/val", "labels/val", {"val": "images/val"}),
        ("valid/images", "valid/labels", {"val": "../valid/images"}),
        ("valid/images", "valid/labels", {"path": "/content/datasets/cells", "val": "valid/images"}),
        ("images/val", "labels/val", {"path": "../datasets/cells", "val": ["images/val"]}),
        ("images", "labels", {"path": ".", "val": "images"}),
        ("val", "val", {"val": "val"}),
    ],
    ids=["ultralytics", "roboflow", "absolute path", "list of folders", "flat", "labels beside images"],
)
def test_layouts_say_what_the_original_says(
    bccd: Original, tmp_path: Path, images: str, labels: str, keys: dict[str, Any]
) -> None:
    bccd.link_images(tmp_path / images)
    write_labels(bccd, tmp_path / labels)
    (tmp_path / "data.yaml").write_text(names_file(bccd, **keys))
    assert list_splits(tmp_path) == ("val",)
    content, problems = find_split(f"{tmp_path}:val").read_instances()
    assert rows_of(content) == bccd.rows()
    assert [(own.kind, own.what) for own in problems] == [("format", SAYS)]


def test_label_studios_and_darknets_layout(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "images")
    write_labels(bccd, tmp_path / "labels")
    (tmp_path / "classes.txt").write_text("\n".join(bccd.names.values()))
    content, _ = find_split(str(tmp_path)).read_instances()
    assert rows_of(content) == bccd.rows()


def test_a_list_of_images(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "images/all")
    write_labels(bccd, tmp_path / "labels/all")
    names = [image["file_name"] for image in bccd.content["images"]]
    (tmp_path / "train.txt").write_text("".join(f"./images/all/{name}\n" for name in names[:40]))
    (tmp_path / "val.txt").write_text("".join(f"/kaggle/input/cells/images/all/{name}\n" for name in names[40:]))
    (tmp_path / "cells.yaml").write_text(names_file(bccd, train="train.txt", val="val.txt"))
    rows = [row for split in ("train", "val") for row in rows_of(find_split(f"{tmp_path}:{split}").read_instances()[0])]
    assert sorted(rows) == bccd.rows()
    assert find_split(f"{tmp_path / 'cells.yaml'}:val").images == tmp_path


def test_it_is_registered_and_scored_as_any_other(coco_tiny: Original, tmp_path: Path) -> None:
    coco_tiny.link_images(tmp_path / "images/val")
    write_labels(coco_tiny, tmp_path / "labels/val")
    (tmp_path / "data.yaml").write_text(names_file(coco_tiny, val="images/val"))
    name = register_coco(str(tmp_path))
    assert name == f"{tmp_path}:val"
    assert class_names(name) == class_names(register_coco(coco_tiny.source))
    truth, original = read_truth(name), read_truth(coco_tiny.source)
    assert truth.image_ids.tolist() == original.image_ids.tolist()  # file names are COCO's numbers
    np.testing.assert_allclose(truth.boxes_xywh, original.boxes_xywh, atol=1e-6)
    assert not truth.crowds.any()


def test_supervision_reads_the_same(bccd: Original, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    bccd.link_images(tmp_path / "images/val")
    write_labels(bccd, tmp_path / "labels/val")
    (tmp_path / "data.yaml").write_text(names_file(bccd, val="images/val"))
    other = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images/val"), str(tmp_path / "labels/val"), str(tmp_path / "data.yaml")
    )
    rows = [
        (Path(path).name, other.classes[index], *box)
        for path, _, found in other
        for box, index in zip(found.xyxy.tolist(), found.class_id.tolist(), strict=True)
    ]
    own = [
        (name, label, x, y, x + w, y + h)
        for name, label, x, y, w, h in rows_of(find_split(str(tmp_path)).read_instances()[0])
    ]
    assert [row[:2] for row in sorted(rows)] == [row[:2] for row in sorted(own)]
    np.testing.assert_allclose([row[2:] for row in sorted(rows)], [row[2:] for row in sorted(own)], atol=1e-3)


def test_polygons_and_oriented_boxes_are_masks(small: Folder) -> None:
    root = small("1 0.1 0.1 0.5 0.1 0.5 0.9\n0 .1 .1 .2 .1 .2 .2 .1 .2\n0 0.5 0.5 0.5 0.5\n")
    triangle, corners, box = find_split(str(root)).read_instances()[0]["annotations"]
    assert triangle["segmentation"] == [pytest.approx([6, 4, 30, 4, 30, 36])]
    assert triangle["bbox"] == pytest.approx([6, 4, 24, 32])
    assert corners["bbox"] == pytest.approx([6, 4, 6, 4])
    assert "segmentation" not in box
    truth = read_truth(str(root))
    assert truth.areas_px[2] == 600
    assert truth.masks is not None


def test_of_a_pose_the_box_is_taken(small: Folder) -> None:
    root = small("0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 2\n", kpt_shape=[2, 3])
    (pose,) = find_split(str(root)).read_instances()[0]["annotations"]
    assert pose["bbox"] == [15, 10, 30, 20]


def test_names_by_number_and_without_names(small: Folder) -> None:
    root = small("7 .5 .5 .5 .5\n", names={7: "dog", 3: "cat"})
    assert class_names(register_coco(str(root))) == ("cat", "dog")
    (root / "data.yaml").write_text("nc: 8\nval: images/val\n")
    assert class_names(register_coco(str(root)))[7] == "class 7"


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ("0 nan 0.5 0.1 0.1", "not-finite"),
        ("0 1e400 0.5 0.1 0.1", "not-finite"),
        ("0 0.5 0.5 x 0.1", "not-finite"),
        (f"0 0.5 0.5 {'9' * 5000} 0.1", "not-finite"),
        ("0 0.5 0.5 0 0.1", "zero-area"),
        ("0 3 3 0.1 0.1", "box-outside"),
        ("0 0.5 0.5 1.5 0.1", "box-over-edge"),
        ("0 0.5 0.5 0.1", "bad-box"),
        ("0 0.5 0.5 0.1 0.1 0.9", "bad-box"),
        ("2 0.5 0.5 0.1 0.1", "unknown-category"),
        ("-1 0.5 0.5 0.1 0.1", "unknown-category"),
        ("cat 0.5 0.5 0.1 0.1", "unknown-category"),
        ("nan 0.5 0.5 0.1 0.1", "unknown-category"),
    ],
)
def test_what_is_wrong_with_a_line_is_named(small: Folder, labels: str, kind: str) -> None:
    (report,) = check_coco(small(f"{labels}\n1 .5 .5 .5 .5\n")).splits
    assert set(report.counts) == {kind, "format"}


def test_missing_and_spare_files_are_named(small: Folder) -> None:
    root = small("0 .5 .5 .5 .5\n")
    (root / "labels/val/b.txt").write_text("0 .5 .5 .5 .5\n")
    Image.new("RGB", (5, 5)).save(root / "images/val/empty.png")
    (root / "images/val/broken.jpg").write_bytes(b"no image")
    (report,) = check_coco(root).splits
    assert report.counts == {"unreadable-image": 1, "unknown-image": 1, "format": 1}
    (root / "images/val/broken.jpg").unlink()
    (report,) = check_coco(root).splits
    assert report.counts == {"unknown-image": 1, "format": 1, "empty-image": 1}


def test_it_does_not_leave_its_folder(small: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere/images"
    elsewhere.mkdir(parents=True)
    Image.new("RGB", (5, 5)).save(elsewhere / "secret.png")
    for place in ("../elsewhere/images", str(elsewhere)):
        root = small("", val=place)
        with pytest.raises(ValueError, match="outside of its own folder"):
            find_split(str(root))
    root = small("0 .5 .5 .5 .5\n", val="list.txt")
    (root / "list.txt").write_text(f"../elsewhere/images/secret.png\n{elsewhere}/secret.png\n")
    assert {own.kind for own in find_split(str(root)).read_instances()[1]} == {"outside-image", "format"}


def test_links_out_of_the_folder_are_said(small: Folder, tmp_path: Path) -> None:
    root = small("0 .5 .5 .5 .5\n")
    (root / "images/val/a.png").rename(tmp_path / "a.png")
    (root / "images/val/a.png").symlink_to(tmp_path / "a.png")
    (report,) = check_coco(root).splits
    assert report.counts == {"linked-images": 1, "format": 1}
    assert report.ok


def test_a_change_is_noticed(small: Folder) -> None:
    root = small("0 .5 .5 .5 .5\n")
    assert len(read_truth(str(root))) == 1
    small("0 .5 .5 .5 .5\n1 .5 .5 .2 .2\n")
    assert len(read_truth(str(root))) == 2


@pytest.mark.parametrize("content", ["names: {}\nval: images/val\n", "val: images/val\n", "names: [a]\nval: [\n"])
def test_a_broken_description_is_an_error(small: Folder, content: str) -> None:
    root = small("")
    (root / "data.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"data\.yaml"):
        find_split(str(root / "data.yaml"))


def test_several_descriptions_must_be_told_apart(small: Folder) -> None:
    root = small("")
    (root / "data.yaml").rename(root / "a.yaml")
    (root / "b.yaml").write_text((root / "a.yaml").read_text())
    with pytest.raises(ValueError, match="name one"):
        find_split(str(root))
    assert find_split(str(root / "b.yaml")).source == f"{root / 'b.yaml'}:val"


@settings(max_examples=40, deadline=None)
@given(st.text(st.sampled_from("0123456789.-+einfa \n\x00é"), max_size=60))
def test_no_text_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "images").mkdir()
    Image.new("RGB", (8, 8)).save(root / "images/a.png")
    (root / "labels").mkdir()
    (root / "labels/a.txt").write_text(text)
    (root / "data.yaml").write_text("names: [a]\nval: images\n")
    check_coco(root)
