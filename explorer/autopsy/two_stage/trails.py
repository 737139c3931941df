"""What the stages of a two-stage detector tell of each object: where its last candidate died, and the best they had."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from explorer.autopsy.family import Death, DecidingBox, Relaxation, Trails, corners
from explorer.autopsy.findings import Best, Finding, Results, Said, Suppressor
from explorer.autopsy.objects import Objects
from explorer.autopsy.two_stage import relax, story
from explorer.autopsy.two_stage.stages import TwoStageTrace
from explorer.autopsy.verdicts import Verdict
from explorer.scoring.nearby import ious_with
from explorer.types import Floats32, Ints

_RPN_STAGES = (Verdict.PRE_NMS_TOPK, Verdict.TOO_SMALL, Verdict.RPN_NMS, Verdict.POST_NMS_TOPK)


class TwoStageTrails(Trails):
    """The trails of one image's objects.

    Attributes:
        trace: the detector's stages.
        objects: what is in the image.
        proposals_xyxy: `(R, 4)` in the frame of the original image.
    """

    def __init__(self, trace: TwoStageTrace, objects: Objects, iou: float) -> None:
        self.trace, self.objects, self._iou = trace, objects, iou
        self.proposals_xyxy = trace.frame.to_original(trace.head.proposals_xyxy)
        self._class_boxes: dict[int, Floats32] = {}
        self._rpn_reach = _rpn_reach(trace)
        self._candidate_reach = _candidate_reach(trace)
        self._levels = trace.pyramid.levels_of(trace.frame.to_input(objects.boxes_xyxy))

    def level(self, row: int) -> int:
        """The level that the box head pools from."""
        return int(self._levels[row])

    def anchor_of(self, place: int) -> int | None:
        anchor = int(self.trace.head.anchors[place])
        return anchor if anchor >= 0 else None

    def death(self, row: int) -> Death:
        return self._death_in_head(row) or self._death_in_rpn(row)

    def results(self, row: int, death: Death) -> Results:
        box, view = self.objects.boxes_xyxy[row], self.trace.view
        fitting, _ = view.anchors.near(box, self.trace.pyramid.fitting_iou)
        on_object, _ = view.rpn_boxes.near(box, self._iou)
        best = {
            "anchors": self._by_objectness(view.anchors.best_iou(box), fitting),
            "RPN": self._by_objectness(view.rpn_boxes.best_iou(box), on_object),
            "proposals": self._by_class(row),
        }
        return Results(best, self._said(death), self._suppressor(death))

    def relaxation(self, row: int, death: Death) -> Relaxation:
        return relax.relaxation(self.trace, self.objects.boxes_xyxy[row], death)

    def boxes(self, row: int, death: Death, class_names: tuple[str, ...]) -> Iterator[DecidingBox]:
        return story.boxes(self.trace, self.objects.boxes_xyxy[row], death, class_names)

    def sentences(self, row: int, finding: Finding, class_names: tuple[str, ...]) -> Iterator[str]:
        del row  # the finding says all
        return story.sentences(self.trace, finding, class_names)

    def _death_in_head(self, row: int) -> Death | None:
        """Where the last of the object's candidates died in the box head or after; None if it had none there."""
        head, class_index = self.trace.head, int(self.objects.classes[row])
        box = self.objects.boxes_xyxy[row]
        on_object = ious_with(box, self._boxes_of(class_index)) >= self._iou
        over = head.finite & (head.scores[:, class_index] > np.float32(self.trace.limits.score_threshold))
        candidates = np.flatnonzero((ious_with(box, self.proposals_xyxy) >= self._iou) | (over & on_object))
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
        proposal = int(candidates[np.lexsort((scores, on_object, verdicts))[-1]])
        return Death(Verdict(last), self.anchor_of(proposal), (proposal, class_index))

    def _death_in_rpn(self, row: int) -> Death:
        """Where the last of the object's candidates died in the RPN."""
        box, view = self.objects.boxes_xyxy[row], self.trace.view
        on_object, _ = view.rpn_boxes.near(box, self._iou)
        fitting, _ = view.anchors.near(box, self.trace.pyramid.fitting_iou)
        reach = self._rpn_reach[on_object]
        candidates = on_object[np.isin(on_object, fitting) | (reach > 0)]
        if not len(candidates):
            return Death(Verdict.NO_PROPOSAL if len(fitting) else Verdict.NO_ANCHOR)
        reach = self._rpn_reach[candidates]
        best = np.lexsort((view.rpn.logits[candidates], reach))[-1]
        return Death(_RPN_STAGES[reach[best]], int(candidates[best]))

    def _boxes_of(self, class_index: int) -> Floats32:
        """The head's boxes for a class, one per proposal, in the frame of the original image."""
        if class_index not in self._class_boxes:
            self._class_boxes[class_index] = self.trace.frame.to_original(self.trace.head.boxes_of(class_index))
        return self._class_boxes[class_index]

    def _by_objectness(self, iou: float, anchors: Ints) -> Best:
        anchors = anchors[self.trace.rpn.finite[anchors]]
        if not len(anchors):
            return Best(iou)
        best = int(anchors[self.trace.rpn.logits[anchors].argmax()])
        return Best(iou, self.trace.objectness(best), self.trace.rank_of(best))

    def _by_class(self, row: int) -> Best:
        """The best proposal, and the highest score for the object's class among proposals on the object."""
        head = self.trace.head
        ious = ious_with(self.objects.boxes_xyxy[row], self.proposals_xyxy)
        scores = head.scores[(ious >= self._iou) & head.finite, int(self.objects.classes[row])]
        return Best(float(ious.max(initial=0)), float(scores.max()) if len(scores) else None)

    def _said(self, death: Death) -> Said | None:
        if death.pair is None:
            return None
        proposal, class_index = death.pair
        said = int(_most_likely(self.trace, np.array([proposal]))[0])
        scores = self.trace.head.scores[proposal]
        return Said(said, float(scores[said]), float(scores[class_index]))

    def _suppressor(self, death: Death) -> Suppressor | None:
        trace = self.trace
        if death.verdict == Verdict.RPN_NMS and death.anchor is not None:
            anchor = trace.suppressor_of_anchor(death.anchor)
            box, score = trace.rpn.boxes_xyxy[anchor], trace.objectness(anchor)
            return Suppressor(corners(trace.frame.to_original(box)), score)
        return trace.suppressor(death)


def _most_likely(trace: TwoStageTrace, proposals: Ints) -> Ints:
    """What the head takes proposals for; background where it gives no numbers, for these it drops too."""
    head = trace.head
    said: Ints = np.where(head.finite[proposals], head.scores[proposals].argmax(axis=1), head.classes)
    return said


def _rpn_reach(trace: TwoStageTrace) -> Ints:
    """By anchor, how many of the RPN's stages its box got through, 0 to 4."""
    stages = trace.proposal_stages
    reach = np.zeros(len(trace.rpn.levels), dtype=np.int64)
    for anchors in (stages.entered, stages.usable, stages.kept, stages.passed):
        reach[anchors] += 1
    return reach


def _candidate_reach(trace: TwoStageTrace) -> Ints:
    """By proposal and class, the verdict on a box above the score threshold: how far it got in the selection."""
    verdicts = np.full((len(trace.head.scores), trace.head.classes), -1)
    verdicts[tuple(trace.selection.candidates.T)] = trace.selection.verdicts
    return verdicts
