"""What several detectors find in one photo without annotations: which objects all see, and which only some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.scoring.nearby import ious_with
from explorer.types import Detections, Floats


@dataclass(frozen=True)
class Sighting:
    """One object as several detectors see it.

    Attributes:
        class_name: what all of them call it.
        box_xyxy: by the surest of them, in pixels of the original image.
        scores: by the detectors' names; those that do not see it are absent.
    """

    class_name: str
    box_xyxy: tuple[float, float, float, float]
    scores: Mapping[str, float]

    @property
    def area_px(self) -> float:
        """Area of the box in square pixels."""
        x1, y1, x2, y2 = self.box_xyxy
        return (x2 - x1) * (y2 - y1)


def sightings(detections: Mapping[str, Detections], iou: float = 0.5) -> tuple[Sighting, ...]:
    """Brings together the detections of one object by several detectors.

    Detections are taken surest first. Each joins the sighting of its class whose first box it overlaps most, by at
    least `iou`, and which its own detector is not part of yet; where there is none, it begins one. Nobody says which of
    them are right: that takes annotations, and `explorer.errors.compare`.

    Args:
        detections: by the detectors' names, in the frame of one image.
        iou: the least overlap of two boxes of one object.

    Returns:
        The objects, surest first.
    """
    named = [
        (float(score), name, found.class_names[index], box)
        for name, found in detections.items()
        for score, index, box in zip(found.scores, found.classes, found.boxes_xyxy.astype(np.float64), strict=True)
    ]
    named.sort(key=lambda one: -one[0])
    founders: dict[str, list[Floats]] = {}
    scores: dict[str, list[dict[str, float]]] = {}
    order: list[tuple[str, int]] = []
    for score, name, class_name, box in named:
        boxes, seen = founders.setdefault(class_name, []), scores.setdefault(class_name, [])
        overlaps = ious_with(box, np.reshape(boxes, (-1, 4)))
        overlaps[[name in own for own in seen]] = 0
        best = int(overlaps.argmax()) if len(overlaps) else 0
        if len(overlaps) and overlaps[best] >= iou:
            seen[best][name] = score
        else:
            order.append((class_name, len(boxes)))
            boxes.append(box)
            seen.append({name: score})
    return tuple(
        Sighting(class_name, tuple(founders[class_name][row].tolist()), scores[class_name][row])
        for class_name, row in order
    )
