"""Every verdict on a hand-made detector that can lose an object in one way only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from explorer.autopsy.counterfactual import try_again
from explorer.autopsy.dissection import Dissection
from explorer.autopsy.findings import Said, Suppressor
from explorer.autopsy.frame import Resizing
from explorer.autopsy.objects import Objects
from explorer.autopsy.two_stage.chain import TWO_STAGE
from explorer.autopsy.two_stage.stages import HeadOutput, Pyramid, RpnOutput, TwoStageLimits, TwoStageView
from explorer.autopsy.two_stage.tracer import TwoStageTracer
from explorer.autopsy.verdicts import Verdict

Box = tuple[float, float, float, float]
OBJECT: Box = (100, 100, 200, 200)
PART: Box = (100, 100, 200, 160)  # IoU with the object 0.6
SLIVER: Box = (100, 100, 200, 140)  # 0.4, and 0.67 with the part
AWAY: Box = (0, 0, 200, 200)  # 0.25
LAX = TwoStageLimits(
    pre_nms_topk=100,
    min_size_px=0,
    rpn_nms_iou=0.7,
    post_nms_topk=100,
    score_threshold=0.05,
    nms_iou=0.5,
    detections=100,
)


class HandMade(TwoStageTracer):
    """A detector of two classes whose network is a table: boxes by anchor, and scores and boxes by proposal."""

    def __init__(self, head: Mapping[Box, tuple[tuple[float, float], Box]], **limits: float) -> None:
        self.limits = replace(LAX, **limits)  # type: ignore[arg-type]
        self.pyramid = Pyramid(("p2", "p3", "p4", "p5", "p6"), 2, 5, 224.0, 4, 0.3)
        self._head = head
        self._detector = SimpleNamespace(device=torch.device("cpu"), class_names=("cat", "dog"))  # type: ignore[assignment]

    def _judge(self, view: TwoStageView, anchors: Any, proposals_xyxy: Any) -> HeadOutput:
        proposals = [tuple(box) for box in proposals_xyxy.tolist()]
        said = [self._head.get(box, ((0.0, 0.0), box)) for box in proposals]
        scores = np.array([(*s, 1 - sum(s)) for s, _ in said], dtype=np.float32).reshape(-1, 3)
        boxes = np.array([box for _, box in said], dtype=np.float32).reshape(-1, 1, 4)
        return HeadOutput(anchors, proposals_xyxy, scores, boxes, np.ones(len(proposals), dtype=np.bool_))


def view(*anchors: tuple[Box, Box, float]) -> TwoStageView:
    """What an RPN says: anchors, what they become, and their logits, all on one level."""
    shapes = [np.array([row[column] for row in anchors], dtype=np.float32) for column in range(3)]
    number = len(anchors)
    rpn = RpnOutput(np.zeros(number, np.int64), shapes[0], shapes[2], shapes[1], np.ones(number, dtype=np.bool_))
    return TwoStageView(Resizing((400, 400), (400, 400)), {}, rpn)


def objects(*boxes: Box, crowds: tuple[bool, ...] = ()) -> Objects:
    corners = np.array(boxes, dtype=np.float64)
    return Objects(
        np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1),
        np.zeros(len(boxes), dtype=np.int64),
        np.array(crowds or [False] * len(boxes)),
    )


ON = (OBJECT, OBJECT, 0.0)
SURE = {OBJECT: ((0.9, 0.05), OBJECT)}
CASES: dict[Verdict, tuple[TwoStageView, HandMade]] = {
    Verdict.NO_ANCHOR: (view((AWAY, AWAY, 0)), HandMade(SURE)),
    Verdict.PRE_NMS_TOPK: (view(ON, (AWAY, AWAY, 1)), HandMade(SURE, pre_nms_topk=1)),
    Verdict.TOO_SMALL: (view(ON, (AWAY, AWAY, 1)), HandMade(SURE, min_size_px=150)),
    Verdict.RPN_NMS: (
        view((OBJECT, PART, 0), (AWAY, SLIVER, 1)),
        HandMade({PART: ((0.9, 0.05), PART)}, rpn_nms_iou=0.4),
    ),
    Verdict.POST_NMS_TOPK: (view(ON, (AWAY, AWAY, 1)), HandMade(SURE, post_nms_topk=1)),
    Verdict.NO_PROPOSAL: (view((OBJECT, AWAY, 0)), HandMade(SURE)),
    Verdict.BACKGROUND: (view(ON), HandMade({OBJECT: ((0.03, 0.02), OBJECT)})),
    Verdict.OTHER_CLASS: (view(ON), HandMade({OBJECT: ((0.03, 0.9), OBJECT)})),
    Verdict.REGRESSED_AWAY: (view(ON), HandMade({OBJECT: ((0.9, 0.05), AWAY)})),
    Verdict.SCORE: (view(ON), HandMade(SURE, score_threshold=0.95)),
    Verdict.FINAL_NMS: (
        view(ON, (AWAY, SLIVER, 1)),
        HandMade({OBJECT: ((0.8, 0.1), PART), SLIVER: ((0.9, 0.1), SLIVER)}, nms_iou=0.4),
    ),
    Verdict.DETECTIONS_LIMIT: (
        view(ON, (AWAY, AWAY, 1)),
        HandMade(SURE | {AWAY: ((0.95, 0.0), AWAY)}, detections=1),
    ),
}


def dissect(case: tuple[TwoStageView, HandMade], present: Objects) -> Dissection:
    return Dissection(case[1], case[1].follow(case[0]), present)


@pytest.mark.parametrize("verdict", CASES, ids=lambda verdict: verdict.name)
def test_a_detector_that_loses_in_one_way_only_gets_that_verdict_and_recovers(verdict: Verdict) -> None:
    case = CASES[verdict]
    dissection = dissect(case, objects(OBJECT))
    assert dissection.finding(0).verdict == verdict
    retrial = try_again(case[0], dissection, 0)
    assert (retrial.before, retrial.after) == (verdict, Verdict.FOUND)
    assert retrial.change


def test_every_stage_has_a_case() -> None:
    by_the_run = {Verdict.NOT_IN_RUN, Verdict.LOW_SCORE}  # what a trace alone does not say
    assert {*CASES, *by_the_run, Verdict.TAKEN, Verdict.FOUND} == set(TWO_STAGE.verdicts)
    assert list(TWO_STAGE.verdicts) == sorted(TWO_STAGE.verdicts)


def test_what_is_found_is_said_with_its_detection() -> None:
    tracer = HandMade(SURE)
    dissection = dissect((view(ON), tracer), objects(OBJECT))
    finding = dissection.finding(0)
    assert (finding.verdict, finding.score) == (Verdict.FOUND, pytest.approx(0.9))
    assert [best.iou for best in finding.results.best.values()] == [1, 1, 1, 1]
    assert list(finding.results.best) == ["anchors", "RPN", "proposals", "detections"]
    with pytest.raises(ValueError, match="Object 0 is not missed: found"):
        try_again(view(ON), dissection, 0)


def test_one_detection_serves_one_object() -> None:
    case = view(ON), HandMade(SURE)
    dissection = dissect(case, objects((110, 100, 210, 200), OBJECT))
    assert [finding.verdict for finding in dissection.findings()] == [Verdict.TAKEN, Verdict.FOUND]
    assert dissection.finding(0).taker == 1
    retrial = try_again(case[0], dissection, 0)
    assert retrial.after == Verdict.FOUND


def test_crowds_are_not_judged_and_take_nothing() -> None:
    dissection = dissect((view(ON), HandMade(SURE)), objects(OBJECT, OBJECT, crowds=(True, False)))
    assert [finding.verdict for finding in dissection.findings()] == [Verdict.CROWD, Verdict.FOUND]


def test_the_furthest_candidate_decides() -> None:
    two_ways = {OBJECT: ((0.03, 0.02), OBJECT), PART: ((0.9, 0.05), AWAY)}
    dissection = dissect((view(ON, (PART, PART, 1)), HandMade(two_ways)), objects(OBJECT))
    assert dissection.finding(0).verdict == Verdict.REGRESSED_AWAY


def test_suppressors_are_named() -> None:
    for verdict, score in ((Verdict.RPN_NMS, 1 / (1 + np.exp(-1))), (Verdict.FINAL_NMS, 0.9)):
        finding = dissect(CASES[verdict], objects(OBJECT)).finding(0)
        assert finding.results.suppressor == Suppressor(SLIVER, pytest.approx(score))
    finding = dissect(CASES[Verdict.OTHER_CLASS], objects(OBJECT)).finding(0)
    assert finding.results.said == Said(1, pytest.approx(0.9), pytest.approx(0.03))
