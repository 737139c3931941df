"""The documents written in bulk are those that FiftyOne writes itself for the same labels, field by field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.mongo, pytest.mark.filterwarnings("ignore")]

OWN = {"_id", "_rand", "_dataset_id", "created_at", "last_modified_at"}
"""What no two samples share."""


def raw(dataset: Any) -> list[dict[str, Any]]:
    from fiftyone.core.odm import get_db_conn

    return list(get_db_conn()[dataset._sample_collection_name].find().sort("coco_id"))


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key not in OWN}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def types_in(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: types_in(item) for key, item in value.items()}
    return [types_in(item) for item in value] if isinstance(value, list) else type(value)


@pytest.fixture(scope="module")
def built(fiftyone: ModuleType, scene: Any) -> Any:
    from explorer.browser.build import build

    return build(scene.data, scene.runs, name="documents").dataset


def copy_through_fiftyone(fo: ModuleType, dataset: Any, name: str) -> Any:
    """Every sample and label made anew through FiftyOne's constructors, from plain values, and added by it."""
    copy = fo.Dataset(name)
    for sample in dataset.sort_by("coco_id"):
        values = {}
        for field in sample.field_names:
            value = sample[field]
            if isinstance(value, fo.Detections):
                value = fo.Detections(detections=[label_again(fo, label) for label in value.detections])
            if field not in {"id", "created_at", "last_modified_at"}:
                values[field] = value
        values["metadata"] = fo.ImageMetadata(
            **{key: sample.metadata[key] for key in ("size_bytes", "mime_type", "width", "height", "num_channels")}
        )
        copy.add_sample(fo.Sample(**values), dynamic=True)
    return copy


def label_again(fo: ModuleType, label: Any) -> Any:
    values = {name: label[name] for name in label.field_names if name not in {"id", "attributes"}}
    return fo.Detection(**{name: value for name, value in values.items() if value is not None})


def test_documents_are_fiftyones_own(fiftyone: ModuleType, built: Any) -> None:
    copy = copy_through_fiftyone(fiftyone, built, "documents-copy")
    ours, theirs = raw(built), raw(copy)
    assert len(ours) == len(theirs) == 10
    for own, other in zip(ours, theirs, strict=True):
        assert own.keys() == other.keys()
        assert without_ids(own) == without_ids(other)
        assert types_in(own) == types_in(other)
    assert sum(len(sample["ground_truth"]["detections"]) for sample in ours) > 20
    assert any("mask" in label for sample in ours for label in sample["ground_truth"]["detections"])
    assert any("mask" in label for sample in ours for label in sample["worse"]["detections"])
    assert {label["iscrowd"] for sample in ours for label in sample["ground_truth"]["detections"]} == {True, False}


def test_fields_are_declared_as_fiftyone_declares_them(fiftyone: ModuleType, built: Any) -> None:
    copy = copy_through_fiftyone(fiftyone, built, "documents-schema")
    ours, theirs = (
        {path: str(field) for path, field in dataset.get_field_schema(flat=True).items()} for dataset in (built, copy)
    )
    theirs["ground_truth.detections.found_by"] += "(fiftyone.core.fields.StringField)"  # it saw an empty list first
    assert {path: ours.get(path) for path in theirs} == theirs


def test_indexes_are_those_of_a_new_data_set(fiftyone: ModuleType, built: Any) -> None:
    other = fiftyone.Dataset("documents-indexes")
    other.add_sample(fiftyone.Sample(filepath="/a.png"))
    assert built.get_index_information().keys() == other.get_index_information().keys()


def test_ids_follow_from_what_they_stand_for() -> None:
    from explorer.browser.ids import object_ids, object_ids_as_text

    numbers = np.array([0, 1, 255, 2**40, -3])
    ids = object_ids("a/images", numbers)
    assert ids == object_ids("a/images", numbers)
    assert object_ids_as_text("a/images", numbers) == list(map(str, ids))
    assert len({*ids, *object_ids("b/images", numbers)}) == 10
    assert ids[:4] == sorted(ids[:4])
    texts = object_ids("a/images", np.array([2**70, "x", 7, "", -(2**64)], dtype=object))
    assert len({*texts, *ids}) == 10
    assert texts[:2] == object_ids("a/images", np.array([2**70, "x"], dtype=object))


@pytest.mark.parametrize("key", ["better_eval", "worse_eval"])
def test_evaluations_are_kept_as_fiftyone_keeps_them(built: Any, key: str) -> None:
    from bson import json_util
    from fiftyone.core.evaluation import EvaluationMethod

    kept = EvaluationMethod._get_run_doc(built, key).results.read()
    results = built.load_evaluation_results(key, cache=False)
    assert kept == json_util.dumps(results.serialize()).encode()
    assert {results.missing, *results.classes} == {*results.ytrue, *results.ypred}


def test_without_crowds_the_evaluation_is_fiftyones(
    fiftyone: ModuleType, make: Callable[..., Any], tmp_path: Path
) -> None:
    from explorer.browser.build import build

    scene = make(tmp_path / "plain", masks=False, crowds=False, seed=3)
    dataset = build(scene.data, scene.runs[:1], name="evaluated").dataset
    dataset.evaluate_detections("better", gt_field="ground_truth", eval_key="theirs", compute_mAP=True)
    compared = 0
    for sample in dataset:
        for kind in ("tp", "fp", "fn"):
            assert sample[f"better_eval_{kind}"] == sample[f"theirs_{kind}"]
        for label in (*sample.ground_truth.detections, *sample.better.detections):
            assert label["better_eval"] == label["theirs"]
            assert label["better_eval_id"] == label["theirs_id"]
            if "theirs_iou" in label:
                assert label["better_eval_iou"] == pytest.approx(label["theirs_iou"], abs=1e-9)
                compared += 1
    assert compared > 20
    ours, theirs = (dataset.load_evaluation_results(key) for key in ("better_eval", "theirs"))
    assert ours.mAP() == pytest.approx(theirs.mAP(), abs=1e-9)
    expected = theirs.metrics()
    assert {name: ours.metrics()[name] for name in expected} == pytest.approx(expected)
    assert set(ours.metrics()) - set(expected) <= {"APs", "APm", "APl"}
    assert sorted(ours.classes) == sorted(theirs.classes)
