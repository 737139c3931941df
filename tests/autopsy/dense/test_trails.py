"""Every verdict on a hand-made dense detector that can lose an object in one way only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from explorer.autopsy.chain import Chain
from explorer.autopsy.counterfactual import try_again
from explorer.autopsy.dense.chain import FCOS, RETINANET
from explorer.autopsy.dense.stages import DenseLimits, DenseView, Places
from explorer.autopsy.dense.tracer import DenseTracer
from explorer.autopsy.dissection import Dissection
from explorer.autopsy.findings import Said, Suppressor
from explorer.autopsy.frame import Resizing
from explorer.autopsy.objects import Objects
from explorer.autopsy.verdicts import Verdict

Box = tuple[float, float, float, float]
OBJECT: Box = (100, 100, 200, 200)
PART: Box = (100, 100, 200, 160)  # IoU with the object 0.6
SLIVER: Box = (100, 100, 200, 140)  # 0.4, and 0.67 with the part
AWAY: Box = (0, 0, 200, 200)  # 0.25
LAX = DenseLimits(threshold=0.2, of_class_score=False, pre_nms_topk=100, nms_iou=0.5, detections=100)


class HandMade(DenseTracer):
    """A detector of two classes whose network is a table."""

    def __init__(self, chain: Chain, **limits: float) -> None:
        self.limits = replace(LAX, **limits)  # type: ignore[arg-type]
        self.chain, self.level_names, self.score_threshold = chain, ("p3", "p4"), self.limits.threshold
        self._detector = SimpleNamespace(device=torch.device("cpu"), class_names=("cat", "dog"))  # type: ignore[assignment]


@dataclass(frozen=True)
class Told:
    """Which object each place learns is told; only those that are there count."""

    objects: tuple[int, ...]

    def objects_of(self, boxes_xyxy: Any) -> Any:
        own = np.array(self.objects)
        return np.where(own < len(boxes_xyxy), own, -1)

    def levels_of(self, boxes_xyxy: Any) -> Any:
        return np.zeros(len(boxes_xyxy), dtype=np.int64)


Place = tuple[int, Box, tuple[float, float], float]
"""The object that it learns, the box, the class scores and the centerness."""


def seen(chain: Chain, *rows: Place) -> DenseView:
    """What a head says, all on one level."""
    boxes, scores = (np.array([row[column] for row in rows], dtype=np.float32) for column in (1, 2))
    central = np.array([row[3] for row in rows], dtype=np.float32) if chain is FCOS else None
    together = scores if central is None else np.sqrt(scores * central[:, None])
    places = Places(np.zeros(len(rows), np.int64), boxes, scores, central, together, boxes)
    return DenseView(Resizing((400, 400), (400, 400)), places, Told(tuple(row[0] for row in rows)))


def objects(*boxes: Box, crowds: tuple[bool, ...] = ()) -> Objects:
    corners = np.array(boxes, dtype=np.float64)
    return Objects(
        np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1),
        np.zeros(len(boxes), dtype=np.int64),
        np.array(crowds or [False] * len(boxes)),
    )


ON: Place = (0, OBJECT, (0.9, 0.02), 1.0)
RIVAL: Place = (-1, AWAY, (0.95, 0.02), 1.0)
COMMON: dict[Verdict, tuple[tuple[Place, ...], dict[str, float]]] = {
    Verdict.CLASS_SCORE: (((0, OBJECT, (0.03, 0.02), 1.0),), {}),
    Verdict.OTHER_CLASS: (((0, OBJECT, (0.03, 0.9), 1.0),), {}),
    Verdict.REGRESSED_AWAY: (((0, AWAY, (0.9, 0.02), 1.0),), {}),
    Verdict.LEVEL_TOPK: ((ON, RIVAL), {"pre_nms_topk": 1}),
    Verdict.FINAL_NMS: (
        ((0, PART, (0.8, 0.02), 1.0), (-1, SLIVER, (0.9, 0.02), 1.0)),
        {"nms_iou": 0.4},
    ),
    Verdict.DETECTIONS_LIMIT: ((ON, RIVAL), {"detections": 1}),
}
ONLY_FCOS: dict[Verdict, tuple[tuple[Place, ...], dict[str, float]]] = {
    Verdict.NO_LOCATION: (((-1, AWAY, (0.9, 0.02), 1.0),), {}),
    Verdict.CENTERNESS: (((0, OBJECT, (0.1, 0.02), 0.2),), {}),
}
CASES = [(FCOS, verdict, case) for verdict, case in (COMMON | ONLY_FCOS).items()]
CASES += [(RETINANET, verdict, case) for verdict, case in COMMON.items()]
CASES += [(RETINANET, Verdict.NO_MATCHED_ANCHOR, ONLY_FCOS[Verdict.NO_LOCATION])]


def dissect(chain: Chain, rows: tuple[Place, ...], limits: Any, present: Objects) -> tuple[DenseView, Dissection]:
    tracer, view = HandMade(chain, **limits), seen(chain, *rows)
    return view, Dissection(tracer, tracer.follow(view), present)


@pytest.mark.parametrize(
    ("chain", "verdict", "case"), CASES, ids=[f"{chain.name}-{verdict.name}" for chain, verdict, _ in CASES]
)
def test_a_detector_that_loses_in_one_way_only_gets_that_verdict_and_recovers(chain, verdict, case):
    view, dissection = dissect(chain, *case, objects(OBJECT))
    finding = dissection.finding(0)
    assert finding.verdict == verdict
    retrial = try_again(view, dissection, 0)
    assert (retrial.before, retrial.after) == (verdict, Verdict.FOUND)
    assert retrial.change
    told = " ".join(dissection.trails.sentences(0, finding, ("cat", "dog")))
    assert "p3" in told
    boxes = list(dissection.trails.boxes(0, dissection.death(0), ("cat", "dog")))
    assert [box.kind for box in boxes] == ["location" if chain is FCOS else "anchor", "candidate"]


@pytest.mark.parametrize("chain", [FCOS, RETINANET], ids=lambda chain: chain.name)
def test_every_stage_has_a_case_and_stages_are_in_their_order(chain):
    by_the_run = {Verdict.NOT_IN_RUN, Verdict.LOW_SCORE}  # what a trace alone does not say
    own = {verdict for kind, verdict, _ in CASES if kind is chain}
    assert {*own, *by_the_run, Verdict.TAKEN, Verdict.FOUND} == set(chain.verdicts)
    assert list(chain.verdicts) == sorted(chain.verdicts)


def test_one_detection_serves_one_object():
    view, dissection = dissect(FCOS, ((1, OBJECT, (0.9, 0.02), 1.0),), {}, objects((110, 100, 210, 200), OBJECT))
    assert [finding.verdict for finding in dissection.findings()] == [Verdict.TAKEN, Verdict.FOUND]
    assert dissection.finding(0).taker == 1
    assert try_again(view, dissection, 0).after == Verdict.FOUND


def test_crowds_are_not_judged_and_take_no_places():
    _, dissection = dissect(RETINANET, (ON,), {}, objects(OBJECT, OBJECT, crowds=(True, False)))
    assert [finding.verdict for finding in dissection.findings()] == [Verdict.CROWD, Verdict.FOUND]
    assert dissection.trails.assigned.tolist() == [1]  # type: ignore[attr-defined]


def test_an_image_without_objects_has_nothing_to_lose():
    none = Objects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_))
    _, dissection = dissect(FCOS, (ON,), {}, none)
    assert dissection.findings() == []
    assert dissection.trails.assigned.tolist() == [-1]  # type: ignore[attr-defined]


def test_what_nobody_assigned_counts_only_if_it_is_sure():
    unsure = (-1, OBJECT, (0.03, 0.02), 1.0)
    central = (-1, OBJECT, (0.5, 0.02), 0.05)
    assert dissect(FCOS, (unsure,), {}, objects(OBJECT))[1].finding(0).verdict == Verdict.NO_LOCATION
    assert dissect(FCOS, (unsure, central), {}, objects(OBJECT))[1].finding(0).verdict == Verdict.CENTERNESS


def test_centermask_compares_class_scores_with_its_threshold():
    central = (0, OBJECT, (0.5, 0.02), 0.001)
    assert dissect(FCOS, (central,), {"of_class_score": True}, objects(OBJECT))[1].finding(0).verdict == Verdict.FOUND
    unsure = (0, OBJECT, (0.15, 0.02), 1.0)  # whose square root is above 0.2
    for of_class_score, verdict in ((True, Verdict.CLASS_SCORE), (False, Verdict.FOUND)):
        limits = {"of_class_score": of_class_score}
        assert dissect(FCOS, (unsure,), limits, objects(OBJECT))[1].finding(0).verdict == verdict


def test_results_say_how_good_each_stage_was():
    _, dissection = dissect(FCOS, *COMMON[Verdict.FINAL_NMS], objects(OBJECT))
    results = dissection.finding(0).results
    assert results.suppressor == Suppressor(SLIVER, pytest.approx(np.sqrt(0.9)))
    assert results.said == Said(0, pytest.approx(0.8), pytest.approx(0.8), 1)
    assert list(results.best) == ["locations", "boxes", "detections"]
    best = results.best["boxes"]
    assert (best.iou, best.score, best.rank) == (pytest.approx(0.6), pytest.approx(np.sqrt(0.8)), 2)
    assert results.best["locations"].score == pytest.approx(0.8)
