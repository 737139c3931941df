"""Each kind of problem: made on purpose, found by the check, and survived (or refused) by training as documented."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detectron2.config import get_cfg
from detectron2.data import build_detection_train_loader
from PIL import Image

from explorer.data.check import SplitReport, check_coco
from explorer.data.coco import class_names, register_coco
from explorer.data.mapper import CocoMapper
from explorer.data.problems import KINDS, table

Tiny = Any  # the fixture's class lives in conftest.py
ROOT = Path(__file__).resolve().parents[2]


def change(index: int = 0, **fields: Any) -> Callable[[Tiny], None]:
    return lambda tiny: tiny.data["annotations"][index].update(fields)


def change_image(**fields: Any) -> Callable[[Tiny], None]:
    return lambda tiny: tiny.data["images"][0].update(fields)


def repeat(section: str) -> Callable[[Tiny], None]:
    return lambda tiny: tiny.data[section].append(dict(tiny.data[section][0]))


def drop_mask(tiny: Tiny) -> None:
    del tiny.data["annotations"][0]["segmentation"]


def no_annotations(tiny: Tiny) -> None:
    tiny.data["annotations"].clear()


def rotate(tiny: Tiny, orientation: int = 6) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(tiny.image(1)) as image:
        image.save(tiny.image(1), exif=exif)


def damage(tiny: Tiny) -> None:
    content = tiny.image(1).read_bytes()
    tiny.image(1).write_bytes(content[: len(content) // 2])


def rename_alike(tiny: Tiny) -> None:
    for category in tiny.data["categories"]:
        category["name"] = "cup"


def in_shares(tiny: Tiny) -> None:
    for annotation in tiny.data["annotations"]:
        annotation |= {"bbox": [0.1, 0.2, 0.3, 0.4], "segmentation": []}
        annotation.pop("area")


def nothing(tiny: Tiny) -> None:
    pass


TRIANGLE = [5, 10, 25, 10, 25, 25]
# kind, how to make it, annotations that are left of the 6 (None: training stops)
CASES: list[tuple[str, Callable[[Tiny], None], int | None]] = [
    ("structure", lambda tiny: tiny.data.pop("categories"), None),
    ("structure", lambda tiny: tiny.data.update(annotations={"1": {}}), None),
    ("structure", lambda tiny: tiny.data["annotations"][0].pop("id"), None),
    ("structure", lambda tiny: tiny.data["images"].clear(), None),
    ("structure", change(image_id="1"), None),
    ("structure", change(category_id=math.nan), None),
    ("structure", change(id=True), None),
    ("structure", change(id=2.5), None),
    ("structure", change_image(height=10**2000), None),
    ("structure", change_image(height=0), None),
    ("structure", change_image(file_name=None), None),
    ("duplicate-image-id", repeat("images"), None),
    ("duplicate-annotation-id", repeat("annotations"), None),
    ("duplicate-category-id", repeat("categories"), None),
    ("unknown-category", change(category_id=5), None),
    ("missing-image", lambda tiny: tiny.image(1).unlink(), None),
    ("missing-image", change_image(file_name="other/1.png"), None),
    ("unreadable-image", lambda tiny: tiny.image(1).write_bytes(b"GIF89a, or not"), None),
    ("unreadable-image", lambda tiny: tiny.image(1).write_bytes(b""), None),
    ("unreadable-image", change_image(file_name="a\0.png"), None),
    ("wrong-size", change_image(width=61), None),
    ("wrong-size", rotate, None),
    ("empty-dataset", no_annotations, None),
    ("shares", in_shares, None),
    ("same-file", change_image(file_name="2.png"), 6),
    ("same-box", change(category_id=7, bbox=[35, 10, 20, 15]), 6),
    ("wrong-area", change(area=0), 6),
    ("wrong-area", change(area=4 * 300), 6),
    ("damaged-image", damage, 6),
    ("unknown-image", change(image_id=99), 5),
    ("bad-box", change(bbox=[]), 5),
    ("bad-box", change(bbox=None), 5),
    ("bad-box", change(bbox=[1, 2, "3", 4]), 5),
    ("not-finite", change(bbox=[1, math.nan, 3, 4]), 5),
    ("not-finite", change(bbox=[1, 2, math.inf, 4]), 5),
    ("not-finite", change(segmentation=[[*TRIANGLE[:-1], math.nan]]), 5),
    ("zero-area", change(bbox=[5, 5, 0, 5]), 5),
    ("zero-area", change(bbox=[5, 5, 5, -1]), 5),
    ("box-outside", change(bbox=[60, 5, 5, 5]), 5),
    ("box-outside", change(bbox=[5, -9, 5, 5]), 5),
    ("box-over-edge", change(bbox=[-5, 10, 30, 15]), 6),
    ("box-over-edge", change(bbox=[5, 10, 300, 300]), 6),
    ("short-polygon", change(segmentation=[[5, 10, 25, 10]]), 5),
    ("short-part", change(segmentation=[TRIANGLE, [5, 10]]), 6),
    ("bad-mask", change(segmentation={"size": [40, 60], "counts": "garbage"}), 5),
    ("bad-mask", change(segmentation={"size": [60, 40], "counts": [2400]}), 5),
    ("bad-mask", change(segmentation=TRIANGLE), 5),
    ("crowd", change(iscrowd=1, segmentation={"size": [40, 60], "counts": [100, 200, 2100]}), 5),
    ("crowd", change(ignore=1), 5),
    ("no-mask", drop_mask, 5),
    ("same-name", rename_alike, 6),
    ("turned-image", lambda tiny: rotate(tiny, 3), 6),
    ("empty-image", nothing, 6),
]


def one_epoch(source: str, tmp_path: Path, **settings: Any) -> list[dict[str, Any]]:
    """Loads a data set for Mask R-CNN as training does, and takes each image once."""
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = (register_coco(source),)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    cfg.SOLVER.IMS_PER_BATCH = 1
    cfg.MODEL.MASK_ON = True
    cfg.INPUT.MIN_SIZE_TRAIN = (40,)
    for key, value in settings.items():
        cfg.merge_from_list([key.replace("__", "."), value])
    loader = build_detection_train_loader(cfg, mapper=CocoMapper(cfg, is_train=True))
    taken: dict[int, dict[str, Any]] = {}
    for batch in itertools.islice(loader, 12):
        taken[batch[0]["image_id"]] = batch[0]
    return list(taken.values())


@pytest.mark.parametrize(("kind", "breaks", "left"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_each_kind_is_found_and_training_does_what_the_table_says(
    tiny_coco: Tiny, tmp_path: Path, kind: str, breaks: Callable[[Tiny], None], left: int | None
) -> None:
    breaks(tiny_coco)
    tiny_coco.save()
    report = check_coco(tiny_coco.root, full=True)
    (split,) = report.splits
    assert kind in split.counts
    assert set(split.counts) - {"empty-image"} - {kind} <= {"structure"}, "nothing else may be found"
    assert report.ok is (left is not None)
    assert report.ok is (KINDS[kind].action != "stop")
    if left is None:
        with pytest.raises(ValueError, match=kind):
            one_epoch(tiny_coco.source, tmp_path)
        return
    samples = one_epoch(tiny_coco.source, tmp_path)
    found = sum(len(sample["instances"]) for sample in samples)
    skipped = 2 if kind == "damaged-image" else 0
    assert found == left - skipped
    for sample in samples:
        boxes = sample["instances"].gt_boxes.tensor
        height, width = sample["instances"].image_size
        assert (boxes >= 0).all()
        assert (boxes[:, 2] <= width).all()
        assert (boxes[:, 3] <= height).all()
        assert boxes.isfinite().all()


def test_every_kind_has_a_case() -> None:
    elsewhere = {"label-mismatch", "other-images"}  # panoptic ones: test_panoptic.py
    elsewhere |= {"outside-image", "linked-images", "no-object", "format"}  # of other formats: tests/data/formats
    assert {case[0] for case in CASES} | elsewhere == set(KINDS)


@pytest.mark.parametrize("ids", [(-1, 0, 2**53 + 1, 2**70), ("a", "1", "", "[b]"), (2**70, "x", 3, -(2**64))])
def test_ids_are_numbers_of_any_length_or_texts(tiny_coco: Tiny, tmp_path: Path, ids: tuple[int | str, ...]) -> None:
    expected = [len(sample["instances"]) for sample in one_epoch(tiny_coco.source, tmp_path)]
    tiny_coco.rename(ids)
    assert check_coco(tiny_coco.root, full=True).splits[0].counts == {"empty-image": 1}
    samples = one_epoch(tiny_coco.source, tmp_path)
    assert {repr(sample["image_id"]) for sample in samples} == {repr(own) for own in ids[:3]}
    assert sorted(len(sample["instances"]) for sample in samples) == sorted(expected)


def test_categories_of_one_name_are_two_classes(tiny_coco: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    rename_alike(tiny_coco)
    tiny_coco.save()
    for _ in range(2):
        name = register_coco(tiny_coco.source)
    assert class_names(name) == ("cup (id 3)", "cup (id 7)")
    assert caplog.text.count("distinguished as cup (id 3), cup (id 7)") == 1


def test_files_that_are_no_json(tiny_coco: Tiny) -> None:
    for content in (b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"[]", b'"text"', b"null"):
        tiny_coco.file.write_bytes(content)
        (split,) = check_coco(tiny_coco.root).splits
        assert set(split.counts) == {"structure"}, content[:10]
        with pytest.raises(ValueError, match=r"structure: file instances_train\.json"):
            register_coco(tiny_coco.source)


def test_a_problem_says_where_and_what(tiny_coco: Tiny) -> None:
    change(2, bbox=[70, 5, 5, 5])(tiny_coco)
    tiny_coco.save()
    (split,) = check_coco(tiny_coco.source).splits
    problem = next(problem for problem in split.problems if problem.kind == "box-outside")
    assert str(problem) == "image 2, annotation 20: bbox is [70, 5, 5, 5], the image is 60 x 40 px"
    assert (problem.severity, problem.action) == ("warning", "drop")


def test_a_turned_photograph_is_told_apart(tiny_coco: Tiny) -> None:
    rotate(tiny_coco)
    (split,) = check_coco(tiny_coco.root).splits
    assert "listed as 60 x 40, the file is 40 x 60 px: turned by its EXIF block?" in str(split.problems[0])


def test_headers_only_unless_full(tiny_coco: Tiny) -> None:
    damage(tiny_coco)
    assert "damaged-image" not in check_coco(tiny_coco.root).splits[0].counts
    assert "damaged-image" in check_coco(tiny_coco.root, full=True).splits[0].counts


def test_a_damaged_image_is_reported_once(tiny_coco: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage(tiny_coco)
    with caplog.at_level(logging.WARNING, logger="explorer.data.mapper"):
        samples = one_epoch(tiny_coco.source, tmp_path)
    assert {sample["image_id"] for sample in samples} == {2, 3}
    (message,) = [record.getMessage() for record in caplog.records if record.name == "explorer.data.mapper"]
    assert "1.png" in message


def test_progress_counts_all_images(tiny_coco: Tiny) -> None:
    calls: list[tuple[int, int]] = []
    check_coco(tiny_coco.root, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_dropped_annotations_are_summed_up_in_one_line(
    tiny_coco: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(0, bbox=[5, 5, 0, 5])(tiny_coco)
    change(1, bbox=[5, 5, 0, 5])(tiny_coco)
    change(2, bbox=[])(tiny_coco)
    tiny_coco.save()
    with caplog.at_level(logging.WARNING, logger="explorer.data.coco"):
        one_epoch(tiny_coco.source, tmp_path)
    (message,) = [record.getMessage() for record in caplog.records if record.name == "explorer.data.coco"]
    assert "dropped annotations: 1 bad-box, 2 zero-area." in message


@pytest.mark.parametrize("name", ["coco-tiny", "bccd", "coco-panoptic-mini"])
def test_the_reference_data_is_sound(shared: Path, name: str) -> None:
    report = check_coco(shared / "data" / name)
    assert report.ok
    assert all(KINDS[kind].severity == "info" for split in report.splits for kind in split.counts)


def test_counts_on_the_reference_data(shared: Path) -> None:
    def only(split: SplitReport) -> tuple[int, int, dict[str, int]]:
        return split.images, split.annotations, split.counts

    train, val = check_coco(shared / "data/coco-tiny").splits
    assert only(train) == (50, 470, {"crowd": 5, "empty-image": 1})
    assert only(val) == (50, 382, {"crowd": 5, "empty-image": 2})


def test_the_report_as_plain_containers(tiny_coco: Tiny) -> None:
    report = check_coco(tiny_coco.root).as_dict()
    assert report["ok"] is True
    (split,) = report["splits"]
    assert split["counts"] == {"empty-image": 1}
    assert split["problems"][0]["image_id"] == 4
    assert split["problems"][0]["training"] == "drop"


def test_the_documentation_has_the_table() -> None:
    assert table() in (ROOT / "docs" / "data.md").read_text()


def test_run_length_codes_and_polygons_train_together(tiny_coco: Tiny, tmp_path: Path) -> None:
    change(0, segmentation={"size": [40, 60], "counts": [400, 30, 1970]})(tiny_coco)
    tiny_coco.save()
    for mask_format in ("polygon", "bitmask"):
        samples = one_epoch(tiny_coco.source, tmp_path, INPUT__MASK_FORMAT=mask_format)
        assert sum(len(sample["instances"].gt_masks) for sample in samples) == 6


def test_cropping_trains_on_images_without_annotations(tiny_coco: Tiny, tmp_path: Path) -> None:
    settings = {"INPUT__CROP__ENABLED": True, "DATALOADER__FILTER_EMPTY_ANNOTATIONS": False}
    samples = one_epoch(tiny_coco.source, tmp_path, **settings)
    assert {len(sample["instances"]) for sample in samples if sample["image_id"] == 4} == {0}


def _noise_images(count: int) -> Iterator[np.ndarray]:
    yield from np.random.default_rng(0).integers(0, 256, (count, 40, 60, 3), dtype=np.uint8)


def test_training_stops_when_most_images_are_damaged(tiny_coco: Tiny, tmp_path: Path) -> None:
    tiny_coco.data["images"], tiny_coco.data["annotations"] = [], []
    for number, pixels in enumerate(_noise_images(12), start=1):
        Image.fromarray(pixels).save(tiny_coco.image(number))
        content = tiny_coco.image(number).read_bytes()
        tiny_coco.image(number).write_bytes(content[:2000])
        tiny_coco.data["images"].append({"id": number, "file_name": f"{number}.png", "height": 40, "width": 60})
        tiny_coco.data["annotations"].append(
            {"id": number, "image_id": number, "category_id": 3, "bbox": [5, 5, 9, 9], "area": 81, "iscrowd": 0}
        )
    tiny_coco.save()
    with pytest.raises(ValueError, match=r"10 images cannot be decoded.*explorer data check --full"):
        one_epoch(tiny_coco.source, tmp_path)
