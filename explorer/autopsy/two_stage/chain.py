"""The stages of a two-stage detector, and what it means to be lost in each.

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
* **classified as another class**: most likely, and again the object's class does not exceed the threshold;
* **box regressed away**: the class is right, most likely or above the threshold, but its box is not on the object;
* **below the model's own threshold**: class and box are right, but the score does not exceed that threshold;

or in the final selection, as in every detector (`explorer.autopsy.verdicts`).

This is the order in which detectron2 works, which thresholds scores before the final NMS and not after it. "No proposal
on the object" stands where one would look for the proposal.

Source: detectron2's `find_top_rpn_proposals` and `fast_rcnn_inference_single_image`.
"""

from __future__ import annotations

from explorer.autopsy.chain import DETECTED, SELECTION, Chain
from explorer.autopsy.verdicts import Verdict

TWO_STAGE = Chain(
    "two-stage",
    "from the anchors through the RPN's proposals and the box head to the detections",
    {
        "lost in proposals": (
            Verdict.NO_ANCHOR,
            Verdict.PRE_NMS_TOPK,
            Verdict.TOO_SMALL,
            Verdict.RPN_NMS,
            Verdict.POST_NMS_TOPK,
            Verdict.NO_PROPOSAL,
        ),
        "lost in box head": (Verdict.BACKGROUND, Verdict.OTHER_CLASS, Verdict.REGRESSED_AWAY, Verdict.SCORE),
        "lost in selection": SELECTION,
        "detected": DETECTED,
    },
)
