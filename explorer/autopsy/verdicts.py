"""The verdicts of an autopsy: where in a two-stage detector an object was lost.

An object's trail is made of its *candidates*: boxes on the object, with an IoU of at least 0.5 (or what the `FoundRule`
asks for), at some stage of the detector. Each candidate dies at one stage or becomes a detection, and an object is lost
where the last of its candidates dies: nothing of it gets further, and were that candidate let through there, the object
would be further on.
All IoUs are with the annotated box, all boxes are clipped to the image as detectron2 clips them.

Not every box that happens to lie on an object testifies against the stage that drops it. The RPN is trained to call an
anchor background if its IoU with every object is under 0.3 (`MODEL.RPN.IOU_THRESHOLDS`), the box head a proposal under
0.5. A box from such a start, duly dropped, was dropped as it should be: it becomes a candidate only by getting through.

From anchors to proposals, a candidate is an anchor that becomes a box on the object, if it fits (IoU of at least 0.3)
or is among its level's top-k nonetheless. With no such candidate:

* **no anchor fits**: and no anchor has an IoU of 0.3;
* **no proposal on the object**: one fits, but the RPN makes of none that fits a box on the object, at whatever rank.

Otherwise its candidates die, at the latest,

* **below the pre-NMS top-k**: their level has enough boxes of higher objectness;
* **too small a box for the RPN**: a side is no longer than `MODEL.PROPOSAL_GENERATOR.MIN_SIZE`, 0 unless configured;
* **suppressed in RPN NMS**: by a better box of their level, which is not on the object itself;
* **below the post-NMS top-k**: the image has enough better boxes.

From proposals to detections, a candidate is a proposal on the object, and any other whose box for the object's class
is on the object and above the model's own score threshold (`MODEL.ROI_HEADS.SCORE_THRESH_TEST`, 0.05 unless
configured). They die, at the latest, because

* **box head says background**: most likely, and the object's class does not exceed the score threshold;
* **box head says another class**: most likely, and again the object's class does not exceed the threshold;
* **box regressed away**: the class is right, most likely or above the threshold, but its box is not on the object;
* **below the model's own threshold**: class and box are right, but the score does not exceed that threshold;
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

This is the order in which detectron2 works, which thresholds scores before the final NMS and not after it. "No proposal
on the object" stands where one would look for the proposal.

Source: the definitions are this project's own. Matching: pycocotools' `COCOeval.evaluateImg`. Stages: detectron2's
`find_top_rpn_proposals` and `fast_rcnn_inference_single_image`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Verdict(IntEnum):
    """Where an object was lost; a later stage has a higher number."""

    NO_ANCHOR = 0
    PRE_NMS_TOPK = 1
    TOO_SMALL = 2
    RPN_NMS = 3
    POST_NMS_TOPK = 4
    NO_PROPOSAL = 5
    BACKGROUND = 6
    OTHER_CLASS = 7
    REGRESSED_AWAY = 8
    SCORE = 9
    FINAL_NMS = 10
    DETECTIONS_LIMIT = 11
    TAKEN = 12
    NOT_IN_RUN = 13
    LOW_SCORE = 14
    FOUND = 15
    CROWD = 16

    @property
    def label(self) -> str:
        """What to call it in tables."""
        return _LABELS[self]

    @property
    def is_miss(self) -> bool:
        return self < Verdict.FOUND


_LABELS = {
    Verdict.NO_ANCHOR: "no anchor fits",
    Verdict.PRE_NMS_TOPK: "below the pre-NMS top-k",
    Verdict.TOO_SMALL: "too small a box for the RPN",
    Verdict.RPN_NMS: "suppressed in RPN NMS",
    Verdict.POST_NMS_TOPK: "below the post-NMS top-k",
    Verdict.NO_PROPOSAL: "no proposal on the object",
    Verdict.BACKGROUND: "box head says background",
    Verdict.OTHER_CLASS: "box head says another class",
    Verdict.REGRESSED_AWAY: "box regressed away",
    Verdict.SCORE: "below the model's own threshold",
    Verdict.FINAL_NMS: "suppressed in final NMS",
    Verdict.DETECTIONS_LIMIT: "over the detections-per-image limit",
    Verdict.TAKEN: "taken by another object",
    Verdict.NOT_IN_RUN: "detected here, not in the run",
    Verdict.LOW_SCORE: "scored below the threshold",
    Verdict.FOUND: "found",
    Verdict.CROWD: "crowd, not judged",
}


def judged(verdicts: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int64]:
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
