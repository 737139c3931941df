"""How each stage of a dense detector is relaxed, for as much as one candidate needs.

| lost at | what is relaxed |
| --- | --- |
| no location assigned, no anchor matched | one more place predicts the object's class and box with certainty |
| class score too low, classified as another class | the class score of its best candidate is 1 |
| box regressed away | the box of its best candidate is the object's own |
| centerness pulls it below the threshold | the centerness of its best candidate is 1 |
| below the top-k before NMS, over the detections-per-image limit | raised until its best candidate is in |
| suppressed in final NMS | its best candidate is spared |
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from explorer.autopsy.dense.chain import FCOS
from explorer.autopsy.dense.stages import DenseExceptions, DenseTrace
from explorer.autopsy.family import Death, Relaxation
from explorer.autopsy.selection import Pair
from explorer.autopsy.verdicts import Verdict
from explorer.types import Floats


def relaxation(trace: DenseTrace, box_xyxy: Floats, class_index: int, death: Death) -> Relaxation:
    """Says what would let an object's best candidate through.

    Args:
        trace: in which the object is lost.
        box_xyxy: the object, in the frame of the original image.
        class_index: its class.
        death: of its candidates.
    """
    own, place = trace.frame.clipped_to_input(box_xyxy), place_word(trace)
    if death.pair is None:
        return _but(f"one more {place} predicts the object's class and box with certainty", extra=((own, class_index),))
    match death.verdict:
        case Verdict.CLASS_SCORE | Verdict.OTHER_CLASS:
            said = trace.places.class_scores[death.pair]
            words = f"the class score of its best {place} is raised from {said:.3g} to 1"
            return _but(words, declared=(death.pair,))
        case Verdict.REGRESSED_AWAY:
            return _but(f"the box of its best {place} is the object's own", moved=((death.pair[0], own),))
        case Verdict.CENTERNESS:
            assert trace.places.centerness is not None
            said = trace.places.centerness[death.pair[0]]
            words = f"the centerness of its best location is raised from {said:.3g} to 1"
            return _but(words, central=(death.pair[0],))
        case Verdict.FINAL_NMS:
            return _but("the box is not suppressed", spared=(death.pair,))
    return _with_more(trace, death.verdict, death.pair)


def place_word(trace: DenseTrace) -> str:
    """What the detector calls a place."""
    return "location" if trace.chain is FCOS else "anchor"


def _with_more(trace: DenseTrace, verdict: Verdict, pair: Pair) -> Relaxation:
    if verdict == Verdict.LEVEL_TOPK:
        needed = trace.topk_needed(pair)
        words = f"the top-k before NMS is raised from {trace.limits.pre_nms_topk} to {needed}"
        return Relaxation(words, {"limits": replace(trace.limits, pre_nms_topk=needed)})
    needed = trace.selection.limit_needed(pair)
    words = f"the limit of detections per image is raised from {trace.limits.detections} to {needed}"
    return Relaxation(words, {"limits": replace(trace.limits, detections=needed)})


def _but(words: str, **exceptions: Any) -> Relaxation:
    return Relaxation(words, {"exceptions": DenseExceptions(**exceptions)})
