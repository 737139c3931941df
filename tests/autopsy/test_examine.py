"""Every verdict on a hand-made detector that can lose an object in one way only, and autopsies of the demo models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from explorer.autopsy.counterfactual import recovery, retrials, try_again
from explorer.autopsy.dissection import Dissection, Objects
from explorer.autopsy.examine import Autopsy, autopsy, class_indices_of, read_autopsy
from explorer.autopsy.stages import HeadOutput, Limits, Pyramid, RpnOutput
from explorer.autopsy.trace import Tracer, View
from explorer.autopsy.verdicts import Verdict
from explorer.data.aerial import make_aerial
from explorer.data.ids import id_column
from explorer.data.images import ImageError, read_image
from explorer.engine.detector import Detector, make_detector
from explorer.engine.loading import load_detector
from explorer.scoring.columns import Truth, in_order
from explorer.scoring.convert import run_from_detections
from explorer.scoring.matching import match
from explorer.scoring.outcomes import FOUND, FoundRule, object_scores
from explorer.scoring.runs import read_truth
from explorer.zoo.resolve import resolve

Box = tuple[float, float, float, float]
OBJECT: Box = (100, 100, 200, 200)
PART: Box = (100, 100, 200, 160)  # IoU with the object 0.6
SLIVER: Box = (100, 100, 200, 140)  # 0.4, and 0.67 with the part
AWAY: Box = (0, 0, 200, 200)  # 0.25
LAX = Limits(
    pre_nms_topk=100,
    min_size_px=0,
    rpn_nms_iou=0.7,
    post_nms_topk=100,
    score_threshold=0.05,
    nms_iou=0.5,
    detections=100,
)


class HandMade(Tracer):
    """A detector of two classes whose network is a table: boxes by anchor, and scores and boxes by proposal."""

    def __init__(self, head: Mapping[Box, tuple[tuple[float, float], Box]], **limits: float) -> None:
        self.limits = replace(LAX, **limits)  # type: ignore[arg-type]
        self.pyramid = Pyramid(("p2", "p3", "p4", "p5", "p6"), 2, 5, 224.0, 4, 0.3)
        self._head = head
        self._detector = SimpleNamespace(device=torch.device("cpu"), class_names=("cat", "dog"))  # type: ignore[assignment]

    def _judge(self, view: View, anchors: Any, proposals_xyxy: Any) -> HeadOutput:
        proposals = [tuple(box) for box in proposals_xyxy.tolist()]
        said = [self._head.get(box, ((0.0, 0.0), box)) for box in proposals]
        scores = np.array([(*s, 1 - sum(s)) for s, _ in said], dtype=np.float32).reshape(-1, 3)
        boxes = np.array([box for _, box in said], dtype=np.float32).reshape(-1, 1, 4)
        return HeadOutput(anchors, proposals_xyxy, scores, boxes, np.ones(len(proposals), dtype=np.bool_))


def view(*anchors: tuple[Box, Box, float]) -> View:
    """What an RPN says: anchors, what they become, and their logits, all on one level."""
    shapes = [np.array([row[column] for row in anchors], dtype=np.float32) for column in range(3)]
    number = len(anchors)
    rpn = RpnOutput(np.zeros(number, np.int64), shapes[0], shapes[2], shapes[1], np.ones(number, dtype=np.bool_))
    return View((400, 400), (400, 400), {}, rpn)


def objects(*boxes: Box, crowds: tuple[bool, ...] = ()) -> Objects:
    corners = np.array(boxes, dtype=np.float64)
    return Objects(
        np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1),
        np.zeros(len(boxes), dtype=np.int64),
        np.array(crowds or [False] * len(boxes)),
    )


ON = (OBJECT, OBJECT, 0.0)
SURE = {OBJECT: ((0.9, 0.05), OBJECT)}
CASES: dict[Verdict, tuple[View, HandMade]] = {
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


def dissect(case: tuple[View, HandMade], present: Objects) -> Dissection:
    return Dissection(case[1].follow(case[0]), present)


@pytest.mark.parametrize("verdict", CASES, ids=lambda verdict: verdict.name)
def test_a_detector_that_loses_in_one_way_only_gets_that_verdict_and_recovers(verdict: Verdict) -> None:
    case = CASES[verdict]
    dissection = dissect(case, objects(OBJECT))
    assert dissection.finding(0).verdict == verdict
    (retrial,) = try_again(case[1], case[0], dissection, 0)
    assert (retrial.before, retrial.after, retrial.is_recovered) == (verdict, Verdict.FOUND, True)
    assert retrial.change


def test_every_stage_has_a_case() -> None:
    by_the_run = {Verdict.NOT_IN_RUN, Verdict.LOW_SCORE}  # what a trace alone does not say
    assert {*CASES, *by_the_run, Verdict.TAKEN, Verdict.FOUND, Verdict.CROWD} == set(Verdict)


def test_what_is_found_is_said_with_its_detection() -> None:
    tracer = HandMade(SURE)
    dissection = dissect((view(ON), tracer), objects(OBJECT))
    finding = dissection.finding(0)
    assert (finding.verdict, finding.detection, finding.score) == (Verdict.FOUND, 0, pytest.approx(0.9))
    assert (finding.anchor_iou, finding.proposal_iou, finding.final_iou) == (1, 1, 1)
    with pytest.raises(ValueError, match="Object 0 is not missed: found"):
        try_again(tracer, view(ON), dissection, 0)


def test_one_detection_serves_one_object() -> None:
    case = view(ON), HandMade(SURE)
    dissection = dissect(case, objects((110, 100, 210, 200), OBJECT))
    assert [finding.verdict for finding in dissection.findings()] == [Verdict.TAKEN, Verdict.FOUND]
    assert dissection.finding(0).taker == 1
    (retrial,) = try_again(case[1], case[0], dissection, 0)
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
        assert finding.suppressor_xyxy == SLIVER
        assert finding.suppressor_score == pytest.approx(score)
    finding = dissect(CASES[Verdict.OTHER_CLASS], objects(OBJECT)).finding(0)
    assert (finding.said_class, finding.said_score, finding.class_score) == (
        1,
        pytest.approx(0.9),
        pytest.approx(0.03),
    )


def test_faults_are_relaxed_one_after_the_other() -> None:
    tracer = HandMade({OBJECT: ((0.03, 0.02), OBJECT)}, post_nms_topk=1)
    anchors = view(ON, (AWAY, AWAY, 1))
    dissection = dissect((anchors, tracer), objects(OBJECT))
    steps = try_again(tracer, anchors, dissection, 0, steps=5)
    assert [(step.before, step.after) for step in steps] == [
        (Verdict.POST_NMS_TOPK, Verdict.BACKGROUND),
        (Verdict.BACKGROUND, Verdict.FOUND),
    ]
    counted = recovery([steps])[Verdict.POST_NMS_TOPK]
    assert (counted.tried, counted.recovered, counted.found, counted.found_at_last) == (1, 1, 0, 1)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    folder = tmp_path_factory.mktemp("data") / "aerial"
    make_aerial(folder, images=8, seed=5, size=(240, 320))
    return read_truth(f"{folder}:val")


@pytest.fixture(scope="module", params=["demo/V-19-slim-dw", "demo/MobileNetV2"])
def demo(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param, device="cpu", overrides=["INPUT.MIN_SIZE_TEST", "240"], exact=True)


@pytest.fixture(scope="module")
def examined(demo: Detector, truth: Truth) -> Autopsy:
    return autopsy(demo, truth)


def test_every_object_has_one_verdict_and_those_found_are_cocos(
    demo: Detector, truth: Truth, examined: Autopsy
) -> None:
    assert len(examined) == len(truth)
    assert len(set(examined.verdicts.tolist())) > 3
    run = run_from_detections(truth, [demo.detect(read_image(name)).detections for name in truth.file_names], "plain")
    matches = match(run, thresholds=(0.5,))
    point = FOUND.of(matches)
    scores = object_scores(matches, 0.5)
    assert replace(examined.point, run="plain") == point
    np.testing.assert_array_equal(examined.verdicts == Verdict.FOUND, scores >= point.score)
    np.testing.assert_array_equal(examined.verdicts == Verdict.LOW_SCORE, scores < point.score)
    assert Verdict.NOT_IN_RUN not in examined.verdicts
    np.testing.assert_array_equal(np.isnan(examined.column("score")), np.isnan(scores))


def test_another_iou_follows_boxes_at_that_iou(demo: Detector, truth: Truth, examined: Autopsy) -> None:
    stricter = autopsy(demo, truth, found=FoundRule(iou=0.8, score=0.2))
    assert (stricter.point.iou, stricter.point.score) == (0.8, 0.2)
    detected = stricter.column("final_iou")[stricter.verdicts == Verdict.FOUND]
    assert (detected >= 0.8).all()
    assert (stricter.column("score")[stricter.verdicts == Verdict.FOUND] >= 0.2).all()
    assert (stricter.verdicts == Verdict.FOUND).sum() < (examined.verdicts >= Verdict.LOW_SCORE).sum()
    levels = (Verdict.NO_PROPOSAL, Verdict.REGRESSED_AWAY)  # where boxes that are a little off are lost
    assert np.isin(stricter.verdicts, levels).sum() > np.isin(examined.verdicts, levels).sum()


def test_a_runs_detections_say_what_is_found(demo: Detector, truth: Truth, examined: Autopsy) -> None:
    """A run that lacks some of the model's detections, and has an object that the model loses."""
    detections = [demo.detect(read_image(name)).detections for name in truth.file_names]
    whole = match(run_from_detections(truth, detections, "whole"))
    everything = FoundRule(score=0.0)
    lost = int(np.flatnonzero((examined.verdicts < Verdict.NOT_IN_RUN) & ~truth.crowds)[0])
    gone = int(np.flatnonzero(examined.verdicts == Verdict.FOUND)[-1])
    found = whole.run.found
    kept = np.arange(len(found)) != whole.detections_taking(0.5)[gone]
    columns = [
        np.append(getattr(found, name)[kept], getattr(truth, own)[lost : lost + 1], axis=0)
        for name, own in (("images", "images"), ("classes", "classes"), ("boxes_xywh", "boxes_xywh"))
    ]
    changed = in_order(*columns, np.append(found.scores[kept], 0.9))
    other = match(replace(whole.run, found=changed))
    judged = autopsy(demo, truth, matches=other, found=everything)
    assert judged.findings[lost].verdict == Verdict.FOUND
    assert judged.findings[lost].score == 0.9
    np.testing.assert_array_equal(judged.verdicts == Verdict.FOUND, object_scores(other, 0.5) >= 0)
    if np.isnan(object_scores(other, 0.5)[gone]):  # no second detection has it
        assert judged.findings[gone].verdict == Verdict.NOT_IN_RUN
    again = judged.judged_by(whole, everything.of(whole))
    assert again.findings[gone].verdict == Verdict.FOUND
    for score in (0.3, 0.6, 0.3):
        again = again.judged_by(whole, FoundRule(score=score).of(whole))
        np.testing.assert_array_equal(again.verdicts == Verdict.FOUND, object_scores(whole, 0.5) >= score)
    with pytest.raises(ValueError, match=r"from IoU 0\.5, 0\.75 is asked for: make it again"):
        judged.judged_by(whole, FoundRule(iou=0.75).of(whole))
    few = truth.of_images(truth.image_ids[:2].tolist())
    with pytest.raises(ValueError, match="make it again with `explorer autopsy`"):
        judged.judged_by(match(run_from_detections(few, detections[:2], "few")), judged.point)


def test_at_least_95_percent_recover_once_their_stage_is_relaxed(demo: Detector, truth: Truth) -> None:
    assert_recovered(demo, truth, most_per_verdict=6)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["demo/V-19-slim-dw", "demo/MobileNetV2"])
def test_at_least_95_percent_recover_on_many_scenes(model: str, tmp_path: Path) -> None:
    make_aerial(tmp_path / "aerial", images=60, seed=6)
    assert_recovered(load_detector(model, device="cpu"), read_truth(f"{tmp_path / 'aerial'}:val"), None)


def assert_recovered(detector: Detector, truth: Truth, most_per_verdict: int | None) -> None:
    counted = recovery(retrials(detector, truth, most_per_verdict=most_per_verdict))
    assert len(counted) > 2
    for verdict, number in counted.items():
        assert number.recovered >= 0.95 * number.tried, (verdict.label, number)


def test_sizes_levels_and_verdicts_are_counted(examined: Autopsy) -> None:
    everything, *sizes = examined.by_size()
    assert everything.objects + everything.counts[Verdict.CROWD] == len(examined)
    for verdict in Verdict:
        assert sum(size.counts[verdict] for size in sizes) == everything.counts[verdict]
    levels = examined.column("fpn_level")
    assert (levels >= 0).all()
    assert (levels < len(examined.level_names)).all()


def test_an_autopsy_is_read_as_it_was_written(examined: Autopsy, tmp_path: Path) -> None:
    examined.write(tmp_path / "autopsy.json")
    for path in (tmp_path, tmp_path / "autopsy.json"):
        again = read_autopsy(path)
        np.testing.assert_equal([*map(asdict, again.findings)], [*map(asdict, examined.findings)])
        np.testing.assert_array_equal(again.boxes_xywh, examined.boxes_xywh)
        assert (again.model, again.class_names, again.level_names, again.point) == (
            examined.model,
            examined.class_names,
            examined.level_names,
            examined.point,
        )
    document = json.loads((tmp_path / "autopsy.json").read_text())
    assert document["by_size"]["all"]["found"] == int((examined.verdicts == Verdict.FOUND).sum())


def test_ids_of_any_kind_are_kept(examined: Autopsy, tmp_path: Path) -> None:
    images, ids = (
        [kind(own) for own in range(len(examined))] for kind in (lambda own: f"[{own}]", lambda own: 2**70 - own)
    )
    replace(examined, image_ids=id_column(images), ids=id_column(ids)).write(tmp_path / "autopsy.json")
    again = read_autopsy(tmp_path)
    assert (again.image_ids.tolist(), again.ids.tolist()) == (images, ids)


@pytest.mark.parametrize("text", [None, "{", "{}", '{"version": 99}', '{"version": 1, "iou": 0.5}', "[]"])
def test_what_is_no_autopsy_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "autopsy.json").write_text(text)
    with pytest.raises(ValueError, match=r"is no autopsy .* Make one with `explorer autopsy`"):
        read_autopsy(tmp_path)


def test_mask_rcnn_is_examined_too(truth: Truth) -> None:
    classes = str(len(truth.class_names))
    keys = ["MODEL.ROI_HEADS.NUM_CLASSES", classes, "INPUT.MIN_SIZE_TEST", "96"]
    keys += ["EXPLORER.CLASS_NAMES", repr(list(truth.class_names))]
    cfg = resolve("configs/mask_rcnn_V_19_FPNLite_3x.yaml", overrides=keys).cfg
    detector = replace(make_detector(cfg, "mask", device="cpu"), class_names=truth.class_names)
    one = truth.of_images(truth.image_ids[:1].tolist())
    assert len(autopsy(detector, one)) == len(one)


def test_other_classes_and_other_pictures_are_refused(demo: Detector, truth: Truth, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share no class by name"):
        class_indices_of(demo, replace(truth, class_names=("a", "b")))
    with pytest.raises(ValueError, match="Class 'tram' cannot be scored: the model has no such class"):
        class_indices_of(demo, replace(truth, class_names=("car", "tram")))
    shuffled = replace(truth, class_names=tuple(reversed(truth.class_names)))
    np.testing.assert_array_equal(class_indices_of(demo, shuffled), np.arange(6)[::-1])
    with pytest.raises(ImageError, match="its annotations say"):
        autopsy(demo, replace(truth, image_sizes=truth.image_sizes + 1))
