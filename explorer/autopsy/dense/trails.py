"""What the stages of a dense detector tell of each object: where its last candidate died, and the best they had."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from explorer.autopsy.dense import relax, story
from explorer.autopsy.dense.chain import FCOS
from explorer.autopsy.dense.stages import DenseTrace
from explorer.autopsy.family import Death, DecidingBox, Relaxation, Trails
from explorer.autopsy.findings import Best, Finding, Results, Said
from explorer.autopsy.objects import Objects
from explorer.autopsy.verdicts import Verdict
from explorer.scoring.nearby import ious_with
from explorer.types import Ints


class DenseTrails(Trails):
    """The trails of one image's objects.

    Attributes:
        trace: the detector's stages.
        objects: what is in the image.
    """

    def __init__(self, trace: DenseTrace, objects: Objects, iou: float) -> None:
        self.trace, self.objects, self._iou = trace, objects, iou
        self._levels = trace.view.assignment.levels_of(trace.frame.to_input(objects.boxes_xyxy))
        self._reached: dict[int, Ints] = {}

    @cached_property
    def assigned(self) -> Ints:
        """`(N,)` the object that each place learns, -1 for none; crowds are not learnt."""
        learnt = np.flatnonzero(~self.objects.crowds)
        boxes = self.trace.frame.to_input(self.objects.boxes_xyxy[learnt])
        own = self.trace.view.assignment.objects_of(boxes)
        assigned: Ints = np.full(len(self.trace.places.levels), -1)
        assigned[: len(own)] = np.append(learnt, -1)[own]  # places that an exception adds learn nothing
        return assigned

    def level(self, row: int) -> int:
        return int(self._levels[row])

    def anchor_of(self, place: int) -> int | None:
        return place

    def death(self, row: int) -> Death:
        trace, class_index = self.trace, int(self.objects.classes[row])
        on_object = ious_with(self.objects.boxes_xyxy[row], trace.boxes_xyxy) >= self._iou
        sure = trace.sure(trace.places.class_scores[:, class_index])
        candidates = np.flatnonzero((self.assigned == row) | (sure & on_object))
        if not len(candidates):
            return Death(Verdict.NO_LOCATION if trace.chain is FCOS else Verdict.NO_MATCHED_ANCHOR)
        on_object, sure, reached = on_object[candidates], sure[candidates], self._reach(class_index)[candidates]
        others = trace.sure(trace.places.class_scores[candidates]).any(axis=1)
        unsure = np.where(others, Verdict.OTHER_CLASS, Verdict.CLASS_SCORE)
        right = np.where(reached < 0, Verdict.CENTERNESS, reached)
        verdicts = np.where(~sure, unsure, np.where(on_object, right, Verdict.REGRESSED_AWAY))
        scores = trace.places.scores[candidates, class_index]
        best = np.lexsort((scores, on_object, verdicts))[-1]
        place = int(candidates[best])
        return Death(Verdict(verdicts[best]), place, (place, class_index))

    def results(self, row: int, death: Death) -> Results:
        trace, box, class_index = self.trace, self.objects.boxes_xyxy[row], int(self.objects.classes[row])
        own = trace.places.class_scores[self.assigned == row, class_index]
        highest = float(own.max()) if len(own) else None
        if trace.chain is FCOS:
            best = {"locations": Best(None, highest)}
        else:
            anchors = trace.frame.unclipped(trace.places.anchors_xyxy)
            best = {"anchors": Best(float(ious_with(box, anchors).max(initial=0)), highest)}
        ious = ious_with(box, trace.boxes_xyxy)
        on_object = np.flatnonzero(ious >= self._iou)
        made = Best(float(ious.max(initial=0)))
        if len(on_object):
            pair = int(on_object[trace.places.scores[on_object, class_index].argmax()]), class_index
            made = Best(made.iou, float(trace.places.scores[pair]), trace.places.rank_of(pair))
        return Results({**best, "boxes": made}, self._said(death), trace.suppressor(death))

    def relaxation(self, row: int, death: Death) -> Relaxation:
        return relax.relaxation(self.trace, self.objects.boxes_xyxy[row], int(self.objects.classes[row]), death)

    def boxes(self, row: int, death: Death, class_names: tuple[str, ...]) -> Iterator[DecidingBox]:
        return story.boxes(self.trace, self.objects.boxes_xyxy[row], death, class_names)

    def sentences(self, row: int, finding: Finding, class_names: tuple[str, ...]) -> Iterator[str]:
        number = int((self.assigned == row).sum())
        return story.sentences(self.trace, self.objects.boxes_xyxy[row], number, finding, class_names)

    def _reach(self, class_index: int) -> Ints:
        """`(N,)` how far the places' boxes got as this class, as a verdict; -1 where not over the threshold."""
        if class_index not in self._reached:
            trace, reached = self.trace, np.full(len(self.trace.places.levels), -1)
            over, entered = trace.over, trace.selection.candidates
            reached[over[over[:, 1] == class_index, 0]] = Verdict.LEVEL_TOPK
            own = entered[:, 1] == class_index
            reached[entered[own, 0]] = trace.selection.verdicts[own]
            self._reached[class_index] = reached
        return self._reached[class_index]

    def _said(self, death: Death) -> Said | None:
        if death.pair is None:
            return None
        (place, class_index), places = death.pair, self.trace.places
        scores, central = places.class_scores[place], places.centerness
        said = int(scores.argmax())
        centerness = None if central is None else float(central[place])
        return Said(said, float(scores[said]), float(scores[class_index]), centerness)
