"""Pascal VOC folders, held against detectron2's own reader and the COCO original."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
from detectron2.data.datasets.pascal_voc import load_voc_instances
from PIL import Image

from explorer.data.check import check_coco
from explorer.data.coco import class_names, register_coco
from explorer.data.layout import find_split, list_splits
from explorer.scoring.runs import read_truth
from tests.data.formats.conftest import Original, rows_of


def xml_of(image: dict[str, Any], objects: list[tuple[str, list[float]]], more: str = "") -> str:
    """As VOC's development kit has it: corners count pixels from 1, and both belong to the object."""
    size = f"<size><width>{image['width']}</width><height>{image['height']}</height><depth>3</depth></size>"
    boxes = "".join(
        f"<object><name>{escape(name)}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
        f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
        for name, (x, y, w, h) in objects
    )
    return f"<annotation><filename>{image['file_name']}</filename>{size}{boxes}{more}</annotation>"


def write_xml(original: Original, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for image in original.content["images"]:
        objects = [(original.names[own["category_id"]], own["bbox"]) for own in original.objects(image["id"])]
        (folder / image["file_name"]).with_suffix(".xml").write_text(xml_of(image, objects))


def test_vocs_own_layout_as_detectron2_reads_it(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "JPEGImages")
    write_xml(bccd, tmp_path / "Annotations")
    stems = [Path(image["file_name"]).stem for image in bccd.content["images"]]
    sets = tmp_path / "ImageSets/Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("\n".join(stems[:50]))
    (sets / "val.txt").write_text("\n".join(stems[50:]))
    (sets / "WBC_val.txt").write_text("\n".join(f"{stem} -1" for stem in stems[50:]))
    assert list_splits(tmp_path) == ("train", "val")
    content, _ = find_split(f"{tmp_path}:val").read_instances()
    names = sorted(bccd.names.values())
    theirs = load_voc_instances(str(tmp_path), "val", names)
    rows = [
        (Path(record["file_name"]).name, names[own["category_id"]], *own["bbox"])
        for record in theirs
        for own in record["annotations"]
    ]
    assert sorted(rows) == sorted((file, label, x, y, x + w, y + h) for file, label, x, y, w, h in rows_of(content))
    assert set(rows_of(content)) <= set(bccd.rows())
    assert class_names(register_coco(f"{tmp_path}:train")) == class_names(register_coco(f"{tmp_path}:val"))


def test_files_beside_their_images(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "valid")
    write_xml(bccd, tmp_path / "valid")
    assert list_splits(tmp_path) == ("valid",)
    assert rows_of(find_split(str(tmp_path)).read_instances()[0]) == bccd.rows()
    truth, original = read_truth(str(tmp_path)), read_truth(bccd.source)
    assert truth.areas_px.sum() == pytest.approx(
        original.boxes_xywh.prod(axis=1, where=[False, False, True, True]).sum()
    )


def test_supervision_reads_the_same(bccd: Original, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    bccd.link_images(tmp_path / "JPEGImages")
    write_xml(bccd, tmp_path / "Annotations")
    other = supervision.DetectionDataset.from_pascal_voc(str(tmp_path / "JPEGImages"), str(tmp_path / "Annotations"))
    rows = [
        (Path(path).name, other.classes[index], *box)
        for path, _, found in other
        for box, index in zip(found.xyxy.tolist(), found.class_id.tolist(), strict=True)
    ]
    content, _ = find_split(str(tmp_path)).read_instances()
    own = sorted((name, label, x, y, x + w, y + h) for name, label, x, y, w, h in rows_of(content))
    assert [row[:2] for row in sorted(rows)] == [row[:2] for row in own]
    np.testing.assert_allclose([row[2:] for row in sorted(rows)], [row[2:] for row in own], atol=1e-3)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "JPEGImages/a.png")
    return tmp_path


IMAGE = {"file_name": "a.png", "width": 60, "height": 40}


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        (["nan", 1, 5, 5], "not-finite"),
        (["1e999", 1, 5, 5], "not-finite"),
        (["", 1, 5, 5], "not-finite"),
        ([9, 9, 2, 2], "zero-area"),
        ([100, 1, 120, 5], "box-outside"),
        ([1, 1, 90, 5], "box-over-edge"),
    ],
)
def test_what_is_wrong_with_an_object_is_named(small: Path, box: list[Any], kind: str) -> None:
    corners = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    wrong = f"<object><name>cup</name><bndbox>{corners}</bndbox></object>"
    (small / "Annotations/a.xml").write_text(xml_of(IMAGE, [("cup", [1, 2, 3, 4])], wrong))
    (report,) = check_coco(small).splits
    assert set(report.counts) == {kind, "format"}


def test_sizes_and_names_that_files_lack(small: Path) -> None:
    """Programs write size 0, a path of another machine, polygons instead of boxes, and difficult objects."""
    polygon = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate([(1, 1), (11, 1), (11, 21)], 1))
    more = f"<object><name>cup</name><difficult>1</difficult><polygon>{polygon}</polygon></object>"
    image = {"file_name": r"C:\pictures\b.jpg", "width": 0, "height": 0}
    (small / "Annotations/a.xml").write_text(xml_of(image, [], more))
    content, problems = find_split(str(small)).read_instances()
    assert content["images"] == [{"id": "a", "file_name": "a.png", "height": 40, "width": 60}]
    (cup,) = content["annotations"]
    assert (cup["bbox"], cup["difficult"]) == ([0, 0, 10, 20], 1)
    assert [own.kind for own in problems] == ["format"]


def test_coordinates_that_count_from_0_are_said(small: Path) -> None:
    (small / "Annotations/a.xml").write_text(xml_of(IMAGE, [("cup", [0, 2, 3, 4]), ("cup", [-1, 2, 3, 4])]))
    (report,) = check_coco(small).splits
    assert report.counts == {"format": 2}
    assert any("1 boxes start at 0: coordinates count from 0" in str(own) for own in report.problems)


def test_a_copy_that_names_its_originals_image_is_of_its_own(small: Path) -> None:
    """As detectron2 and torchvision read it; augmentation often leaves `filename` as it was."""
    Image.new("RGB", (60, 40)).save(small / "JPEGImages/a_flipped.png")
    for stem, x in (("a", 1), ("a_flipped", 50)):
        (small / f"Annotations/{stem}.xml").write_text(xml_of(IMAGE, [("cup", [x, 2, 3, 4])]))
    content, _ = find_split(str(small)).read_instances()
    assert [own["file_name"] for own in content["images"]] == ["a.png", "a_flipped.png"]
    assert [(own["image_id"], own["bbox"][0]) for own in content["annotations"]] == [("a", 1), ("a_flipped", 50)]
    (small / "JPEGImages/a_flipped.png").unlink()
    (report,) = check_coco(small).splits
    assert "same image as a.xml" in str(report.problems[0])
    assert not report.ok


BOMB = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"{BOMB}<annotation><filename>&c;</filename></annotation>", "document type"),
        (f"{OUTSIDE}<annotation><filename>&b;</filename></annotation>", "document type"),
        ("<annotation>&b;</annotation>", "cannot be read as XML"),
        ("<annotation>", "cannot be read as XML"),
        ("", "cannot be read as XML"),
        ("<a>" * 5000, "elements in each other"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "cannot be read as XML"),
    ],
)
def test_hostile_files_are_refused(small: Path, text: str, what: str) -> None:
    (small / "Annotations/a.xml").write_text(text)
    (report,) = check_coco(small).splits
    assert what in str(report.problems[0])
    assert report.problems[0].kind == "structure"
    with pytest.raises(ValueError, match="structure"):
        register_coco(str(small))


def test_names_do_not_lead_out(small: Path) -> None:
    Image.new("RGB", (60, 40)).save(small / "secret.png")
    (small / "Annotations/b.xml").write_text(xml_of(IMAGE | {"file_name": "../secret.png"}, [("cup", [1, 2, 3, 4])]))
    (report,) = check_coco(small).splits
    assert report.counts["missing-image"] == 1  # b.jpg, as a name without its folder is looked for
