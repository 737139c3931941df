"""An object's way through a two-stage detector, as boxes to draw and in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from explorer.autopsy.family import Death, DecidingBox, corners
from explorer.autopsy.findings import Finding
from explorer.autopsy.two_stage.stages import TwoStageTrace
from explorer.scoring.nearby import ious_with
from explorer.types import Floats

MOST_PROPOSALS = 5
_LEAST_IOU = 0.3


def boxes(trace: TwoStageTrace, box: Floats, death: Death, class_names: tuple[str, ...]) -> Iterator[DecidingBox]:
    """Yields the anchor, what the RPN makes of it, and the nearest proposals.

    Args:
        trace: in which the object is lost.
        box: the object, `(4,)` corners in the frame of the original image.
        death: of its candidates.
        class_names: by class index.
    """
    frame, anchor = trace.frame, death.anchor
    if anchor is None:
        near, ious = trace.view.anchors.near(box, 0.1)
        anchor = int(near[ious.argmax()]) if len(near) else None
    if anchor is not None:
        here = frame.unclipped(trace.rpn.anchors_xyxy[anchor])
        level = trace.pyramid.names[int(trace.rpn.levels[anchor])]
        iou = float(ious_with(box, here[None])[0])
        yield DecidingBox("anchor", f"anchor of {level}, IoU {iou:.2f}", corners(here))
        made = frame.to_original(trace.rpn.boxes_xyxy[anchor])
        iou, sure = float(ious_with(box, made[None])[0]), trace.objectness(anchor)
        words = f"box predicted by the RPN, IoU {iou:.2f}, objectness {sure:.2f}"
        yield DecidingBox("RPN's box", words, corners(made))
    proposals_xyxy = frame.to_original(trace.head.proposals_xyxy)
    ious = ious_with(box, proposals_xyxy)
    for place in np.argsort(-ious)[:MOST_PROPOSALS].tolist():
        if ious[place] >= _LEAST_IOU:
            said = int(trace.head.scores[place].argmax())
            called = class_names[said] if said < len(class_names) else "background"
            words = f"proposal, IoU {ious[place]:.2f}, called {called} {trace.head.scores[place, said]:.2f}"
            yield DecidingBox("proposal", words, corners(proposals_xyxy[place]))


def sentences(trace: TwoStageTrace, finding: Finding, class_names: tuple[str, ...]) -> Iterator[str]:
    """Tells how far it got, stage by stage."""
    limits, best, said = trace.limits, finding.results.best, finding.results.said
    yield f"The box head looks for an object of this size in {trace.pyramid.names[finding.fpn_level]}."
    yield f"The best anchor overlaps it with IoU {best['anchors'].iou:.2f}."
    rpn, proposals = best["RPN"], best["proposals"]
    if rpn.score is not None:
        yield (
            f"The RPN detects the object with objectness {rpn.score:.2f}, rank {rpn.rank:,} of its level; the best "
            f"{limits.pre_nms_topk:,} are kept, and {limits.post_nms_topk:,} of the image become proposals."
        )
    yield f"The best proposal overlaps it with IoU {proposals.iou:.2f}."
    if proposals.score is not None:
        yield f"The highest score of the box head for its class on the object is {proposals.score:.2f}."
    if said is not None:
        called = class_names[said.class_index] if said.class_index < len(class_names) else "background"
        yield f"It classifies the candidate that got furthest as {called} with {said.probability:.2f}."
