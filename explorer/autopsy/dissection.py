"""The autopsy of one image: a trace of the detector and what is in the image in, a finding for each object out.

What the verdicts mean stands in `explorer.autopsy.verdicts`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from explorer.autopsy.family import Death, Trace, Tracer, Trails
from explorer.autopsy.findings import Best, Finding
from explorer.autopsy.objects import Objects, matched
from explorer.autopsy.verdicts import Verdict
from explorer.scoring.nearby import ious_with
from explorer.scoring.outcomes import FOUND
from explorer.types import Ints


class Dissection:
    """Looks at one image's trace, object by object.

    Attributes:
        tracer: the detector's.
        trace: the detector's stages.
        objects: what is in the image.
        iou: the overlap from which a box is on an object, and a detection finds it.
        matches: the object that each detection has, -1 for none and for crowds.
        trails: what the stages tell of each object.
    """

    def __init__(self, tracer: Tracer, trace: Trace, objects: Objects, *, iou: float = FOUND.iou) -> None:
        self.tracer, self.trace, self.objects, self.iou = tracer, trace, objects, iou
        self.matches: Ints = matched(trace.detections, objects, iou)

    def of(self, trace: Trace, objects: Objects) -> Dissection:
        """Looks at another trace of the tracer's in the same way."""
        return Dissection(self.tracer, trace, objects, iou=self.iou)

    @cached_property
    def trails(self) -> Trails:
        return self.tracer.trails(self.trace, self.objects, self.iou)

    def finding(self, row: int) -> Finding:
        """Returns what is to say of one object."""
        level = self.trails.level(row)
        if self.objects.crowds[row]:
            return Finding(Verdict.CROWD, level)
        found, death = self.trace.detections, self.death(row)
        own = np.flatnonzero(found.classes == self.objects.classes[row])
        ious = ious_with(self.objects.boxes_xyxy[row], found.boxes_xyxy[own])
        results = self.trails.results(row, death)
        results = replace(results, best={**results.best, "detections": Best(float(ious.max(initial=0)))})
        finding = Finding(death.verdict, level, results)
        if death.verdict == Verdict.FOUND:
            return replace(finding, score=float(found.scores[self._detection(row)]))
        takers = self.matches[own[ious >= self.iou]]
        return replace(finding, taker=int(takers[0])) if len(takers) and takers[0] >= 0 else finding

    def findings(self) -> list[Finding]:
        """Returns what is to say of each object."""
        return [self.finding(row) for row in range(len(self.objects))]

    def death(self, row: int) -> Death:
        """Returns where the last candidate of an object that is no crowd died, or its detection's candidate."""
        if row not in self.matches:
            return self.trails.death(row)
        selection = self.trace.selection
        place, class_index = selection.candidates[selection.reported[self._detection(row)]].tolist()
        return Death(Verdict.FOUND, self.trails.anchor_of(place), (place, class_index))

    def _detection(self, row: int) -> int:
        return int(np.flatnonzero(self.matches == row)[0])
