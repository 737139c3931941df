"""The autopsy of one object to look at: the boxes that decided about it, and the story in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from explorer.autopsy.dissection import Dissection, Finding, objectness
from explorer.autopsy.examine import class_indices_of, objects_in, read_checked
from explorer.autopsy.verdicts import Verdict
from explorer.scoring.columns import Truth
from explorer.scoring.nearby import ious_with
from explorer.scoring.outcomes import FOUND

if TYPE_CHECKING:
    from explorer.engine.detector import Detector

Kind = Literal["object", "anchor", "RPN's box", "proposal", "detection", "suppressor"]
MOST_OF_A_KIND = 5


@dataclass(frozen=True)
class DecidingBox:
    """A box that had a part in an object's fate.

    Attributes:
        kind: what it is.
        words: what to know of it.
        box_xyxy: pixels of the original image; anchors may reach out of it.
    """

    kind: Kind
    words: str
    box_xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What became of one object, and by which boxes.

    Attributes:
        model: the detector's name.
        image_bgr: the photo, `(height, width, 3)` uint8.
        finding: what the autopsy says.
        boxes: the object first, then what decided about it in the detector's order.
        sentences: the same in words.
    """

    model: str
    image_bgr: npt.NDArray[np.uint8]
    finding: Finding
    boxes: tuple[DecidingBox, ...]
    sentences: tuple[str, ...]


def explain(detector: Detector, truth: Truth, row: int, *, iou: float = FOUND.iou, score: float = 0.0) -> Explanation:
    """Follows one object through a two-stage detector and keeps the boxes that decided about it.

    Args:
        detector: a Faster, Mask or Panoptic R-CNN.
        truth: what is there, and the image files.
        row: the object's, in `truth`.
        iou: the overlap from which a box is on an object.
        score: from which score of its detection on the object is found; any, unless given.

    Raises:
        ValueError: the detector has other stages, or other classes than the data, or there is no such object.
        ImageError: its image cannot be read, or has another size than its annotations say.
    """
    from explorer.autopsy.trace import Tracer

    if not 0 <= row < len(truth):
        raise ValueError(f"there is no object {row}; the data has {len(truth)}, from 0")
    image = int(truth.images[row])
    image_bgr = read_checked(truth, image)
    dissection = Dissection(
        Tracer(detector)(image_bgr), objects_in(truth, image, class_indices_of(detector, truth)), iou=iou
    )
    own = row - int(np.searchsorted(truth.images, image))
    finding = dissection.finding(own)
    if finding.verdict == Verdict.FOUND and not finding.score >= score:
        finding = replace(finding, verdict=Verdict.LOW_SCORE)
    boxes = tuple(_boxes(dissection, own, finding, truth.class_names[truth.classes[row]], detector.class_names))
    sentences = (*_sentences(dissection, finding, detector.class_names), _conclusion(finding, iou, score))
    return Explanation(detector.name, image_bgr, finding, boxes, sentences)


def _boxes(
    dissection: Dissection, row: int, finding: Finding, name: str, class_names: tuple[str, ...]
) -> Iterator[DecidingBox]:
    trace, box = dissection.trace, dissection.objects.boxes_xyxy[row]
    width, height = (box[2:] - box[:2]).tolist()
    yield DecidingBox("object", f"{name}, {width:.0f} × {height:.0f} px", _corners(box))
    anchor = finding.anchor if finding.anchor >= 0 else _anchor_of(dissection, finding)
    if anchor < 0:
        fitting, ious = dissection.anchors.near(box, 0.1)
        anchor = int(fitting[ious.argmax()]) if len(fitting) else -1
    if anchor >= 0:
        corners = trace.rpn.anchors_xyxy[anchor] / trace.to_input(np.ones(4))
        level = trace.pyramid.names[int(trace.rpn.levels[anchor])]
        iou = float(ious_with(box, corners[None])[0])
        yield DecidingBox("anchor", f"anchor of {level}, IoU {iou:.2f}", _corners(corners))
        made = trace.to_original(trace.rpn.boxes_xyxy[anchor])
        iou, sure = float(ious_with(box, made[None])[0]), objectness(trace, anchor)
        words = f"what the RPN makes of it, IoU {iou:.2f}, objectness {sure:.2f}"
        yield DecidingBox("RPN's box", words, _corners(made))
    proposals = trace.to_original(trace.head.proposals_xyxy)
    ious = ious_with(box, proposals)
    for place in np.argsort(-ious)[:MOST_OF_A_KIND].tolist():
        if ious[place] >= 0.3:
            said = int(trace.head.scores[place].argmax())
            called = class_names[said] if said < len(class_names) else "background"
            words = f"proposal, IoU {ious[place]:.2f}, called {called} {trace.head.scores[place, said]:.2f}"
            yield DecidingBox("proposal", words, _corners(proposals[place]))
    if finding.suppressor_xyxy:
        words = f"what suppressed it, {finding.suppressor_score:.2f}"
        yield DecidingBox("suppressor", words, finding.suppressor_xyxy)
    found = trace.detections
    ious = ious_with(box, found.boxes_xyxy)
    for place in np.argsort(-ious)[:MOST_OF_A_KIND].tolist():
        if ious[place] >= 0.3:
            words = f"{class_names[found.classes[place]]} {found.scores[place]:.2f}, IoU {ious[place]:.2f}"
            yield DecidingBox("detection", words, _corners(found.boxes_xyxy[place]))


def _anchor_of(dissection: Dissection, finding: Finding) -> int:
    """The anchor that the furthest candidate came from."""
    return int(dissection.trace.head.anchors[finding.proposal]) if finding.proposal >= 0 else -1


def _corners(box: npt.NDArray[np.floating]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def _sentences(dissection: Dissection, finding: Finding, class_names: tuple[str, ...]) -> Iterator[str]:
    """The object's way through the detector, up to where it ends."""
    trace, limits = dissection.trace, dissection.trace.limits
    if finding.verdict == Verdict.CROWD:
        yield "It is a crowd: many objects under one box, which COCO does not judge."
        return
    level = trace.pyramid.names[finding.fpn_level]
    yield f"The box head looks for an object of this size in {level}."
    yield f"The best anchor overlaps it with IoU {finding.anchor_iou:.2f}."
    if not math.isnan(finding.rpn_objectness):
        yield (
            f"The RPN is on the object with objectness {finding.rpn_objectness:.2f}, rank {finding.rpn_rank:,} of its "
            f"level; the best {limits.pre_nms_topk:,} go on, {limits.post_nms_topk:,} of the image become proposals."
        )
    yield f"The best proposal overlaps it with IoU {finding.proposal_iou:.2f}."
    if not math.isnan(finding.class_score):
        yield f"On the object, the box head says its class with {finding.class_score:.2f} at most."
    if finding.said_class >= 0:
        said = class_names[finding.said_class] if finding.said_class < len(class_names) else "background"
        yield f"It takes the candidate that got furthest for {said} with {finding.said_score:.2f}."
    if finding.suppressor_xyxy:
        yield f"A box of score {finding.suppressor_score:.2f}, which is not on the object, suppressed that candidate."


def _conclusion(finding: Finding, iou: float, score: float) -> str:
    """The verdict, with what decides between found and missed where it does."""
    verdict = f"Verdict: {finding.verdict.label}"
    if finding.verdict not in (Verdict.FOUND, Verdict.LOW_SCORE):
        return f"{verdict}."
    has = f"its detection has score {finding.score:.3g} and IoU {finding.final_iou:.2f}"
    return f"{verdict}; {has}, found is from score {score:.3g} and IoU {iou:g} up."
