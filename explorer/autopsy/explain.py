"""The autopsy of one object to look at: the boxes that decided about it, and the story in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from explorer.autopsy.counterfactual import Retrial, try_again
from explorer.autopsy.dissection import Dissection
from explorer.autopsy.examine import class_indices_of, objects_in
from explorer.autopsy.families import tracer_of
from explorer.autopsy.family import DecidingBox, corners
from explorer.autopsy.findings import Finding
from explorer.autopsy.verdicts import Verdict
from explorer.engine.devices import gpu_explained
from explorer.engine.evaluation.reading import read_row
from explorer.scoring.columns import Truth
from explorer.scoring.nearby import ious_with
from explorer.scoring.outcomes import FOUND
from explorer.types import Pixels

if TYPE_CHECKING:
    from explorer.engine.detector import Detector

MOST_DETECTIONS = 5
_LEAST_IOU = 0.3


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
    image_bgr: Pixels
    finding: Finding
    boxes: tuple[DecidingBox, ...]
    sentences: tuple[str, ...]


@gpu_explained()
def explain(detector: Detector, truth: Truth, row: int, *, iou: float = FOUND.iou, score: float = 0.0) -> Explanation:
    """Follows one object through a detector and keeps the boxes that decided about it.

    Args:
        detector: a Faster, Mask or Panoptic R-CNN, RetinaNet, FCOS or CenterMask.
        truth: what is there, and the image files.
        row: the object's, in `truth`.
        iou: the overlap from which a box is on an object.
        score: from which score of its detection on the object is found; any, unless given.

    Raises:
        ValueError: the detector has other stages, or other classes than the data, or there is no such object.
        ImageError: its image cannot be read, or has another size than its annotations say.
    """
    if not 0 <= row < len(truth):
        raise ValueError(f"there is no object {row}; the data has {len(truth)}, from 0")
    image = int(truth.images[row])
    image_bgr, tracer = read_row(truth, image), tracer_of(detector)
    view, own = tracer.look(image_bgr), row - int(np.searchsorted(truth.images, image))
    present = objects_in(truth, image, class_indices_of(detector, truth))
    dissection = Dissection(tracer, tracer.follow(view), present, iou=iou)
    finding, retrial = dissection.finding(own), None
    if finding.verdict.is_miss:
        retrial = try_again(view, dissection, own)
        finding = replace(finding, after=retrial.after)
    elif finding.score is not None and finding.score < score:
        finding = replace(finding, verdict=Verdict.LOW_SCORE)
    boxes = _boxes(dissection, own, finding, truth.class_names[truth.classes[row]], detector.class_names)
    sentences = _sentences(dissection, own, finding, detector.class_names)
    conclusion = _conclusion(finding, retrial, iou, score)
    return Explanation(detector.name, image_bgr, finding, tuple(boxes), (*sentences, *conclusion))


def _boxes(
    dissection: Dissection, row: int, finding: Finding, name: str, class_names: tuple[str, ...]
) -> Iterator[DecidingBox]:
    box, found = dissection.objects.boxes_xyxy[row], dissection.trace.detections
    width, height = (box[2:] - box[:2]).tolist()
    yield DecidingBox("object", f"{name}, {width:.0f} × {height:.0f} px", corners(box))
    if finding.verdict != Verdict.CROWD:
        yield from dissection.trails.boxes(row, dissection.death(row), class_names)
    if suppressor := finding.results.suppressor:
        yield DecidingBox("suppressor", f"suppressed it in NMS, {suppressor.score:.2f}", suppressor.box_xyxy)
    ious = ious_with(box, found.boxes_xyxy)
    for place in np.argsort(-ious)[:MOST_DETECTIONS].tolist():
        if ious[place] >= _LEAST_IOU:
            words = f"{class_names[found.classes[place]]} {found.scores[place]:.2f}, IoU {ious[place]:.2f}"
            yield DecidingBox("detection", words, corners(found.boxes_xyxy[place]))


def _sentences(dissection: Dissection, row: int, finding: Finding, class_names: tuple[str, ...]) -> Iterator[str]:
    """The object's way through the detector, up to where it ends."""
    if finding.verdict == Verdict.CROWD:
        yield "This annotation is a crowd region: many objects in one box, which COCO does not evaluate."
        return
    yield from dissection.trails.sentences(row, finding, class_names)
    if suppressor := finding.results.suppressor:
        yield f"A box with score {suppressor.score:.2f}, which is not on the object, suppressed it in NMS."


def _conclusion(finding: Finding, retrial: Retrial | None, iou: float, score: float) -> Iterator[str]:
    """The verdict, with what decides between found and missed where it does, and what would have saved the object."""
    verdict = f"Verdict: {finding.verdict.label}"
    if finding.score is None:
        yield f"{verdict}."
    else:
        has = f"its detection has score {finding.score:.3g} and IoU {finding.results.best['detections'].iou:.2f}"
        yield f"{verdict}; {has}. An object counts as found from score {score:.3g} and IoU {iou:g}."
    if retrial is not None:
        then = "it is detected" if retrial.after == Verdict.FOUND else f"the verdict is: {retrial.after.label}"
        yield f"Counterfactual: if only {retrial.change}, then {then}."
