"""Follows an image through a dense detector, stage by stage, in one forward pass.

What lies between the head and the detections is detectron2's `DenseDetector._decode_multi_level_predictions` and
`inference_single_image`, and `explorer.heads.fcos_detections` for CenterMask, step by step with the same operations on
the same numbers, so that the detections are the plain model's to the last bit. Masks and panoptic segments, which
decide no box, are left out.

Source: detectron2 0.6, `modeling/meta_arch/{dense_detector,retinanet,fcos}.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from explorer.autopsy.dense.readers import reader_of
from explorer.autopsy.dense.stages import DenseExceptions, DenseLimits, DenseTrace, DenseView, Places
from explorer.autopsy.dense.trails import DenseTrails
from explorer.autopsy.family import Tracer
from explorer.autopsy.frame import Resizing
from explorer.autopsy.objects import Objects
from explorer.autopsy.selection import select
from explorer.engine.detector import Detector
from explorer.types import Ints, Pixels


class DenseTracer(Tracer):
    """Follows images through a RetinaNet, FCOS or CenterMask."""

    says = "RetinaNet, FCOS and (Panoptic-)CenterMask"
    limits: DenseLimits

    def __init__(self, detector: Detector) -> None:
        """Takes apart a detector that fits."""
        self._detector, self._model = detector, detector.model
        reader = reader_of(self._model)
        assert reader is not None
        self._reader, self.chain, self.level_names = reader, reader.chain, reader.level_names
        self.limits = reader.limits
        self.score_threshold = self.limits.threshold

    @classmethod
    def fits(cls, detector: Detector) -> bool:
        return reader_of(detector.model) is not None

    def trails(self, trace: DenseTrace, objects: Objects, iou: float) -> DenseTrails:
        return DenseTrails(trace, objects, iou)

    @torch.no_grad()
    def look(self, image_bgr: Pixels) -> DenseView:
        """Runs backbone, feature pyramid and head on one image."""
        images = self._model.preprocess_image([self._detector.model_input(image_bgr)])  # type: ignore[operator]
        places, assignment = self._reader.read(self._model.backbone(images.tensor))  # type: ignore[operator]
        height, width = image_bgr.shape[:2]
        input_height, input_width = (int(side) for side in images.image_sizes[0])
        return DenseView(Resizing((height, width), (input_height, input_width)), places, assignment)

    def follow(
        self,
        view: DenseView,
        limits: DenseLimits | None = None,
        exceptions: DenseExceptions | None = None,
        *,
        known: DenseTrace | None = None,
    ) -> DenseTrace:
        """Follows a view to the detections; the head has said all at once, so nothing is known from earlier."""
        del known
        limits, exceptions = limits or self.limits, exceptions or DenseExceptions()
        device, places = self._detector.device, _amended(view.places, exceptions)
        over, entered = _best_of_levels(places, limits, device)
        selection, detections = select(
            entered,
            places.boxes_xyxy[entered[:, 0]],
            places.scores[tuple(entered.T)],
            view.frame,
            nms_iou=limits.nms_iou,
            detections=limits.detections,
            spared=exceptions.spared,
            device=device,
            class_names=self._detector.class_names,
        )
        return DenseTrace(limits, selection, detections, view, self.chain, self.level_names, places, over)


def _best_of_levels(places: Places, limits: DenseLimits, device: torch.device) -> tuple[Ints, Ints]:
    """Place and class of all above the threshold, `(P, 2)`, and of the best of each level among them, `(N, 2)`."""
    over, entered = [], []
    for first, last in places.by_level():
        scores = torch.from_numpy(places.scores[first:last]).to(device)
        compared = torch.from_numpy(places.class_scores[first:last]).to(device) if limits.of_class_score else scores
        keep = compared > limits.threshold
        passing = keep.nonzero()
        _, best = scores[keep].topk(min(limits.pre_nms_topk, len(passing)))
        here = np.array([first, 0])
        over.append(passing.cpu().numpy() + here)
        entered.append(passing[best].cpu().numpy() + here)
    return np.concatenate(over), np.concatenate(entered)


def _amended(places: Places, exceptions: DenseExceptions) -> Places:
    """Makes the head say what the exceptions have it say."""
    if exceptions.extra:
        places = _extended(places, exceptions)
    if exceptions.moved:
        boxes = places.boxes_xyxy.copy()
        for place, box in exceptions.moved:
            boxes[place] = box
        places = replace(places, boxes_xyxy=boxes)
    changed = [*(place for place, _ in exceptions.declared), *exceptions.central]
    if not changed:
        return places
    class_scores, scores, centerness = places.class_scores.copy(), places.scores.copy(), places.centerness
    for pair in exceptions.declared:
        class_scores[pair] = 1
    if centerness is not None:
        centerness = centerness.copy()
        centerness[list(exceptions.central)] = 1
        scores[changed] = np.sqrt(class_scores[changed] * centerness[changed, None])
    else:
        scores[changed] = class_scores[changed]
    return replace(places, class_scores=class_scores, centerness=centerness, scores=scores)


def _extended(places: Places, exceptions: DenseExceptions) -> Places:
    """Adds a level of places that are sure of a box each."""
    boxes = np.array([box for box, _ in exceptions.extra], dtype=np.float32)
    sure = np.zeros((len(boxes), places.scores.shape[1]), dtype=np.float32)
    sure[np.arange(len(boxes)), [class_index for _, class_index in exceptions.extra]] = 1
    central = places.centerness
    return Places(
        np.append(places.levels, np.full(len(boxes), places.levels.max(initial=-1) + 1)),
        np.concatenate([places.anchors_xyxy, boxes]),
        np.concatenate([places.class_scores, sure]),
        None if central is None else np.append(central, np.ones(len(boxes), dtype=np.float32)),
        np.concatenate([places.scores, sure]),
        np.concatenate([places.boxes_xyxy, boxes]),
    )
