"""Names in the database, and from which FPN level a run's model pools each object."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from explorer.browser.levels import levels_of
from explorer.browser.names import RunFields, dataset_name, field_name
from explorer.browser.state import RunState, assign_fields, fingerprint_of
from explorer.scoring.columns import Run, Truth, in_order
from explorer.scoring.protocols import PRESETS, protocol_of


@pytest.mark.parametrize(
    ("name", "field"),
    [("demo/V-19-slim-dw", "demo_V_19_slim_dw"), ("3x", "run_3x"), ("ground_truth", "ground_truth_run"), ("…", "run_")],
)
def test_fields_are_identifiers(name: str, field: str) -> None:
    assert field_name(name) == field
    assert field.isidentifier()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/coco-tiny:val2017", "coco-tiny-val2017"),
        ("/data/coco/annotations/part.json:/data/images", "part-images"),
        ("coco_2017_val", "coco_2017_val"),
    ],
)
def test_data_sets_are_named_after_folder_and_split(source: str, name: str) -> None:
    assert dataset_name(source) == name


def test_no_two_fields_of_a_run_share_a_name() -> None:
    for protocol in (*PRESETS.values(), protocol_of("8,16,32")):
        fields = RunFields("a", protocol)
        names = [*fields.on_objects, fields.ap, fields.ap_smallest, fields.label_error, fields.true_positives]
        names += [fields.misses(size) for size in protocol.size_labels]
        assert len(set(names)) == len(names)
        assert all(name is None or re.fullmatch(r"\w+", name, re.ASCII) for name in names)


def test_runs_keep_their_fields_and_new_ones_get_free_ones(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"model": "same/model"}))
    one, two = tmp_path / "one", tmp_path / "two"
    known = {"same_model": RunState("same/model", str(two), "f", "done")}
    assert assign_fields([one, two], known) == {"same_model_one": one, "same_model": two}
    with pytest.raises(ValueError, match="given twice"):
        assign_fields([one, one], {})


def test_a_fingerprint_follows_what_is_in_the_files(tmp_path: Path) -> None:
    file = tmp_path / "a"
    missing = fingerprint_of([file])
    file.write_text("1")
    first = fingerprint_of([file])
    file.write_text("2")
    assert len({missing, first, fingerprint_of([file])}) == 3


def run_of(model: str | None, boxes: list[list[float]]) -> Run:
    number = len(boxes)
    truth = Truth(
        image_ids=np.array([1]),
        file_names=("a.jpg",),
        image_sizes=np.array([[400, 600]]),
        category_ids=np.array([1]),
        class_names=("car",),
        ids=np.arange(number),
        images=np.zeros(number, np.int64),
        classes=np.zeros(number, np.int64),
        boxes_xywh=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        areas_px=np.ones(number),
        crowds=np.zeros(number, np.bool_),
    )
    empty = np.zeros(0, np.int64)
    found = in_order(empty, empty, np.zeros((0, 4)), np.zeros(0))
    return Run("run", truth, found, {"config": model} if model else {})


def test_levels_are_those_of_the_resized_image() -> None:
    # 400 × 600 becomes 800 × 1200: sides double, and p4 starts at 224 px
    boxes = [[0, 0, 50, 50], [0, 0, 100, 100], [0, 0, 112.5, 112.5], [0, 0, 300, 300]]
    assert levels_of(run_of("faster_rcnn_V_39_FPN_3x", boxes)) == ("p2", "p3", "p4", "p5")


DENSE = ("retinanet_V_39_FPN_3x", "fcos_V_39_FPN_3x", "centermask/centermask_V_39_eSE_FPN_ms_3x")


@pytest.mark.parametrize("model", [None, "a model that nobody knows", *DENSE])
def test_models_that_are_unknown_or_pool_no_boxes_have_no_levels(model: str | None) -> None:
    assert levels_of(run_of(model, [[0, 0, 50, 50]])) is None
