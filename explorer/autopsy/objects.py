"""What is in one image, and which detection has which of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from explorer.scoring.columns import Run, Truth, in_order
from explorer.scoring.convert import xywh
from explorer.scoring.matching import match
from explorer.scoring.sizes import ALL
from explorer.types import Bools, Detections, Floats, Ints


@dataclass(frozen=True, eq=False)
class Objects:
    """What is in one image, one row per object, in the frame of the original image.

    Attributes:
        boxes_xywh: `(G, 4)` float64, to the last bit those that are evaluated.
        classes: `(G,)` class index of the model.
        crowds: `(G,)` bool.
    """

    boxes_xywh: Floats
    classes: Ints
    crowds: Bools

    @cached_property
    def boxes_xyxy(self) -> Floats:
        """The same as corners."""
        return np.concatenate([self.boxes_xywh[:, :2], self.boxes_xywh[:, :2] + self.boxes_xywh[:, 2:]], axis=1)

    def without(self, row: int) -> Objects:
        """Leaves one object out."""
        kept = np.arange(len(self)) != row
        return Objects(self.boxes_xywh[kept], self.classes[kept], self.crowds[kept])

    def __len__(self) -> int:
        return len(self.classes)


def matched(found: Detections, objects: Objects, iou: float) -> Ints:
    """Returns the object that each detection has by COCO's matching, `(D,)`, -1 for none and for crowds."""
    here = np.zeros(len(objects), dtype=np.int64)
    scores = found.scores.astype(np.float64)
    columns = in_order(np.zeros(len(found), dtype=np.int64), found.classes, xywh(found.boxes_xyxy), scores)
    truth = Truth(
        image_ids=np.zeros(1, dtype=np.int64),
        file_names=("",),
        image_sizes=np.array([found.image_size]),
        category_ids=np.arange(len(found.class_names)),
        class_names=found.class_names,
        ids=np.arange(len(objects)),
        images=here,
        classes=objects.classes,
        boxes_xywh=objects.boxes_xywh,
        areas_px=objects.boxes_xywh[:, 2:].prod(axis=1),
        crowds=objects.crowds,
    )
    every = (max(1, len(found)),)  # what lies beyond a limit of the evaluation is the run's to say
    matches = match(Run("", truth, columns, {}), thresholds=(iou,), bins=(ALL,), max_detections=every)
    taken = matches.objects_taken(iou)
    return np.where(np.append(objects.crowds, False)[taken], -1, taken)
