"""An object's way through a dense detector, as boxes to draw and in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from explorer.autopsy.dense.chain import FCOS
from explorer.autopsy.dense.relax import place_word
from explorer.autopsy.dense.stages import DenseTrace
from explorer.autopsy.family import Death, DecidingBox, Kind, corners
from explorer.autopsy.findings import Finding
from explorer.scoring.nearby import ious_with
from explorer.types import Floats


def boxes(trace: DenseTrace, box: Floats, death: Death, class_names: tuple[str, ...]) -> Iterator[DecidingBox]:
    """Yields the place of the candidate that got furthest, or else the nearest, and what the head makes of it.

    Args:
        trace: in which the object is lost.
        box: the object, `(4,)` corners in the frame of the original image.
        death: of its candidates.
        class_names: by class index.
    """
    anchors = trace.frame.unclipped(trace.places.anchors_xyxy)
    if death.anchor is None:
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        near = np.linalg.norm(centres - (box[:2] + box[2:]) / 2, axis=1)
        place = int(ious_with(box, anchors).argmax() if trace.chain is not FCOS else near.argmin())
    else:
        place = death.anchor
    kind: Kind = "location" if trace.chain is FCOS else "anchor"
    level = trace.level_names[int(trace.places.levels[place])]
    iou = float(ious_with(box, anchors[place][None])[0])
    words = f"cell of a location of {level}" if trace.chain is FCOS else f"anchor of {level}, IoU {iou:.2f}"
    yield DecidingBox(kind, words, corners(anchors[place]))
    made, said = trace.boxes_xyxy[place], int(trace.places.class_scores[place].argmax())
    iou = float(ious_with(box, made[None])[0])
    called = f"{class_names[said]} {trace.places.class_scores[place, said]:.2f}"
    yield DecidingBox(
        "candidate", f"box predicted by the head, IoU {iou:.2f}, most likely class {called}", corners(made)
    )


def sentences(
    trace: DenseTrace, box: Floats, number: int, finding: Finding, class_names: tuple[str, ...]
) -> Iterator[str]:
    """Tells how far it got, stage by stage.

    Args:
        trace: in which the object was followed.
        box: the object, `(4,)` corners in the frame of the original image.
        number: of places that are assigned to it.
        finding: what became of it.
        class_names: by class index.
    """
    best, said, word = finding.results.best, finding.results.said, place_word(trace)
    counted = f"{number} {word} is" if number == 1 else f"{number} {word}s are"
    level = trace.level_names[finding.fpn_level]
    if trace.chain is not FCOS:
        yield f"The best anchor, on {level}, overlaps it with IoU {best['anchors'].iou:.2f}; {counted} matched with it."
    elif number:
        yield f"Its size is in the range of {level}; {counted} assigned to it."
    else:
        yield f"Its size is in the range of {level}. No location is assigned to it: {_why_no_location(trace, box)}."
    highest = best["anchors" if "anchors" in best else "locations"].score
    if highest is not None:
        yield f"The highest score for its class there is {highest:.2f}."
    if best["boxes"].score is not None:
        of_level = f"rank {best['boxes'].rank:,} of its level"
        yield f"The best box on the object has a score of {best['boxes'].score:.2f}, {of_level}."
    what = "class scores" if trace.limits.of_class_score else "scores"
    limits = f"above {trace.limits.threshold:g}, the best {trace.limits.pre_nms_topk:,} of a level"
    yield f"Boxes with {what} {limits}, are passed to NMS."
    if said is not None:
        central = "" if said.centerness is None else f" and centerness is {said.centerness:.2f}"
        yield (
            f"At the {word} of the candidate that got furthest, the object's class scores {said.own_probability:.2f}"
            f"{central}; the highest class score is {said.probability:.2f}, for {class_names[said.class_index]}."
        )


def _why_no_location(trace: DenseTrace, box: Floats) -> str:
    if (trace.view.assignment.objects_of(trace.frame.to_input(box[None])) >= 0).any():
        return "the locations are assigned to smaller objects"
    return "no location near its center has its largest distance to a side in its level's range"
