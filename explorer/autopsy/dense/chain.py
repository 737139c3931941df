"""The stages of a dense detector, and what it means to be lost in each.

A dense detector names a class and a box at every place: RetinaNet at every anchor, FCOS at every location of its maps,
and so does CenterMask, whose boxes are FCOS's. Training assigns places to objects, by the detector's own rule: that
rule, asked with the image as the network sees it, says which places answer for which object.

A candidate is a place that is assigned to the object, and any other whose box is on the object and whose score for its
class exceeds the model's own threshold or, in FCOS, would with a centerness of 1. What other places say of an object,
duly dropped, was dropped as it should be. With no candidate:

* **no location assigned** (FCOS): the object's largest distance is in no level's range of sizes at a location that is
  near enough to its centre, or smaller objects have all such locations;
* **no anchor matched** (RetinaNet): no anchor overlaps it enough (`MODEL.RETINANET.IOU_THRESHOLDS`), nor is it the
  object that its best anchor overlaps most.

Otherwise its candidates die, at the latest, because

* **class score too low**: neither the object's class exceeds the threshold, nor another one;
* **classified as another class**: another class exceeds the threshold, the object's does not;
* **box regressed away**: the object's class exceeds it, but the box is not on the object;
* **centerness pulls it below the threshold** (FCOS): class and box are right, and with a centerness of 1 the score, the
  geometric mean of class score and centerness, would exceed the threshold. CenterMask compares class scores alone with
  its threshold, so its centerness can only cost rank, unless scores are asked for from a threshold up;
* **below the top-k before NMS**: its level has enough boxes of higher score;

or in the final selection, as in every detector (`explorer.autopsy.verdicts`).

Source: FCOS (arXiv 1904.01355, Section 3); RetinaNet (arXiv 1708.02002, Section 4); detectron2's `RetinaNet`, `FCOS`.
"""

from __future__ import annotations

from explorer.autopsy.chain import DETECTED, SELECTION, Chain
from explorer.autopsy.verdicts import Verdict

_HEAD = (Verdict.CLASS_SCORE, Verdict.OTHER_CLASS, Verdict.REGRESSED_AWAY)
_SELECTION = (Verdict.LEVEL_TOPK, *SELECTION)
RETINANET = Chain(
    "RetinaNet",
    "from the anchors matched with it through class score and box to the detections",
    {
        "lost in assignment": (Verdict.NO_MATCHED_ANCHOR,),
        "lost in head": _HEAD,
        "lost in selection": _SELECTION,
        "detected": DETECTED,
    },
)
FCOS = Chain(
    "FCOS",
    "from the locations assigned to it through class score, box and centerness to the detections",
    {
        "lost in assignment": (Verdict.NO_LOCATION,),
        "lost in head": (*_HEAD, Verdict.CENTERNESS),
        "lost in selection": _SELECTION,
        "detected": DETECTED,
    },
)
