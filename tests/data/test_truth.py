"""The ground truth for scoring: COCO's own untouched, a broken one safe to score against."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.api.sizes import object_sizes
from explorer.data.coco import register_coco
from explorer.data.truth import ground_truth
from explorer.scoring.columns import Run
from explorer.scoring.metrics import metrics_of
from explorer.scoring.results_file import found_among
from explorer.scoring.runs import read_truth

Tiny = Any


def test_cocos_own_annotations_are_untouched(shared: Path) -> None:
    for split in ("train2017", "val2017"):
        name = register_coco(f"{shared}/data/coco-tiny:{split}")
        assert ground_truth(name) == json.loads(
            (shared / f"data/coco-tiny/annotations/instances_{split}.json").read_text()
        )


def score(truth: dict[str, Any]) -> float:
    """AP of the truth's own boxes, scored by pycocotools."""
    reference = COCO()
    reference.dataset = truth
    reference.createIndex()
    found = reference.loadRes(
        [{**{key: a[key] for key in ("image_id", "category_id", "bbox")}, "score": 1.0} for a in truth["annotations"]]
    )
    evaluation = COCOeval(reference, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"bbox": None},
        {"bbox": [1, math.nan, 3, 4]},
        {"image_id": 99},
        {"segmentation": [[1, 2, 3, 4]]},
        {"segmentation": {"size": [40, 60], "counts": "garbage~~~~"}},
        {"segmentation": {"size": [4000, 6000], "counts": [1]}},
    ],
)
def test_unreadable_annotations_are_left_out(tiny_coco: Tiny, fields: dict[str, Any]) -> None:
    tiny_coco.data["annotations"][0].update(fields)
    tiny_coco.save()
    truth = ground_truth(register_coco(tiny_coco.source))
    assert [annotation["id"] for annotation in truth["annotations"]] == [11, 20, 21, 30, 31]
    assert score(truth) == pytest.approx(1.0)
    (said,) = read_truth(tiny_coco.source).notes
    assert said.startswith("Annotations that cannot be scored against were left out: 1 ")
    assert said in str(object_sizes(tiny_coco.source))


def test_corners_for_sides_are_doubted(tiny_coco: Tiny) -> None:
    for annotation in tiny_coco.data["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation |= {"bbox": [x, y, x + w, y + h], "segmentation": [], "area": 300}
    tiny_coco.save()
    (said,) = read_truth(tiny_coco.source).notes
    assert said.startswith("Boxes that reach over the edge of their image: 3. Boxes are [x, y, width, height]")


def test_areas_that_do_not_fit_are_told_where_figures_stand(tiny_coco: Tiny) -> None:
    assert not read_truth(tiny_coco.source).notes
    tiny_coco.data["annotations"][0]["area"] = 0
    tiny_coco.save()
    run = Run("none", read_truth(tiny_coco.source), found_among([], read_truth(tiny_coco.source)), {})
    (said, *_) = metrics_of(run).details["notes"]
    assert said.startswith("Annotations whose area does not fit their box: 1. ")


def test_missing_fields_are_filled_in(tiny_coco: Tiny) -> None:
    for annotation in tiny_coco.data["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    first, second, third = tiny_coco.data["annotations"][:3]
    first["segmentation"] = [[5, 10, 25, 10, 25, 25], [1, 2]]
    second["segmentation"] = {"size": [40, 60], "counts": [100, 50, 2250]}
    del third["segmentation"]
    tiny_coco.save()
    truth = ground_truth(register_coco(tiny_coco.source))["annotations"]
    assert truth[0]["area"] == pytest.approx(150, abs=15)
    assert truth[0]["segmentation"] == [[5, 10, 25, 10, 25, 25]]
    assert truth[1]["area"] == 50
    assert truth[2]["area"] == 300
    assert all(annotation["iscrowd"] == 0 for annotation in truth)


def test_zero_area_boxes_stay_as_coco_counts_them(tiny_coco: Tiny) -> None:
    tiny_coco.data["annotations"][0]["bbox"] = [5, 5, 0, 5]
    tiny_coco.save()
    assert len(ground_truth(register_coco(tiny_coco.source))["annotations"]) == 6


def test_panoptic_labels_alone_have_no_instances(tiny_panoptic: Tiny) -> None:
    with pytest.raises(ValueError, match="no instance annotations"):
        ground_truth(register_coco(tiny_panoptic.source))
