"""How many of a photo's annotated objects a model finds, where somebody knows what is in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explorer.scoring.outcomes import FOUND, FoundRule, found_by
from explorer.scoring.protocols import COCO, Protocol
from explorer.types import Detections


def objects_found(
    truth: Detections, found: Detections, lowest_score: float, protocol: Protocol = COCO
) -> tuple[int, int] | None:
    """Counts by the rule of every other tab: a detection of the object's class, by IoU and score.

    Args:
        truth: the annotated objects.
        found: what the model found in the same photo.
        lowest_score: from which score objects are shown.
        protocol: by which objects count.

    Returns:
        Objects found, and objects of the classes that the model has; None where it has none of the classes. Those that
        the protocol ignores are in neither.
    """
    from explorer.scoring.classes import shared_classes
    from explorer.scoring.columns import Truth
    from explorer.scoring.convert import run_from_detections, xywh
    from explorer.scoring.matching import NOBODY, match

    numbers = np.arange(len(truth))
    boxes = xywh(truth.boxes_xyxy)
    objects = Truth(
        image_ids=np.array([1]),
        file_names=("photo",),
        image_sizes=np.array([truth.image_size]),
        category_ids=np.arange(len(truth.class_names)),
        class_names=truth.class_names,
        ids=numbers,
        images=np.zeros_like(numbers),
        classes=truth.classes,
        boxes_xywh=boxes,
        areas_px=boxes[:, 2] * boxes[:, 3],
        crowds=np.zeros(len(truth), np.bool_),
    )
    try:
        shared = shared_classes(found.class_names, truth.class_names)
    except ValueError:  # no class in common
        return None
    known = objects.of_classes(shared.names)
    facts = {"protocol": protocol.as_facts()}
    run = run_from_detections(known, [replace(found, masks=None, mask_scores=None)], "model", facts, shared)
    matches = match(run)
    found_here = found_by(matches, FoundRule(FOUND.iou, score=float(np.float32(lowest_score))).of(matches)) != NOBODY
    return int(found_here.sum()), int((~matches.unscored).sum())
