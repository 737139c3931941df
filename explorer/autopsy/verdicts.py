"""The verdicts of an autopsy: where in a detector an object was lost.

An object's trail is made of its *candidates*: boxes on the object, with an IoU of at least 0.5 (or what the `FoundRule`
asks for), at some stage of the detector. Each candidate dies at one stage or becomes a detection, and an object is lost
where the last of its candidates dies: nothing of it gets further, and were that candidate let through there, the object
would be further on.
All IoUs are with the annotated box, all boxes are clipped to the image as detectron2 clips them.

Which stages there are depends on the kind of detector. `explorer.autopsy.two_stage.chain` and
`explorer.autopsy.dense.chain` declare them in their order, and define their verdicts. All kinds end alike:

* **suppressed in final NMS**: by a better box of the class, which is not on the object;
* **over the detections-per-image limit**: the image has enough better boxes;
* **taken by another object**: it is a detection, and COCO's matching gives it to another object of the class.

What comes after the detector is not the trace's to say but the run's (`judged`): the detections that are evaluated, and
which of them has which object by COCO's matching (`explorer.scoring.outcomes`).

* **detected here, not in the run**: the detector as it is followed has a detection of the object, the run's detections
  that count have none. Numbers differ in their last digits between devices and between the fast way and the exact one;
  many such objects mean that the run is of another model.
* **scored below the threshold**: the object has a detection, whose score is below that of the `FoundRule`.
* **found**: it has one with at least that score.

A **crowd** is not judged, and takes no detection from an object.

Source: the definitions are this project's own. Matching: pycocotools' `COCOeval.evaluateImg`.
"""

from __future__ import annotations

from enum import IntEnum, auto

import numpy as np

from explorer.types import Floats, Ints


class Verdict(IntEnum):
    """Where an object was lost; in every kind of detector, a later stage has a higher number."""

    NO_ANCHOR = 0
    NO_MATCHED_ANCHOR = auto()
    NO_LOCATION = auto()
    PRE_NMS_TOPK = auto()
    TOO_SMALL = auto()
    RPN_NMS = auto()
    POST_NMS_TOPK = auto()
    NO_PROPOSAL = auto()
    BACKGROUND = auto()
    CLASS_SCORE = auto()
    OTHER_CLASS = auto()
    REGRESSED_AWAY = auto()
    SCORE = auto()
    CENTERNESS = auto()
    LEVEL_TOPK = auto()
    FINAL_NMS = auto()
    DETECTIONS_LIMIT = auto()
    TAKEN = auto()
    NOT_IN_RUN = auto()
    LOW_SCORE = auto()
    FOUND = auto()
    CROWD = auto()

    @property
    def label(self) -> str:
        """What to call it in tables."""
        return _LABELS[self]

    @property
    def is_miss(self) -> bool:
        return self < Verdict.FOUND


_LABELS = {
    Verdict.NO_ANCHOR: "no anchor fits",
    Verdict.NO_MATCHED_ANCHOR: "no anchor matched",
    Verdict.NO_LOCATION: "no location assigned",
    Verdict.PRE_NMS_TOPK: "below the pre-NMS top-k",
    Verdict.TOO_SMALL: "too small a box for the RPN",
    Verdict.RPN_NMS: "suppressed in RPN NMS",
    Verdict.POST_NMS_TOPK: "below the post-NMS top-k",
    Verdict.NO_PROPOSAL: "no proposal on the object",
    Verdict.BACKGROUND: "box head says background",
    Verdict.CLASS_SCORE: "class score too low",
    Verdict.OTHER_CLASS: "classified as another class",
    Verdict.REGRESSED_AWAY: "box regressed away",
    Verdict.SCORE: "below the model's own threshold",
    Verdict.CENTERNESS: "centerness pulls it below the threshold",
    Verdict.LEVEL_TOPK: "below the top-k before NMS",
    Verdict.FINAL_NMS: "suppressed in final NMS",
    Verdict.DETECTIONS_LIMIT: "over the detections-per-image limit",
    Verdict.TAKEN: "taken by another object",
    Verdict.NOT_IN_RUN: "detected here, not in the run",
    Verdict.LOW_SCORE: "scored below the threshold",
    Verdict.FOUND: "found",
    Verdict.CROWD: "crowd, not judged",
}


def judged(verdicts: Ints, scores: Floats, threshold: float) -> Ints:
    """Lets a run's detections say which objects are found.

    Args:
        verdicts: `(G,)` numbers of `Verdict` from a trace, or from here: any threshold can follow another.
        scores: `(G,)` of the detection of the run that has each object, NaN for none (`outcomes.object_scores`).
        threshold: from which score an object is found.
    """
    detected = np.isin(verdicts, (Verdict.FOUND, Verdict.LOW_SCORE))
    without = np.where(detected, Verdict.NOT_IN_RUN, verdicts)
    with_detection = np.where(scores >= threshold, Verdict.FOUND, Verdict.LOW_SCORE)
    said = np.where(np.isnan(scores), without, with_detection)
    return np.where(verdicts == Verdict.CROWD, Verdict.CROWD, said)
