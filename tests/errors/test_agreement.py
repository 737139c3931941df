"""Several detectors, one photo, no annotations: which detections are of one object."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.errors.agreement import sightings
from explorer.types import Detections


def detections(*rows: tuple[float, int, tuple[float, float, float, float]]) -> Detections:
    return Detections(
        np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.array([score for score, _, _ in rows], np.float32),
        np.array([index for _, index, _ in rows], np.int64),
        ("car", "ship"),
        (100, 100),
    )


def told(**found: Detections) -> list[tuple[str, dict[str, float]]]:
    return [
        (one.class_name, {name: pytest.approx(score) for name, score in one.scores.items()}) for one in sightings(found)
    ]


def test_boxes_of_one_class_that_overlap_are_one_object() -> None:
    a = detections((0.9, 0, (0, 0, 10, 10)))
    b = detections((0.8, 0, (1, 0, 11, 10)))
    assert told(a=a, b=b) == [("car", {"a": 0.9, "b": 0.8})]
    (one,) = sightings({"b": b, "a": a})
    assert one.box_xyxy == (0, 0, 10, 10)  # the surer one's
    assert one.area_px == 100


def test_another_class_is_another_object() -> None:
    a, b = detections((0.9, 0, (0, 0, 10, 10))), detections((0.8, 1, (0, 0, 10, 10)))
    assert told(a=a, b=b) == [("car", {"a": 0.9}), ("ship", {"b": 0.8})]


def test_a_detector_sees_an_object_once() -> None:
    a = detections((0.9, 0, (0, 0, 10, 10)), (0.5, 0, (0, 0, 10, 9)))
    b = detections((0.6, 0, (0, 0, 10, 10)), (0.4, 0, (0, 0, 10, 9)))
    assert told(a=a, b=b) == [("car", {"a": 0.9, "b": 0.6}), ("car", {"a": 0.5, "b": 0.4})]


def test_an_overlap_of_exactly_the_threshold_joins_and_less_does_not() -> None:
    a, b = detections((0.9, 0, (0, 0, 10, 10))), detections((0.8, 0, (0, 0, 10, 5)))
    assert len(sightings({"a": a, "b": b}, iou=0.5)) == 1
    assert len(sightings({"a": a, "b": b}, iou=0.51)) == 2


def test_of_two_objects_the_nearer_is_joined() -> None:
    a = detections((0.9, 0, (0, 0, 10, 10)), (0.8, 0, (4, 0, 14, 10)))
    b = detections((0.7, 0, (3, 0, 13, 10)))
    assert told(a=a, b=b) == [("car", {"a": 0.9}), ("car", {"a": 0.8, "b": 0.7})]


def test_nothing_found_is_no_object() -> None:
    assert sightings({"a": detections(), "b": detections()}) == ()
    assert sightings({}) == ()
