"""The autopsy of one image: a trace of the detector and what is in the image in, a verdict for each object out.

What the verdicts mean stands in `explorer.autopsy.verdicts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from explorer.autopsy.stages import StageTrace
from explorer.autopsy.verdicts import Verdict
from explorer.scoring.columns import Run, Truth, in_order
from explorer.scoring.matching import match
from explorer.scoring.nearby import BoxIndex, Floats, Ints, ious_with
from explorer.scoring.outcomes import FOUND
from explorer.scoring.sizes import ALL

_RPN_STAGES = (Verdict.PRE_NMS_TOPK, Verdict.TOO_SMALL, Verdict.RPN_NMS, Verdict.POST_NMS_TOPK)
_DETECTION_STAGES = (Verdict.FINAL_NMS, Verdict.DETECTIONS_LIMIT, Verdict.TAKEN)


@dataclass(frozen=True, eq=False)
class Objects:
    """What is in one image, one row per object, in the frame of the original image.

    Attributes:
        boxes_xywh: `(G, 4)` float64, to the last bit those that are evaluated.
        classes: `(G,)` class index of the model.
        crowds: `(G,)` bool.
    """

    boxes_xywh: Floats
    classes: Ints
    crowds: npt.NDArray[np.bool_]

    @cached_property
    def boxes_xyxy(self) -> Floats:
        """The same as corners."""
        return np.concatenate([self.boxes_xywh[:, :2], self.boxes_xywh[:, :2] + self.boxes_xywh[:, 2:]], axis=1)

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Finding:
    """What the autopsy finds on one object. Boxes are in the frame of the original image; NaN and -1 say "none".

    Attributes:
        verdict: where the object was lost, or that it was found; in a `Dissection`, at whatever score.
        fpn_level: position in `Pyramid.names` of the level that the box head pools an object of this size from.
        anchor_iou: the best of all anchors.
        anchor_objectness: the RPN's highest probability among anchors that fit.
        anchor_rank: the place of that anchor in its level, from 1.
        rpn_iou: the best of the boxes that the RPN makes of its anchors, before any is dropped.
        rpn_objectness: its highest probability among those that are on the object.
        rpn_rank: the place of that one in its level, from 1.
        proposal_iou: the best of the proposals.
        class_score: the head's highest score for the object's class among proposals on the object.
        said_class: what the head most likely takes the candidate that got furthest for; the number of classes means
            background.
        said_score: with which probability.
        final_iou: the best of the detections of its class.
        detection: row in the image's detections of the one that has it.
        score: that detection's score; in an `Autopsy`, that of the run's detection.
        taker: row in the image's objects of the one that took its best detection.
        suppressor_xyxy: the box that suppressed the candidate that got furthest.
        suppressor_score: its score; its objectness in the RPN.
        anchor: the anchor of the candidate that got furthest, where it died in the RPN.
        proposal: the proposal of the candidate that got furthest, where it reached the box head.
    """

    verdict: Verdict
    fpn_level: int
    anchor_iou: float = float("nan")
    anchor_objectness: float = float("nan")
    anchor_rank: int = -1
    rpn_iou: float = float("nan")
    rpn_objectness: float = float("nan")
    rpn_rank: int = -1
    proposal_iou: float = float("nan")
    class_score: float = float("nan")
    said_class: int = -1
    said_score: float = float("nan")
    final_iou: float = float("nan")
    detection: int = -1
    score: float = float("nan")
    taker: int = -1
    suppressor_xyxy: tuple[float, float, float, float] | None = None
    suppressor_score: float = float("nan")
    anchor: int = -1
    proposal: int = -1


@dataclass(frozen=True)
class _Death:
    """Where an object's last candidate died, and which it was."""

    verdict: Verdict
    anchor: int = -1
    proposal: int = -1


class Dissection:
    """Looks at one image's trace, object by object.

    Attributes:
        trace: the detector's stages.
        objects: what is in the image.
        iou: the overlap from which a box is on an object, and a detection finds it.
        anchors: the anchors in the frame of the original image, to look up.
        rpn_boxes: what the RPN makes of them, likewise.
        matches: the object that each detection has, -1 for none and for crowds.
    """

    def __init__(
        self, trace: StageTrace, objects: Objects, *, iou: float = FOUND.iou, sorted_by: Dissection | None = None
    ) -> None:
        """Matches detections with objects and sorts the boxes.

        Args:
            trace: the detector's stages.
            objects: what is in the image.
            iou: the overlap from which a box is on an object.
            sorted_by: one of another trace of the same view, which has sorted anchors and RPN boxes already.
        """
        self.trace, self.objects, self.iou = trace, objects, iou
        self.anchors: BoxIndex = sorted_by.anchors if sorted_by else BoxIndex(_scaled(trace, trace.rpn.anchors_xyxy))
        self.rpn_boxes: BoxIndex = (
            sorted_by.rpn_boxes if sorted_by else BoxIndex(trace.to_original(trace.rpn.boxes_xyxy))
        )
        self._proposals = trace.to_original(trace.head.proposals_xyxy)
        self._class_boxes: dict[int, npt.NDArray[np.float32]] = {}
        self._rpn_reach = _rpn_reach(trace)
        self._candidate_reach = _candidate_reach(trace)
        self.matches = _match(trace, objects, iou)
        self._levels = trace.pyramid.levels_of(trace.to_input(objects.boxes_xyxy))

    def finding(self, row: int) -> Finding:
        """Returns what is to say of one object."""
        level = int(self._levels[row])
        if self.objects.crowds[row]:
            return Finding(Verdict.CROWD, level)
        death = self._death(row)
        return Finding(
            death.verdict,
            level,
            **self._anchor_facts(row),
            **self._rpn_facts(row),
            **self._head_facts(row, death),
            **self._final_facts(row),
            **self._suppressor(death, int(self.objects.classes[row])),
            anchor=death.anchor,
            proposal=death.proposal,
        )

    def findings(self) -> list[Finding]:
        """Returns what is to say of each object."""
        return [self.finding(row) for row in range(len(self.objects))]

    def class_boxes(self, class_index: int) -> npt.NDArray[np.float32]:
        """The head's boxes for a class, one per proposal, in the frame of the original image."""
        if class_index not in self._class_boxes:
            self._class_boxes[class_index] = self.trace.to_original(self.trace.head.boxes_of(class_index))
        return self._class_boxes[class_index]

    def _death(self, row: int) -> _Death:
        death = self._death_in_head(row) or self._death_in_rpn(row)
        return _Death(Verdict.FOUND, death.anchor, death.proposal) if row in self.matches else death

    def _death_in_head(self, row: int) -> _Death | None:
        """Where the last of the object's candidates died in the box head or after; None if it had none there."""
        head, class_index = self.trace.head, int(self.objects.classes[row])
        box = self.objects.boxes_xyxy[row]
        on_object = ious_with(box, self.class_boxes(class_index)) >= self.iou
        over = head.finite & (head.scores[:, class_index] > np.float32(self.trace.limits.score_threshold))
        candidates = np.flatnonzero((ious_with(box, self._proposals) >= self.iou) | (over & on_object))
        if not len(candidates):
            return None
        on_object, over = on_object[candidates], over[candidates]
        said = _most_likely(self.trace, candidates)
        wrong = np.where(said == head.classes, Verdict.BACKGROUND, Verdict.OTHER_CLASS)
        dropped = np.where(said != class_index, wrong, np.where(on_object, Verdict.SCORE, Verdict.REGRESSED_AWAY))
        through = np.where(on_object, self._candidate_reach[candidates, class_index], Verdict.REGRESSED_AWAY)
        verdicts = np.where(over, through, dropped)
        last = verdicts.max()
        scores = head.scores[candidates, said if last == Verdict.OTHER_CLASS else class_index]
        best = np.lexsort((scores, on_object, verdicts))[-1]
        return _Death(Verdict(last), proposal=int(candidates[best]))

    def _death_in_rpn(self, row: int) -> _Death:
        """Where the last of the object's candidates died in the RPN."""
        box, rpn, fitting_iou = self.objects.boxes_xyxy[row], self.trace.rpn, self.trace.pyramid.fitting_iou
        on_object, _ = self.rpn_boxes.near(box, self.iou)
        fitting, _ = self.anchors.near(box, fitting_iou)
        reach = self._rpn_reach[on_object]
        candidates = on_object[np.isin(on_object, fitting) | (reach > 0)]
        if not len(candidates):
            return _Death(Verdict.NO_PROPOSAL if len(fitting) else Verdict.NO_ANCHOR)
        reach = self._rpn_reach[candidates]
        best = np.lexsort((rpn.logits[candidates], reach))[-1]
        return _Death(_RPN_STAGES[reach[best]], anchor=int(candidates[best]))

    def _anchor_facts(self, row: int) -> dict[str, Any]:
        box = self.objects.boxes_xyxy[row]
        fitting, _ = self.anchors.near(box, self.trace.pyramid.fitting_iou)
        objectness, rank = self._best_objectness(fitting)
        return {"anchor_iou": self.anchors.best_iou(box), "anchor_objectness": objectness, "anchor_rank": rank}

    def _rpn_facts(self, row: int) -> dict[str, Any]:
        box = self.objects.boxes_xyxy[row]
        on_object, _ = self.rpn_boxes.near(box, self.iou)
        objectness, rank = self._best_objectness(on_object)
        return {"rpn_iou": self.rpn_boxes.best_iou(box), "rpn_objectness": objectness, "rpn_rank": rank}

    def _best_objectness(self, anchors: Ints) -> tuple[float, int]:
        anchors = anchors[self.trace.rpn.finite[anchors]]
        if not len(anchors):
            return float("nan"), -1
        best = int(anchors[self.trace.rpn.logits[anchors].argmax()])
        return objectness(self.trace, best), self.trace.rank_of(best)

    def _head_facts(self, row: int, death: _Death) -> dict[str, Any]:
        head, class_index = self.trace.head, int(self.objects.classes[row])
        ious = ious_with(self.objects.boxes_xyxy[row], self._proposals)
        scores = head.scores[(ious >= self.iou) & head.finite, class_index]
        facts: dict[str, Any] = {
            "proposal_iou": float(ious.max(initial=0)),
            "class_score": float(scores.max()) if len(scores) else float("nan"),
        }
        if death.proposal >= 0:
            said = int(_most_likely(self.trace, np.array([death.proposal]))[0])
            facts |= {"said_class": said, "said_score": float(head.scores[death.proposal, said])}
        return facts

    def _final_facts(self, row: int) -> dict[str, Any]:
        found = self.trace.detections
        own = np.flatnonzero(found.classes == self.objects.classes[row])
        ious = ious_with(self.objects.boxes_xyxy[row], found.boxes_xyxy[own])
        facts: dict[str, Any] = {"final_iou": float(ious.max(initial=0))}
        if row in self.matches:
            detection = int(np.flatnonzero(self.matches == row)[0])
            return facts | {"detection": detection, "score": float(found.scores[detection])}
        on_object = own[ious >= self.iou]
        return facts | ({"taker": int(self.matches[on_object[0]])} if len(on_object) else {})

    def _suppressor(self, death: _Death, class_index: int) -> dict[str, Any]:
        trace = self.trace
        if death.verdict == Verdict.RPN_NMS:
            anchor = trace.suppressor_of_anchor(death.anchor)
            box, score = trace.rpn.boxes_xyxy[anchor], objectness(trace, anchor)
        elif death.verdict == Verdict.FINAL_NMS:
            candidates = trace.detection_stages.candidates
            own = int(np.flatnonzero((candidates == (death.proposal, class_index)).all(axis=1))[0])
            proposal, _ = candidates[trace.suppressor_of_candidate(own)]
            box, score = trace.head.boxes_of(class_index)[proposal], float(trace.head.scores[proposal, class_index])
        else:
            return {}
        return {"suppressor_xyxy": tuple(trace.to_original(box).tolist()), "suppressor_score": score}


def _match(trace: StageTrace, objects: Objects, iou: float) -> Ints:
    """Returns the object that each detection has by COCO's matching, `(D,)`, -1 for none and for crowds."""
    found, here = trace.detections, np.zeros(len(objects), dtype=np.int64)
    corners = found.boxes_xyxy.astype(np.float64)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    columns = in_order(np.zeros(len(found), dtype=np.int64), found.classes, boxes, found.scores.astype(np.float64))
    truth = Truth(
        image_ids=np.zeros(1, dtype=np.int64),
        file_names=("",),
        image_sizes=np.array([trace.image_size]),
        category_ids=np.arange(len(found.class_names)),
        class_names=found.class_names,
        ids=np.arange(len(objects)),
        images=here,
        classes=objects.classes,
        boxes_xywh=objects.boxes_xywh,
        areas_px=objects.boxes_xywh[:, 2:].prod(axis=1),
        crowds=objects.crowds,
    )
    every = (max(1, len(found)),)  # what lies beyond a limit of the evaluation is the run's to say
    matches = match(Run("", truth, columns, {}), thresholds=(iou,), bins=(ALL,), max_detections=every)
    taken = matches.objects_taken(iou)
    return np.where(np.append(objects.crowds, False)[taken], -1, taken)


def objectness(trace: StageTrace, anchor: int) -> float:
    """The RPN's probability, in [0, 1], that an anchor is on an object."""
    return float(1 / (1 + np.exp(-np.float64(trace.rpn.logits[anchor]))))


def _scaled(trace: StageTrace, boxes_xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Takes boxes to the frame of the original image without clipping: anchors may reach out of it."""
    return boxes_xyxy / trace.to_input(np.ones(4))


def _most_likely(trace: StageTrace, proposals: Ints) -> Ints:
    """What the head takes proposals for; background where it gives no numbers, for these it drops too."""
    head = trace.head
    said: Ints = np.where(head.finite[proposals], head.scores[proposals].argmax(axis=1), head.classes)
    return said


def _rpn_reach(trace: StageTrace) -> Ints:
    """By anchor, how many of the RPN's stages its box got through, 0 to 4."""
    stages = trace.proposal_stages
    reach = np.zeros(len(trace.rpn.levels), dtype=np.int64)
    for anchors in (stages.entered, stages.usable, stages.kept, stages.passed):
        reach[anchors] += 1
    return reach


def _candidate_reach(trace: StageTrace) -> Ints:
    """By proposal and class, the verdict on a box above the score threshold: how far it got among the detections."""
    stages = trace.detection_stages
    reach = np.zeros(len(stages.candidates), dtype=np.int64)
    for rows in (stages.kept, stages.limited):
        reach[rows] += 1
    verdicts = np.full((len(trace.head.scores), trace.head.classes), -1)
    verdicts[tuple(stages.candidates.T)] = np.array(_DETECTION_STAGES)[reach]
    return verdicts
