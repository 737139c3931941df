"""A trace is the plain model: the same detections to the last bit, on every kind of config, under any limits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.modeling.poolers import assign_boxes_to_levels
from detectron2.structures import Boxes

from explorer.autopsy.two_stage.stages import TwoStageExceptions, TwoStageTrace
from explorer.autopsy.two_stage.tracer import TwoStageTracer
from explorer.data.aerial import render_scene
from explorer.engine.detector import Detector
from explorer.engine.loading import load_detector
from explorer.types import Detections

AGNOSTIC = ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "True")
CONFIGS = [
    ("faster_rcnn_V_39_FPN_3x",),
    ("faster_rcnn_V_39_FPN_3x", *AGNOSTIC),
    ("faster_rcnn_V_19_slim_dw_FPNLite_3x",),
    ("faster_rcnn_Mv2_FPNLite_3x",),
    ("faster_rcnn_R_50_FPN_3x",),
    ("mask_rcnn_V_39_FPN_3x",),
    ("panoptic_fpn_V_39_FPN_3x", *AGNOSTIC),
    ("configs/timm/faster_rcnn_convnext_tiny_FPN_3x.yaml", "MODEL.TIMM.NAME", "resnet10t"),
]


@pytest.fixture(scope="module")
def demo() -> Detector:
    return load_detector("demo/V-19-slim-dw", device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "200"], exact=True)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return render_scene(3, size=(240, 320)).image


@pytest.fixture(scope="module")
def trace(demo: Detector, scene: np.ndarray) -> TwoStageTrace:
    return TwoStageTracer(demo)(scene)


@contextmanager
def settings(owner: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def assert_same(traced: Detections, plain: Detections) -> None:
    assert len(plain)
    np.testing.assert_array_equal(traced.boxes_xyxy, plain.boxes_xyxy)
    np.testing.assert_array_equal(traced.scores, plain.scores)
    np.testing.assert_array_equal(traced.classes, plain.classes)
    assert traced.image_size == plain.image_size


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: "-".join(config[:2]))
def test_the_detections_are_those_of_the_plain_model(tiny: Callable[..., Detector], noise, config):
    detector = tiny(*config)
    assert_same(TwoStageTracer(detector)(noise).detections, detector.detect(noise).detections)


def test_so_are_a_trained_model_s(demo, scene, trace):
    assert_same(trace.detections, demo.detect(scene).detections)
    assert trace.frame.to_original(trace.rpn.boxes_xyxy).max() <= 320


# what changes in the model, and what in the limits
CHANGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"pre_nms_topk": {False: 20}}, {}, {"pre_nms_topk": 20}),
    ({"post_nms_topk": {False: 9}}, {}, {"post_nms_topk": 9}),
    ({"nms_thresh": 0.3}, {}, {"rpn_nms_iou": 0.3}),
    ({"min_box_size": 12.0}, {}, {"min_size_px": 12.0}),
    ({}, {"test_score_thresh": 0.4}, {"score_threshold": 0.4}),
    ({}, {"test_score_thresh": 0.0}, {"score_threshold": 0.0}),
    ({}, {"test_nms_thresh": 0.1}, {"nms_iou": 0.1}),
    ({}, {"test_topk_per_image": 3}, {"detections": 3}),
    ({}, {"test_topk_per_image": -1}, {"detections": -1}),
    ({"nms_thresh": 1.0, "post_nms_topk": {False: 10**6}}, {}, {"rpn_nms_iou": 1.0, "post_nms_topk": 10**6}),
]


@pytest.mark.parametrize(("rpn", "head", "limits"), CHANGES, ids=lambda values: ",".join(values))
def test_other_limits_are_the_model_s_own_settings(demo, scene, rpn, head, limits):
    tracer = TwoStageTracer(demo)
    traced = tracer.follow(tracer.look(scene), replace(tracer.limits, **limits))
    with (
        settings(demo.model.proposal_generator, **rpn),
        settings(demo.model.roi_heads.box_predictor, **head),
    ):
        assert_same(traced.detections, demo.detect(scene).detections)
        assert TwoStageTracer(demo).limits == traced.limits


def test_a_higher_threshold_only_leaves_detections_out(demo, scene, trace):
    tracer = TwoStageTracer(demo)
    higher = tracer.follow(tracer.look(scene), replace(tracer.limits, score_threshold=0.5)).detections
    assert_same(higher, trace.detections.keep(trace.detections.scores > 0.5))


def test_the_proposals_are_detectron2_s(demo, scene, trace):
    model: Any = demo.model
    with torch.no_grad():
        images = model.preprocess_image([demo.model_input(scene)])
        (proposals,), _ = model.proposal_generator(images, model.backbone(images.tensor), None)
    np.testing.assert_array_equal(trace.head.proposals_xyxy, proposals.proposal_boxes.tensor.numpy())
    np.testing.assert_array_equal(trace.rpn.logits[trace.proposal_stages.passed], proposals.objectness_logits.numpy())


def test_what_is_not_finite_is_dropped_as_the_model_drops_it(tiny, noise):
    detector = tiny("faster_rcnn_V_39_FPN_3x")
    with torch.no_grad():
        detector.model.proposal_generator.rpn_head.objectness_logits.bias[0] = float("nan")
        detector.model.proposal_generator.rpn_head.anchor_deltas.bias[5] = float("inf")
    trace = TwoStageTracer(detector)(noise)
    assert 0 < trace.rpn.finite.sum() < len(trace.rpn.finite)
    assert len(trace.proposal_stages.usable) < len(trace.proposal_stages.entered)
    assert np.isfinite(trace.rpn.boxes_xyxy).all()
    assert_same(trace.detections, detector.detect(noise).detections)


def test_nothing_over_the_threshold_gives_no_detections(demo, scene):
    tracer = TwoStageTracer(demo)
    trace = tracer.follow(tracer.look(scene), replace(tracer.limits, score_threshold=1.0))
    assert len(trace.detections) == len(trace.selection.candidates) == 0


def test_every_stage_is_part_of_the_one_before(trace):
    stages, chosen = trace.proposal_stages, trace.selection
    for fewer, more in [
        (stages.usable, stages.entered),
        (stages.kept, stages.usable),
        (stages.passed, stages.kept),
        (chosen.limited, chosen.kept),
        (chosen.reported, chosen.limited),
    ]:
        assert len(fewer) <= len(more)
        assert np.isin(fewer, more).all()
    proposals, classes = chosen.candidates[chosen.reported].T
    boxes = trace.frame.to_original(trace.head.boxes_xyxy[proposals, classes])
    np.testing.assert_array_equal(boxes, trace.detections.boxes_xyxy)
    np.testing.assert_array_equal(trace.head.scores[proposals, classes], trace.detections.scores)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    overlap = max(width, 0) * max(height, 0)
    return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)


def greedy_suppressors(boxes, scores, groups, rows, threshold) -> dict[int, int]:
    """Non-maximum suppression as a textbook has it: by suppressed row, the row that suppressed it."""
    kept: list[int] = []
    suppressors = {}
    for row in sorted(rows, key=lambda row: -scores[row]):
        over = [k for k in kept if groups[k] == groups[row] and iou(boxes[k], boxes[row]) > threshold]
        if over:
            suppressors[row] = over[0]
        else:
            kept.append(row)
    return suppressors


def test_suppressors_are_those_of_the_textbook(trace):
    rpn, stages = trace.rpn, trace.proposal_stages
    rows = stages.usable[rpn.levels[stages.usable] >= 2].tolist()
    expected = greedy_suppressors(rpn.boxes_xyxy.astype(float), rpn.logits, rpn.levels, rows, 0.7)
    assert len(expected) > 20
    assert set(expected) == set(rows) - set(stages.kept.tolist())
    assert {row: trace.suppressor_of_anchor(row) for row in expected} == expected

    candidates, kept = trace.selection.candidates, trace.selection.kept
    proposals, classes = candidates.T
    boxes, scores = trace.head.boxes_xyxy[proposals, classes].astype(float), trace.head.scores[proposals, classes]
    expected = greedy_suppressors(boxes, scores, classes, range(len(candidates)), 0.5)
    assert len(expected) > 20
    assert set(expected) == set(range(len(candidates))) - set(kept.tolist())
    assert {row: trace.selection.suppressor_of(row) for row in expected} == expected


def test_ranks_count_within_the_level(trace):
    stages = trace.proposal_stages
    level = stages.entered[trace.rpn.levels[stages.entered] == 0]
    assert len(level) == 500
    assert trace.rank_of(level[0]) == 1
    assert trace.rank_of(level[499]) == 500


@pytest.mark.parametrize("config", ["faster_rcnn_V_39_FPN_3x", "faster_rcnn_V_19_slim_dw_FPNLite_3x"])
def test_levels_are_detectron2_s(tiny, config):
    detector = tiny(config)
    pyramid, pooler = TwoStageTracer(detector).pyramid, detector.model.roi_heads.box_pooler
    sides = np.concatenate([np.random.default_rng(0).uniform(0, 900, (300, 2)), [[112, 112], [224, 224], [0, 5]]])
    boxes = np.concatenate([np.ones_like(sides), 1 + sides], axis=1).astype(np.float32)
    expected = assign_boxes_to_levels([Boxes(torch.from_numpy(boxes))], pooler.min_level, pooler.max_level, 224, 4)
    np.testing.assert_array_equal(pyramid.levels_of(boxes), expected.numpy())
    assert pyramid.names[:2] == ("p2", "p3")
    assert pyramid.fitting_iou == 0.3


def test_exceptions_let_through_what_they_name(demo, scene, trace):
    tracer = TwoStageTracer(demo)
    view = tracer.look(scene)
    stages, chosen = trace.proposal_stages, trace.selection
    suppressed = int(np.setdiff1d(stages.usable, stages.kept)[0])
    assert (
        suppressed
        in tracer.follow(view, exceptions=TwoStageExceptions(spared_anchors=(suppressed,))).proposal_stages.kept
    )

    box = (10.0, 20.0, 60.0, 50.0)
    extended = tracer.follow(view, exceptions=TwoStageExceptions(extra_proposals=(box,)), known=trace)
    np.testing.assert_array_equal(extended.head.proposals_xyxy[-1], box)
    np.testing.assert_array_equal(extended.head.scores[:-1], trace.head.scores)
    assert extended.head.anchors[-1] == -1
    alone = tracer.follow(view, exceptions=TwoStageExceptions(extra_proposals=(box,)))
    np.testing.assert_allclose(extended.head.scores[-1], alone.head.scores[-1], rtol=1e-4)

    changed = tracer.follow(view, exceptions=TwoStageExceptions(declared=((7, 2),), unmoved=((7, 2),)), known=trace)
    assert changed.head.scores[7].tolist() == [0, 0, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(changed.head.boxes_of(2)[7], trace.head.proposals_xyxy[7])

    row = int(np.setdiff1d(np.arange(len(chosen.candidates)), chosen.kept)[0])
    pair = tuple(chosen.candidates[row].tolist())
    spared = tracer.follow(view, exceptions=TwoStageExceptions(spared_candidates=(pair,)), known=trace)
    assert set(spared.selection.kept) == {row, *chosen.kept}
    assert (np.diff(spared.detections.scores) <= 0).all()
