"""How each stage of a two-stage detector is relaxed, for as much as one candidate needs.

| lost at | what is relaxed |
| --- | --- |
| no anchor fits, no proposal on the object | the object's own box joins the proposals |
| below the pre-NMS top-k, the post-NMS top-k, the detections-per-image limit | raised until its best candidate is in |
| too small a box for the RPN | no least size |
| suppressed in RPN NMS, in final NMS | its best candidate is spared |
| box head says background, classified as another class | the head is sure that its best candidate is of its class |
| box regressed away | its best candidate keeps the proposal's box |
| below the model's own threshold | lowered until its best candidate exceeds it |
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from explorer.autopsy.family import Death, Relaxation
from explorer.autopsy.selection import Pair
from explorer.autopsy.two_stage.stages import TwoStageExceptions, TwoStageTrace
from explorer.autopsy.verdicts import Verdict
from explorer.types import Floats


def relaxation(trace: TwoStageTrace, box_xyxy: Floats, death: Death) -> Relaxation:
    """Says what would let an object's best candidate through.

    Args:
        trace: in which the object is lost.
        box_xyxy: the object, in the frame of the original image.
        death: of its candidates.
    """
    if death.pair is not None:
        return _in_head(trace, death.verdict, death.pair)
    if death.anchor is not None:
        return _in_rpn(trace, death.verdict, death.anchor)
    own = trace.frame.clipped_to_input(box_xyxy)
    return _but("the object's own box is added to the proposals", extra_proposals=(own,))


def _in_rpn(trace: TwoStageTrace, verdict: Verdict, anchor: int) -> Relaxation:
    limits = trace.limits
    match verdict:
        case Verdict.PRE_NMS_TOPK:
            own = trace.rpn.levels == trace.rpn.levels[anchor]
            needed = int((trace.rpn.logits[own] >= trace.rpn.logits[anchor]).sum())  # with all of equal objectness
            words = f"the pre-NMS top-k is raised from {limits.pre_nms_topk} to {needed}"
            return _with_limits(trace, words, pre_nms_topk=needed)
        case Verdict.TOO_SMALL:
            words = f"the least side of an RPN box is lowered from {limits.min_size_px:g} px to 0"
            return _with_limits(trace, words, min_size_px=0.0)
        case Verdict.RPN_NMS:
            return _but("the RPN's box is not suppressed", spared_anchors=(anchor,))
    needed = 1 + int(np.flatnonzero(trace.proposal_stages.kept == anchor)[0])
    words = f"the post-NMS top-k is raised from {limits.post_nms_topk} to {needed}"
    return _with_limits(trace, words, post_nms_topk=needed)


def _in_head(trace: TwoStageTrace, verdict: Verdict, candidate: Pair) -> Relaxation:
    limits = trace.limits
    match verdict:
        case Verdict.BACKGROUND | Verdict.OTHER_CLASS:
            return _but(
                "the box head classifies the proposal as the object's class with certainty", declared=(candidate,)
            )
        case Verdict.REGRESSED_AWAY:
            return _but("the box head does not move the proposal", unmoved=(candidate,))
        case Verdict.SCORE:
            lower = float(np.nextafter(trace.head.scores[candidate], np.float32(0)))
            words = f"the score threshold is lowered from {limits.score_threshold:g} to {lower:.3g}"
            return _with_limits(trace, words, score_threshold=lower)
        case Verdict.FINAL_NMS:
            return _but("the box is not suppressed", spared_candidates=(candidate,))
    needed = trace.selection.limit_needed(candidate)
    words = f"the limit of detections per image is raised from {limits.detections} to {needed}"
    return _with_limits(trace, words, detections=needed)


def _with_limits(trace: TwoStageTrace, words: str, **limits: Any) -> Relaxation:
    return Relaxation(words, {"limits": replace(trace.limits, **limits)})


def _but(words: str, **exceptions: Any) -> Relaxation:
    return Relaxation(words, {"exceptions": TwoStageExceptions(**exceptions)})
