"""CVAT for images 1.1: BCCD and COCO masks as its documentation has them."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from explorer.data.check import check_coco
from explorer.data.coco import class_names, register_coco
from explorer.data.layout import find_split, list_splits
from explorer.data.masks import compressed
from tests.data.formats.conftest import Original, rows_of


def document(names: list[str], images: str) -> str:
    labels = "".join(f"<label><name>{name}</name></label>" for name in names)
    return (
        f"<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta>{images}</annotations>"
    )


def write(original: Original, path: Path, masks: bool = False, subset: str = "") -> None:
    parts = []
    for image in original.content["images"]:
        parts.append(
            f'<image id="{image["id"]}" name={quoteattr(image["file_name"])} {subset} width="{image["width"]}" '
            f'height="{image["height"]}">'
        )
        for own in original.objects(image["id"]):
            label, (x, y, w, h) = original.names[own["category_id"]], own["bbox"]
            if masks:
                rle = compressed(own["segmentation"], (image["height"], image["width"]))
                left, top, width, height = map(int, mask_api.toBbox(rle))
                values = mask_api.decode(rle)[top : top + height, left : left + width].ravel()
                edges = np.flatnonzero(np.diff(values, prepend=0, append=2))
                runs = np.diff(edges, prepend=0)
                runs = [*runs.tolist()]
                parts.append(
                    f'<mask label="{label}" rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" '
                    f'width="{width}" height="{height}"/>'
                )
            else:
                parts.append(f'<box label="{label}" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" occluded="0"/>')
        parts.append("</image>")
    path.write_text(document(list(original.names.values()), "".join(parts)))


@pytest.mark.parametrize(("file", "images"), [("annotations.xml", "images"), ("labels.xml", "data")])
def test_boxes_ids_and_order_of_classes(bccd: Original, tmp_path: Path, file: str, images: str) -> None:
    """As CVAT's own export lies, and as FiftyOne's does."""
    bccd.link_images(tmp_path / images)
    write(bccd, tmp_path / file)
    content, problems = find_split(str(tmp_path)).read_instances()
    assert rows_of(content) == bccd.rows()
    assert [own["id"] for own in content["images"]] == [own["id"] for own in bccd.content["images"]]
    assert class_names(register_coco(str(tmp_path))) == tuple(bccd.names.values())
    assert [own.kind for own in problems] == ["format"]


def test_subsets_are_splits(bccd: Original, tmp_path: Path) -> None:
    bccd.link_images(tmp_path / "images/Train")
    write(bccd, tmp_path / "annotations.xml", subset='subset="Train"')
    assert list_splits(tmp_path) == ("Train",)
    assert rows_of(find_split(f"{tmp_path / 'annotations.xml'}:Train").read_instances()[0]) == bccd.rows()


def test_masks_are_cocos(coco_tiny: Original, tmp_path: Path) -> None:
    coco_tiny.link_images(tmp_path / "images")
    write(coco_tiny, tmp_path / "annotations.xml", masks=True)
    content, problems = find_split(str(tmp_path)).read_instances()
    assert [own.kind for own in problems] == ["format"]
    sizes = {own["id"]: (own["height"], own["width"]) for own in coco_tiny.content["images"]}
    for ours, theirs in zip(
        content["annotations"],
        (own for image in coco_tiny.content["images"] for own in coco_tiny.objects(image["id"])),
        strict=True,
    ):
        size = sizes[theirs["image_id"]]
        a, b = (mask_api.decode(compressed(own["segmentation"], size)) for own in (ours, theirs))
        assert (a == b).all()


IMAGE = '<image id="0" name="a.png" width="60" height="40">{}</image>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    return tmp_path


def test_turned_and_round_shapes_are_upright_boxes(folder: Path) -> None:
    shapes = (
        '<box label="cup" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90"/>'
        '<ellipse label="cup" cx="20" cy="20" rx="10" ry="5" rotation="90"/>'
        '<polygon label="cup" points="1,2;11,2;11,22"/><points label="cup" points="1,1"/><tag label="cup"/>'
    )
    (folder / "annotations.xml").write_text(document(["cup"], IMAGE.format(shapes)))
    content, problems = find_split(str(folder)).read_instances()
    boxes = [own["bbox"] for own in content["annotations"]]
    assert boxes == [pytest.approx([15, 5, 10, 20]), pytest.approx([15, 10, 10, 20]), [1, 2, 10, 20]]
    assert [own.kind for own in problems] == ["no-object", "no-object", "format"]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ('<box label="cup" xtl="nan" ytl="1" xbr="3" ybr="4"/>', "not-finite"),
        ('<box label="cup"/>', "not-finite"),
        ('<polygon label="cup" points=""/>', "not-finite"),
        ('<polygon label="cup" points="1,2;3,4"/>', "short-polygon"),
        ('<mask label="cup" rle="1,2" left="0" top="0" width="2" height="2"/>', "bad-box"),
        ('<mask label="cup" rle="4" left="59" top="0" width="2" height="2"/>', "bad-box"),
        ('<mask label="cup" rle="x" left="0" top="0" width="2" height="2"/>', "bad-box"),
        (f'<mask label="cup" rle="{"9" * 5000}" left="0" top="0" width="2" height="2"/>', "bad-box"),
        (f'<mask label="cup" rle="{10**12}" left="0" top="0" width="1000000" height="1000000"/>', "bad-box"),
    ],
)
def test_what_is_wrong_with_a_shape_is_named(folder: Path, shape: str, kind: str) -> None:
    box = '<box label="cup" xtl="1" ytl="1" xbr="13" ybr="14"/>'
    (folder / "annotations.xml").write_text(document(["cup"], IMAGE.format(box + shape)))
    (report,) = check_coco(folder).splits
    assert set(report.counts) - {"no-mask", "empty-image"} == {kind, "format"}


def test_video_and_other_xml_is_an_error(folder: Path) -> None:
    (folder / "annotations.xml").write_text("<annotations><track/></annotations>")
    with pytest.raises(ValueError, match="for video"):
        find_split(str(folder))
    (folder / "annotations.xml").write_text("<html/>")
    with pytest.raises(ValueError, match="not an annotation file of CVAT"):
        find_split(str(folder / "annotations.xml"))
