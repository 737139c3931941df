"""A trace is the plain dense detector, to the last bit, under any limits; places learn what the papers say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms, box_iou

from explorer.autopsy.dense.stages import DenseExceptions
from explorer.autopsy.dense.tracer import DenseTracer
from explorer.data.aerial import render_scene
from explorer.engine.loading import report_from
from explorer.types import Detections
from tests.fixtures.dense import DENSE

BOXES = np.array(
    [[5, 5, 17, 17], [30, 20, 80, 60], [60, 30, 70, 50], [0, 0, 128, 90], [62, 33, 69, 41], [100.5, 70.5, 101, 71]]
)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return render_scene(3, size=(120, 160)).image


@pytest.fixture(scope="module", params=DENSE)
def detector(dense, request):
    return dense(request.param)


@pytest.fixture(scope="module")
def tracer(detector):
    return DenseTracer(detector)


@pytest.fixture(scope="module")
def view(tracer, scene):
    return tracer.look(scene)


def assert_same(traced: Detections, plain: Detections) -> None:
    assert len(plain)
    np.testing.assert_array_equal(traced.boxes_xyxy, plain.boxes_xyxy)
    np.testing.assert_array_equal(traced.scores, plain.scores)
    np.testing.assert_array_equal(traced.classes, plain.classes)
    assert traced.image_size == plain.image_size


def test_the_detections_are_those_of_the_plain_model(detector, tracer, scene):
    assert_same(tracer(scene).detections, detector.detect(scene).detections)


CHANGES = [{"pre_nms_topk": 7}, {"nms_iou": 0.2}, {"nms_iou": 1.0}, {"detections": 3}, {"threshold": 0.4}]
_SETTINGS = {
    "pre_nms_topk": "test_topk_candidates",
    "nms_iou": "test_nms_thresh",
    "detections": "max_detections_per_image",
    "threshold": "test_score_thresh",
}
_OURS = {"threshold": "class_threshold"}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_other_limits_are_the_model_s_own_settings(change, detector, tracer, view, scene, monkeypatch):
    traced = tracer.follow(view, replace(tracer.limits, **change))
    ((name, value),) = change.items()
    generator: Any = getattr(detector.model, "proposal_generator", None)
    if generator is None or name == "detections":
        monkeypatch.setattr(detector.model if generator is None else generator, _SETTINGS[name], value)
    else:
        limits = replace(generator.limits[False], **{_OURS.get(name, name): value})
        monkeypatch.setitem(generator.limits, False, limits)
    assert_same(traced.detections, detector.detect(scene).detections)
    assert DenseTracer(detector).limits == traced.limits


def test_scores_asked_for_from_a_threshold_up_are_compared_with_it(dense, scene):
    detector = dense("centermask")
    assert DenseTracer(detector).limits.of_class_score
    report_from(detector.model, 0.55)
    tracer = DenseTracer(detector)
    assert (tracer.limits.of_class_score, tracer.score_threshold) == (False, 0.55)
    assert_same(tracer(scene).detections, detector.detect(scene).detections)


def test_every_stage_is_part_of_the_one_before_and_torchvision_keeps_the_same(tracer, view):
    trace = tracer.follow(view)
    places, chosen, limits = trace.places, trace.selection, trace.limits
    values = places.class_scores if limits.of_class_score else places.scores
    assert set(map(tuple, trace.over)) == set(map(tuple, np.argwhere(values > limits.threshold)))
    best = set()
    for level in np.unique(places.levels):
        own = [pair for pair in map(tuple, trace.over) if places.levels[pair[0]] == level]
        best |= set(sorted(own, key=lambda pair: -places.scores[pair])[: limits.pre_nms_topk])
    assert set(map(tuple, chosen.candidates)) == best
    boxes, scores = (torch.from_numpy(own) for own in (chosen.boxes_xyxy, chosen.scores))
    kept = batched_nms(boxes, scores, torch.from_numpy(chosen.candidates[:, 1].copy()), limits.nms_iou)
    np.testing.assert_array_equal(chosen.kept, kept.numpy())
    np.testing.assert_array_equal(chosen.limited, chosen.kept[: limits.detections])
    assert np.isin(chosen.reported, chosen.limited).all()
    suppressed = np.setdiff1d(np.arange(len(boxes)), chosen.kept)
    assert len(suppressed)
    for row in suppressed[:20].tolist():
        rival = chosen.suppressor_of(row)
        assert chosen.candidates[row, 1] == chosen.candidates[rival, 1]
        assert scores[rival] >= scores[row]
        assert float(box_iou(boxes[[row]], boxes[[rival]])) > limits.nms_iou - 1e-5


def matched_by_the_book(anchors: np.ndarray, boxes: np.ndarray) -> list[int]:
    """RetinaNet's rule: an anchor learns what it overlaps most, from IoU 0.5 up or as some object's best anchor."""
    ious = box_iou(torch.from_numpy(boxes), torch.from_numpy(anchors.astype(np.float64))).numpy()
    own = []
    for anchor in range(len(anchors)):
        best = int(ious[:, anchor].argmax())
        low_quality = any(ious[row, anchor] == ious[row].max() for row in range(len(boxes)))
        own.append(best if ious[best, anchor] >= 0.5 or low_quality else -1)
    return own


def assigned_by_the_book(anchors: np.ndarray, levels: np.ndarray, ranges: Any, boxes: np.ndarray) -> list[int]:
    """FCOS's rule: in the box and near its centre, its level's size, the smallest object first."""
    own = []
    for cell, level in zip(anchors.astype(np.float64), levels, strict=True):
        x, y, stride = (cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2, cell[2] - cell[0]
        wanting = []
        for row, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            sides = (x - x1, y - y1, x2 - x, y2 - y)
            off = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2))
            if min(sides) > 0 and off < 1.5 * stride and ranges[level][0] <= max(sides) <= ranges[level][1]:
                wanting.append(((x2 - x1) * (y2 - y1), row))
        own.append(min(wanting)[1] if wanting else -1)
    return own


def test_places_learn_what_the_papers_say(detector, view):
    places = view.places
    own = view.assignment.objects_of(BOXES)
    if places.centerness is None:
        expected = matched_by_the_book(places.anchors_xyxy, BOXES)
    else:
        ends = (16, 32, 64, 96) if hasattr(detector.model, "proposal_generator") else (64, 128, 256, 512)
        ranges = list(zip((0, *ends), (*ends, np.inf), strict=True))
        expected = assigned_by_the_book(places.anchors_xyxy, places.levels, ranges, BOXES)
        levels = view.assignment.levels_of(BOXES)
        halves = (BOXES[:, 2:] - BOXES[:, :2]).max(axis=1) / 2
        assert all(ranges[level][0] <= half <= ranges[level][1] for level, half in zip(levels, halves, strict=True))
    assert own.tolist() == expected
    assert len(set(expected)) > 3
    assert (view.assignment.objects_of(np.zeros((0, 4))) == -1).all()
    assert len(view.assignment.levels_of(np.zeros((0, 4)))) == 0


def test_exceptions_let_through_what_they_name(tracer, view):
    trace = tracer.follow(view)
    extra = tracer.follow(view, exceptions=DenseExceptions(extra=(((10.0, 20.0, 60.0, 50.0), 2),)))
    assert extra.detections.scores[0] == 1
    assert extra.detections.classes[0] == 2
    assert extra.selection.scores.max() == 1

    changed = tracer.follow(view, exceptions=DenseExceptions(declared=((7, 2),), moved=((7, (1.0, 2.0, 3.0, 4.0)),)))
    assert changed.places.class_scores[7, 2] == 1
    assert changed.places.boxes_xyxy[7].tolist() == [1, 2, 3, 4]
    same = np.arange(len(trace.places.levels)) != 7
    np.testing.assert_array_equal(changed.places.scores[same], trace.places.scores[same])
    if trace.places.centerness is None:
        assert changed.places.scores[7, 2] == 1
    else:
        assert changed.places.scores[7, 2] == pytest.approx(np.sqrt(trace.places.centerness[7]))
        central = tracer.follow(view, exceptions=DenseExceptions(central=(7,)))
        np.testing.assert_allclose(central.places.scores[7], np.sqrt(trace.places.class_scores[7]), rtol=1e-6)

    row = int(np.setdiff1d(np.arange(len(trace.selection.candidates)), trace.selection.kept)[0])
    pair = tuple(trace.selection.candidates[row].tolist())
    spared = tracer.follow(view, exceptions=DenseExceptions(spared=(pair,)))
    assert set(spared.selection.kept) == {row, *trace.selection.kept}


def test_a_scene_above_no_threshold_gives_no_detections(tracer, view):
    trace = tracer.follow(view, replace(tracer.limits, threshold=1.0))
    assert len(trace.detections) == len(trace.over) == len(trace.selection.candidates) == 0
