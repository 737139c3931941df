"""Sizes of objects under a protocol, held against pycocotools' own areas and ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

import explorer as ex
from explorer.api.objects import object_rows
from explorer.scoring.columns import Truth
from explorer.scoring.protocols import protocol_of
from explorer.types import size_names


def test_counts_are_cocos(shared: Path) -> None:
    root = shared / "data/coco-tiny"
    sizes = ex.object_sizes(f"{root}:val2017")
    coco = COCO(str(root / "annotations/instances_val2017.json"))
    ranges = {"small": [0, 32**2 - 1e-6], "medium": [32**2, 96**2 - 1e-6], "large": [96**2, 1e10]}
    for name, ends in ranges.items():
        # pycocotools leaves out both ends of a range
        expected = len(coco.getAnnIds(areaRng=[ends[0] - 1e-6, ends[1]], iscrowd=False))
        assert sum(own[name] for own in sizes.counts().values()) == expected


def test_it_shows_itself(shared: Path) -> None:
    sizes = ex.object_sizes(f"{shared}/data/bccd:val", "soda")
    assert "other" in sizes.tables()[0].head
    assert len(sizes.rows()) == 1137
    assert sum(int(np.sum(bar.y)) for bar in sizes.figure().data) == 1137
    assert "1,137 objects on 87 images" in str(sizes)
    assert set(sizes.to_dict()["sides_px"]["√area"]) == {"0.05", "0.25", "0.5", "0.75", "0.95"}


def test_nothing_annotated(shared: Path) -> None:
    truth = ex.read_truth(f"{shared}/data/bccd:val").of_classes([])
    sizes = ex.object_sizes(truth)
    assert sizes.rows() == []
    assert sizes.tables()[0].rows[-1] == ("all", "0", "0", "0", "0")
    assert sizes.figure()


def test_rows_of_a_run_have_the_sizes_of_its_protocol() -> None:
    areas = np.array([30.0, 100.0, 500.0, 1024.0, 20_000.0])
    truth = Truth(
        image_ids=np.array([1]),
        file_names=("a.jpg",),
        image_sizes=np.array([[480, 640]]),
        category_ids=np.array([1]),
        class_names=("car",),
        ids=np.arange(5),
        images=np.zeros(5, np.int64),
        classes=np.zeros(5, np.int64),
        boxes_xywh=np.stack([np.zeros(5), np.zeros(5), np.sqrt(areas), np.sqrt(areas)], axis=1),
        areas_px=areas,
        crowds=np.zeros(5, np.bool_),
    )
    usual = [row["size"] for row in object_rows(truth, {})]
    assert usual == size_names(areas)
    tiny = [row["size"] for row in object_rows(truth, {}, protocol_of("ai-tod"))]
    assert tiny == ["very tiny", "tiny", "small", "medium", "medium"]
    assert [row["size"] for row in object_rows(truth, {}, protocol_of("soda"))][-1] == "other"
