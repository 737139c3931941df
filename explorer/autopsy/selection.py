"""How every detector ends: boxes above a threshold are suppressed by class, limited, and put into the image's frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.layers import batched_nms
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances

from explorer.autopsy.frame import Resizing
from explorer.autopsy.verdicts import Verdict
from explorer.engine.prediction import to_detections
from explorer.types import Detections, Floats32, Ints

Pair = tuple[int, int]
"""A candidate's address: the row of its proposal or place, and its class."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Which of the boxes above the threshold get how far.

    Attributes:
        candidates: `(N, 2)` row and class of each, in the detector's order.
        boxes_xyxy: `(N, 4)` in the frame of the resized input.
        scores: `(N,)`.
        nms_iou: a box that overlaps a better one of its class by more is suppressed.
        kept: rows of `candidates` that are not suppressed, best first.
        limited: of these, as many as an image may have.
        reported: of these, one per detection: those that are no empty box in the original image.
    """

    candidates: Ints
    boxes_xyxy: Floats32
    scores: Floats32
    nms_iou: float
    kept: Ints
    limited: Ints
    reported: Ints

    @property
    def verdicts(self) -> Ints:
        """`(N,)` how far each got: the number of the verdict on an object that got no further."""
        reach = np.zeros(len(self.candidates), dtype=np.int64)
        for rows in (self.kept, self.limited):
            reach[rows] += 1
        return np.array((Verdict.FINAL_NMS, Verdict.DETECTIONS_LIMIT, Verdict.TAKEN))[reach]

    def row_of(self, pair: Pair) -> int:
        """The row of `candidates` that is this one."""
        return int(np.flatnonzero((self.candidates == pair).all(axis=1))[0])

    def suppressor_of(self, candidate: int) -> int:
        """The row of `candidates` that suppressed this one."""
        own_class = self.candidates[candidate, 1]
        rivals = self.kept[(self.candidates[self.kept, 1] == own_class) & (self.kept != candidate)]
        return int(rivals[first_over(self.boxes_xyxy[candidate], self.boxes_xyxy[rivals], self.nms_iou)])

    def limit_needed(self, pair: Pair) -> int:
        """How many detections an image must have to have this one, too."""
        return 1 + int(np.flatnonzero(self.kept == self.row_of(pair))[0])


def select(
    candidates: Ints,
    boxes_xyxy: Floats32,
    scores: Floats32,
    frame: Resizing,
    *,
    nms_iou: float,
    detections: int,
    spared: Sequence[Pair],
    device: torch.device,
    class_names: tuple[str, ...],
) -> tuple[Selection, Detections]:
    """Selects as detectron2's detectors do, on the device they do it on.

    Args:
        candidates: see `Selection`; so are `boxes_xyxy` and `scores`.
        boxes_xyxy: of the candidates.
        scores: of the candidates.
        frame: of the image.
        nms_iou: of the NMS.
        detections: boxes of all classes together that become detections; a negative number is no limit.
        spared: those that no other suppresses.
        device: of the model.
        class_names: of the model.
    """
    boxes, numbers, classes = (
        torch.from_numpy(column).to(device) for column in (boxes_xyxy, scores, candidates[:, 1].copy())
    )
    survivors = batched_nms(boxes, numbers, classes, nms_iou).cpu().numpy()
    rows = [row for pair in spared for row in np.flatnonzero((candidates == pair).all(axis=1))]
    kept = with_spared(survivors, np.array(rows, dtype=np.int64), scores)
    limited = kept[:detections] if detections >= 0 else kept
    instances = Instances(frame.input_size)
    instances.pred_boxes, instances.scores = Boxes(boxes[limited]), numbers[limited]
    instances.pred_classes = classes[limited]
    instances.candidates = torch.from_numpy(limited).to(device)
    shown = detector_postprocess(instances, *frame.image_size)
    reported = shown.candidates[torch.argsort(shown.scores, descending=True, stable=True)].cpu().numpy()
    selection = Selection(candidates, boxes_xyxy, scores, nms_iou, kept, limited, reported)
    return selection, to_detections(shown, class_names)


def with_spared(survivors: Ints, spared: Ints, scores: Floats32) -> Ints:
    """Puts the spared among the survivors, best first; without any, the survivors stay as they are."""
    spared = np.setdiff1d(spared, survivors)
    if not len(spared):
        return survivors
    both = np.concatenate([survivors, spared])
    return both[np.argsort(-scores[both], kind="stable")]


def first_over(box: Floats32, rivals: Floats32, iou: float) -> int:
    """The first of `rivals`, best first, that overlaps `box` by more than `iou`.

    torchvision may shift boxes apart by level or class before it compares them, which rounds: where by unshifted boxes
    none is over, it was the nearest.
    """
    overlap = np.clip(np.minimum(box[2:], rivals[:, 2:]) - np.maximum(box[:2], rivals[:, :2]), 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (rivals[:, 2:] - rivals[:, :2]).prod(axis=1) - overlap
    ious = overlap / union
    over = np.flatnonzero(ious > iou)
    return int(over[0] if len(over) else ious.argmax())
