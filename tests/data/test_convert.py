"""Data sets written in other formats: what comes back is what was there, to the last digit of a score's AP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from explorer.data.convert import convert
from explorer.data.layout import find_split, list_splits
from explorer.data.polygons import one_polygon
from explorer.data.truth import ground_truth
from explorer.data.writers import WRITERS, class_names
from explorer.scoring.metrics import metrics_of
from explorer.scoring.runs import load_run, read_truth

Tiny = Any


def write_results(source: str, path: Path) -> Path:
    """Detections beside the objects, with scores of chance, that name their images and classes."""
    chance = np.random.default_rng(0)
    truth, results = read_truth(source), []
    for row, box in zip(truth.images.tolist(), truth.boxes_xywh, strict=True):
        for shift in (0.03, 0.2):
            moved = box + chance.normal(0, shift, 4) * box[[2, 3, 2, 3]]
            moved[2:] = np.maximum(moved[2:], 1)
            results.append(
                {
                    "image_id": Path(truth.file_names[row]).name,
                    "category_id": 1000,
                    "category_name": truth.class_names[int(chance.integers(len(truth.class_names)))],
                    "bbox": moved.tolist(),
                    "score": float(chance.random()),
                }
            )
    for result, own in zip(results[::2], truth.classes.tolist(), strict=True):
        result["category_name"] = truth.class_names[own]
    path.write_text(json.dumps(results))
    return path


def figures(results: Path, data: str) -> dict[str, float]:
    run = load_run(results, data)
    return {name: value for name, value in metrics_of(run).values["bbox"].items() if value == value}


@pytest.mark.parametrize("to", WRITERS)
def test_average_precision_stays_what_it_was(shared: Path, tmp_path: Path, to: str) -> None:
    source = f"{shared}/data/bccd:test"
    results = write_results(source, tmp_path / "results.json")
    written = convert(source, tmp_path / "out", to)
    assert list_splits(written.out) == ("test",)
    before, after = figures(results, source), figures(results, f"{written.out}:test")
    assert before["AP"] > 10  # BCCD has boxes alone, which are polygons of four corners in yolo-seg
    for name, value in before.items():
        assert after[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("to", ["yolo", "voc"])
def test_there_and_back(shared: Path, tmp_path: Path, to: str) -> None:
    source = f"{shared}/data/coco-tiny:val2017"
    written = convert(source, tmp_path / "there", to, link=True)
    back = convert(written.out, tmp_path / "back", "coco", link=True)
    assert any("5 crowds" in line for line in written.lost) == (to == "yolo")
    name = next(iter(back.splits))
    ours, theirs = read_truth(f"{back.out}:{name}"), read_truth(source)
    kept = ~theirs.crowds | (to == "voc")  # where crowds are difficult objects
    np.testing.assert_array_equal(ours.crowds, theirs.crowds[kept])
    names = np.array(theirs.class_names)[theirs.classes[kept]].tolist()
    assert np.array(ours.class_names)[ours.classes].tolist() == names
    np.testing.assert_allclose(ours.boxes_xywh, theirs.boxes_xywh[kept], atol=1e-9)
    COCO(str(back.out / "annotations" / f"instances_{name}.json"))  # numbers as ids, as its tools want


def test_masks_become_polygons_that_fill_the_same_pixels(shared: Path, tmp_path: Path) -> None:
    """22 of the 377 objects have several parts, which are one polygon there."""
    source = f"{shared}/data/coco-tiny:val2017"
    written = convert(source, tmp_path / "out", "yolo-seg", link=True)
    ours, theirs = read_truth(f"{written.out}:val"), read_truth(source)
    kept = np.flatnonzero(~theirs.crowds)
    assert (
        np.array(ours.class_names)[ours.classes].tolist() == np.array(theirs.class_names)[theirs.classes[kept]].tolist()
    )
    overlaps = [
        mask_api.iou([ours.masks[place]], [theirs.masks[wanted]], [0])[0, 0] for place, wanted in enumerate(kept)
    ]
    assert len(overlaps) == 377
    assert min(overlaps) > 0.99
    assert np.mean(overlaps) > 0.9999
    assert not any("masks" in line for line in written.lost)


def test_a_mask_with_a_hole_and_an_object_without_a_mask_are_polygons() -> None:
    pixels = np.zeros((30, 40), np.uint8)
    pixels[5:25, 8:30] = 1
    pixels[10:15, 12:20] = 0
    pixels[26:29, 33:38] = 1
    rle = mask_api.encode(np.asfortranarray(pixels))
    polygon = one_polygon({"segmentation": {"size": [30, 40], "counts": rle["counts"].decode()}}, (30, 40))
    drawn = mask_api.frPyObjects([polygon.ravel().tolist()], 30, 40)
    assert mask_api.iou(drawn, [rle], [0])[0, 0] > 0.97  # corners are cut
    box = one_polygon({"bbox": [1, 2, 3, 4]}, (30, 40))
    assert box.tolist() == [[1, 2], [4, 2], [4, 6], [1, 6]]


def test_cocos_own_content_stays(shared: Path, tmp_path: Path) -> None:
    source = f"{shared}/data/coco-tiny:val2017"
    written = convert(source, tmp_path / "out", "coco")
    content, original = ground_truth(f"{written.out}:val2017"), ground_truth(source)
    assert content == original
    assert written.lost == ()
    assert not (tmp_path / "out/val2017/000000397133.jpg").is_symlink()


def test_yolos_file_is_what_ultralytics_reads(tiny_coco: Tiny, tmp_path: Path) -> None:
    written = convert(tiny_coco.source, tmp_path / "out", "yolo")
    described = yaml.safe_load((written.out / "data.yaml").read_text())
    assert described == {"train": "images/train", "names": {0: "box", 1: "cup"}}
    assert (written.out / "labels/train/1.txt").read_text().startswith("0 0.25 0.4375 0.3333333333333333 0.375\n")
    assert (written.out / "labels/train/4.txt").read_text() == ""
    assert any("6 masks" in line for line in written.lost)


@pytest.mark.parametrize("ids", [[7, 900719925474099300, "a", "007"], ["p", "q", "r", "ä"]])
def test_ids_come_back_unchanged(tiny_coco: Tiny, tmp_path: Path, ids: list[Any]) -> None:
    tiny_coco.rename(ids)
    written = convert(tiny_coco.source, tmp_path / "out", "coco")
    ours, theirs = read_truth(f"{written.out}:train"), read_truth(tiny_coco.source)
    for column in ("image_ids", "category_ids", "ids"):
        assert getattr(ours, column).tolist() == getattr(theirs, column).tolist()


def test_what_cannot_be_scored_is_left_out_and_said(tiny_coco: Tiny, tmp_path: Path) -> None:
    tiny_coco.data["annotations"][0]["bbox"] = [1, 2, float("nan"), 4]
    tiny_coco.save()
    written = convert(tiny_coco.source, tmp_path / "out", "yolo")
    assert "train: left out 1 not-finite." in written.lost
    assert written.splits == {"train": (4, 5)}


def test_wrong_calls_leave_nothing_behind(tiny_coco: Tiny, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").touch()
    for to, out, what in (("kitti", tmp_path / "out", "no writer"), ("coco", full, "not empty")):
        with pytest.raises(ValueError, match=what):
            convert(tiny_coco.source, out, to)
    tiny_coco.image(3).unlink()
    with pytest.raises(ValueError, match="no image"):
        convert(tiny_coco.source, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    tiny_coco.data["images"][2]["file_name"] = "../../../x.png"
    tiny_coco.save()
    before = set(tmp_path.rglob("*"))
    for to in WRITERS:
        with pytest.raises(ValueError, match="outside"):
            convert(tiny_coco.source, tmp_path / "out", to)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("to", WRITERS)
def test_splits_with_classes_of_their_own_keep_them(tmp_path: Path, to: str) -> None:
    """YOLO numbers classes once for all splits; a file of COCO's may list only the classes that its images have."""
    (tmp_path / "data/annotations").mkdir(parents=True)
    for split, names in (("train", {1: "car", 2: "bus"}), ("val", {1: "bus", 7: "tram"})):
        (tmp_path / "data" / split).mkdir()
        Image.new("RGB", (60, 40)).save(tmp_path / "data" / split / f"{split}.png")
        boxes = [
            {"id": own, "image_id": 1, "category_id": own, "bbox": [own, 2, 20, 10], "area": 200, "iscrowd": 0}
            for own in names
        ]
        content = {
            "images": [{"id": 1, "file_name": f"{split}.png", "width": 60, "height": 40}],
            "categories": [{"id": own, "name": name} for own, name in names.items()],
            "annotations": boxes,
        }
        (tmp_path / f"data/annotations/instances_{split}.json").write_text(json.dumps(content))
    convert(tmp_path / "data", tmp_path / "out", to)
    for split, expected in (("train", {"car", "bus"}), ("val", {"bus", "tram"})):
        truth = read_truth(f"{tmp_path}/out:{split}")
        assert {truth.class_names[row] for row in truth.classes.tolist()} == expected


@pytest.mark.parametrize("to", WRITERS)
def test_a_split_whose_name_leads_out_stays_inside(tiny_coco: Tiny, tmp_path: Path, to: str) -> None:
    """`instances_...json` is the split `..`, as a key of a `data.yaml` and a subset of CVAT may be."""
    annotations, images = tmp_path / "data/annotations", tmp_path / "data"
    annotations.mkdir(parents=True)
    (annotations / "instances_...json").write_text(json.dumps(tiny_coco.data))
    for image in tiny_coco.data["images"]:
        shutil.copy(tiny_coco.root / "train" / image["file_name"], tmp_path)  # where `..` leads
    convert(images, tmp_path / "deep/er/out", to)
    assert [path.name for path in (tmp_path / "deep/er").iterdir()] == ["out"]
    assert not [path for path in (tmp_path / "deep").iterdir() if path.name != "er"]


def test_names_that_a_format_cannot_hold(tiny_coco: Tiny, tmp_path: Path) -> None:
    tiny_coco.data["categories"][0]["name"] = "a\x01b"
    tiny_coco.save()
    with pytest.raises(ValueError, match="XML cannot hold"):
        convert(tiny_coco.source, tmp_path / "voc", "voc")
    convert(tiny_coco.source, tmp_path / "yolo", "yolo")
    assert read_truth(f"{tmp_path / 'yolo'}").class_names == ("box", "a\x01b")


def test_an_image_of_another_size_than_its_annotations_say_is_not_passed_on(tiny_coco: Tiny, tmp_path: Path) -> None:
    """As one that EXIF turns, and that was annotated as it is stored: its boxes would be elsewhere."""
    with Image.open(tiny_coco.image(1)) as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tiny_coco.image(1), exif=exif)
    with pytest.raises(ValueError, match="has 40 x 60 px, its annotations say 60 x 40"):
        convert(tiny_coco.source, tmp_path / "yolo", "yolo")
    assert not (tmp_path / "yolo").exists()


def test_yolo_has_nothing_beyond_the_edge(tiny_coco: Tiny, tmp_path: Path) -> None:
    """Ultralytics leaves out a whole image with a coordinate beyond its edge."""
    first, second = tiny_coco.data["annotations"][:2]
    first |= {"bbox": [-5, 30, 20, 15], "segmentation": [[-5, 30, 15, 30, 15, 45, -5, 45]]}
    second |= {"bbox": [70, 10, 20, 15], "segmentation": [[70, 10, 90, 10, 90, 25]]}
    tiny_coco.save()
    for to in ("yolo", "yolo-seg"):
        written = convert(tiny_coco.source, tmp_path / to, to)
        assert any(said.endswith("Clipped at the image's edge: 1 objects.") for said in written.lost)
        assert any("nothing of them lies in the image: 1 objects" in said for said in written.lost)
        (line,) = (tmp_path / to / "labels/train/1.txt").read_text().splitlines()
        assert 0 <= min(map(float, line.split()[1:])) < max(map(float, line.split()[1:])) <= 1
        content, _ = find_split(str(tmp_path / to)).read_instances()
        assert content["annotations"][0]["bbox"] == pytest.approx([0, 30, 15, 10])


def test_names_of_voc_may_have_spaces(tiny_coco: Tiny, tmp_path: Path) -> None:
    for image in tiny_coco.data["images"]:
        tiny_coco.image(image["id"]).rename(tiny_coco.root / "train" / f"photo {image['id'] % 2} {image['id']}.png")
        image["file_name"] = f"photo {image['id'] % 2} {image['id']}.png"
    tiny_coco.save()
    convert(tiny_coco.source, tmp_path / "voc", "voc")
    (tmp_path / "voc/ImageSets/Main/cup_train.txt").write_text("photo 1 1 -1\nphoto 0 2  1\n")
    assert list_splits(tmp_path / "voc") == ("train",)
    content, _ = find_split(str(tmp_path / "voc")).read_instances()
    assert len(content["annotations"]) == len(tiny_coco.data["annotations"])


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Co", "Cn"]), min_size=1, max_size=12).map(str.strip)
CORNERS, SIDES = st.floats(0.01, 39, allow_nan=False), st.floats(0.01, 5000, allow_nan=False)


@settings(max_examples=25, deadline=None)
@given(st.lists(NAMES.filter(bool), min_size=2, max_size=2, unique=True), st.tuples(CORNERS, CORNERS, SIDES, SIDES))
def test_any_box_and_name_come_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], box: tuple[float, ...]
) -> None:
    root = tmp_path_factory.mktemp("any")
    image = {"id": 1, "file_name": "a.png", "width": 60, "height": 40}
    categories = [{"id": place, "name": name} for place, name in enumerate(names)]
    annotations = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": list(box), "area": 1.0, "iscrowd": 0}]
    content = {"images": [image], "categories": categories, "annotations": annotations}

    Image.new("RGB", (60, 40)).save(root / "a.png")
    x, y, w, h = box
    for to, writer in WRITERS.items():
        folder = root / to
        images = folder / writer.images_folder.format(split="val")
        images.mkdir(parents=True)
        (images / "a.png").write_bytes((root / "a.png").read_bytes())
        names = class_names([content])
        writer.write(folder, "val", content, names)
        writer.finish(folder, ["val"], names)
        again, _ = find_split(f"{folder}:val").read_instances()
        (own,) = again["annotations"]
        expected = [x, y, min(w, 60 - x), min(h, 40 - y)] if to.startswith("yolo") else list(box)
        assert own["bbox"] == pytest.approx(expected, abs=1e-9)
        assert {c["id"]: c["name"] for c in again["categories"]}[own["category_id"]] == names[1]
