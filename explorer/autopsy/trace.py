"""Follows an image through a two-stage detector, stage by stage, in one forward pass.

The network's parts are called as detectron2's `RPN.forward` and `StandardROIHeads._forward_box` call them, and what
lies between them is its `find_top_rpn_proposals` and `fast_rcnn_inference_single_image`, step by step with the same
operations on the same numbers, so that the detections are the plain model's to the last bit. Masks and panoptic
segments, which decide no box, are left out.

Source: detectron2 0.6, `modeling/proposal_generator/{rpn,proposal_utils}.py`, `modeling/roi_heads/fast_rcnn.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from detectron2.layers import batched_nms
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances

from explorer.autopsy.anatomy import check_stages, limits_of, pyramid_of
from explorer.autopsy.stages import (
    DetectionStages,
    Exceptions,
    Floats,
    HeadOutput,
    Ints,
    Limits,
    ProposalStages,
    RpnOutput,
    StageTrace,
)
from explorer.engine.detector import Detector, to_detections
from explorer.types import Detections

_NO_EXCEPTIONS = Exceptions()


@dataclass(frozen=True, eq=False)
class View:
    """What the network makes of one image before any box is chosen.

    Attributes:
        image_size: `(height, width)` of the original image.
        input_size: `(height, width)` of the resized one, without padding.
        features: the feature pyramid by level name.
        rpn: what the RPN says of each anchor.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    features: Mapping[str, torch.Tensor]
    rpn: RpnOutput


class Tracer:
    """Follows images through one detector.

    `tracer(image)` gives the trace. In two steps, `tracer.follow(tracer.look(image), limits, exceptions)`, the same
    view can be followed again under other limits, or with exceptions, without the network's first and dearest part.

    Attributes:
        limits: those of the model, with the score threshold asked for.
        pyramid: the model's feature maps.
    """

    def __init__(self, detector: Detector, *, score_threshold: float | None = None) -> None:
        """Takes a detector apart; it stays as it is.

        Args:
            detector: a Faster, Mask or Panoptic R-CNN.
            score_threshold: what a class score must exceed, in place of the model's own threshold.

        Raises:
            ValueError: the detector has other stages than these, or the threshold is not in [0, 1].
        """
        check_stages(detector)
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise ValueError(f"The score threshold is {score_threshold}; it must lie between 0 and 1.")
        self._detector, self._model = detector, detector.model
        self.limits = limits_of(self._model)
        if score_threshold is not None:
            self.limits = replace(self.limits, score_threshold=score_threshold)
        self.pyramid = pyramid_of(self._model)

    def __call__(self, image_bgr: npt.NDArray[np.uint8]) -> StageTrace:
        """Follows one image, `(height, width, 3)` uint8, BGR, upright."""
        return self.follow(self.look(image_bgr))

    @torch.no_grad()
    def look(self, image_bgr: npt.NDArray[np.uint8]) -> View:
        """Runs backbone, feature pyramid and RPN on one image."""
        model_input = self._detector.model_input(image_bgr)
        images = self._model.preprocess_image([model_input])  # type: ignore[operator]
        features = self._model.backbone(images.tensor)  # type: ignore[operator]
        rpn = self._ask_rpn(features, images.image_sizes[0])
        height, width = image_bgr.shape[:2]
        input_height, input_width = (int(side) for side in images.image_sizes[0])
        return View((height, width), (input_height, input_width), features, rpn)

    def follow(
        self,
        view: View,
        limits: Limits | None = None,
        exceptions: Exceptions = _NO_EXCEPTIONS,
        *,
        known: HeadOutput | None = None,
    ) -> StageTrace:
        """Follows a view to the detections.

        Args:
            view: from this tracer's `look`.
            limits: what candidates must pass; `self.limits` where None.
            exceptions: what is let through against the rules. Proposals go by their row in the trace without exceptions
                under the same RPN limits.
            known: the head's output for this view in an earlier trace: proposals that are in it are not asked again.
        """
        limits = limits or self.limits
        stages = _choose_proposals(view, limits, exceptions, self._detector.device)
        head = _amended(self._ask_head(view, stages.passed, exceptions, known), exceptions)
        chosen, detections = self._choose_detections(view, head, limits, exceptions)
        return StageTrace(
            view.image_size, view.input_size, self.pyramid, limits, view.rpn, stages, head, chosen, detections
        )

    def _ask_rpn(self, features: Mapping[str, torch.Tensor], input_size: tuple[int, int]) -> RpnOutput:
        rpn: Any = self._model.proposal_generator
        maps = [features[name] for name in rpn.in_features]
        anchors = [level.tensor for level in rpn.anchor_generator(maps)]
        logits, deltas = rpn.rpn_head(maps)
        logits = [level.permute(0, 2, 3, 1).flatten() for level in logits]  # by place, then by anchor
        deltas = [_by_anchor(level) for level in deltas]
        decoded = [rpn.box2box_transform.apply_deltas(d, a) for d, a in zip(deltas, anchors, strict=True)]
        scores = torch.cat(logits)
        boxes, finite = _clipped(torch.cat(decoded), input_size)
        positions = [self.pyramid.names.index(name) for name in rpn.in_features]
        return RpnOutput(
            np.repeat(positions, [len(level) for level in anchors]),
            _numpy(torch.cat(anchors)),
            _numpy(scores),
            _numpy(boxes),
            (finite & torch.isfinite(scores)).cpu().numpy(),
        )

    @torch.no_grad()
    def _ask_head(self, view: View, passed: Ints, exceptions: Exceptions, known: HeadOutput | None) -> HeadOutput:
        extra = np.array(exceptions.extra_proposals, dtype=np.float32).reshape(-1, 4)
        anchors = np.concatenate([passed, np.full(len(extra), -1)])
        proposals = np.concatenate([view.rpn.boxes_xyxy[passed], extra])
        if known is None:
            return self._judge(view, anchors, proposals)
        new = (anchors < 0) | ~np.isin(anchors, known.anchors)
        judged = self._judge(view, anchors[new], proposals[new])
        rows = np.empty(len(anchors), dtype=np.int64)
        rows[new] = len(known.anchors) + np.arange(new.sum())
        order = np.argsort(known.anchors, kind="stable")
        rows[~new] = order[np.searchsorted(known.anchors, anchors[~new], sorter=order)]
        columns = [np.concatenate(both)[rows] for both in zip(_columns(known), _columns(judged), strict=True)]
        return HeadOutput(*columns)

    def _judge(self, view: View, anchors: Ints, proposals_xyxy: Floats) -> HeadOutput:
        heads: Any = self._model.roi_heads
        instances = Instances(view.input_size)
        instances.proposal_boxes = Boxes(torch.from_numpy(proposals_xyxy).to(self._detector.device))
        maps = [view.features[name] for name in heads.box_in_features]
        predictions = heads.box_predictor(heads.box_head(heads.box_pooler(maps, [instances.proposal_boxes])))
        (boxes,) = heads.box_predictor.predict_boxes(predictions, [instances])
        (scores,) = heads.box_predictor.predict_probs(predictions, [instances])
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
        clipped, _ = _clipped(boxes.reshape(-1, 4), view.input_size)
        return HeadOutput(
            anchors,
            proposals_xyxy,
            _numpy(scores),
            _numpy(clipped).reshape(len(proposals_xyxy), boxes.shape[1] // 4, 4),
            finite.cpu().numpy(),
        )

    def _choose_detections(
        self, view: View, head: HeadOutput, limits: Limits, exceptions: Exceptions
    ) -> tuple[DetectionStages, Detections]:
        """Thresholds, suppresses and limits as `fast_rcnn_inference_single_image` does."""
        device = self._detector.device
        over = (head.scores[:, :-1] > np.float32(limits.score_threshold)) & head.finite[:, None]
        candidates = np.argwhere(over)
        rows, classes = candidates.T
        boxes = torch.from_numpy(head.boxes_xyxy[rows, classes if head.boxes_xyxy.shape[1] > 1 else 0]).to(device)
        scores = torch.from_numpy(head.scores[rows, classes]).to(device)
        survivors = batched_nms(boxes, scores, torch.from_numpy(classes).to(device), limits.nms_iou).cpu().numpy()
        spared = [row for pair in exceptions.spared_candidates for row in np.flatnonzero((candidates == pair).all(1))]
        kept = _with_spared(survivors, np.array(spared, dtype=np.int64), _numpy(scores))
        limited = kept[: limits.detections] if limits.detections >= 0 else kept
        instances = Instances(view.input_size)
        instances.pred_boxes, instances.scores = Boxes(boxes[limited]), scores[limited]
        instances.pred_classes = torch.from_numpy(classes[limited]).to(device)
        instances.candidates = torch.from_numpy(limited).to(device)
        shown = detector_postprocess(instances, *view.image_size)
        reported = shown.candidates[torch.argsort(shown.scores, descending=True, stable=True)].cpu().numpy()
        stages = DetectionStages(candidates, kept, limited, reported)
        return stages, to_detections(shown, self._detector.class_names)


def _choose_proposals(view: View, limits: Limits, exceptions: Exceptions, device: torch.device) -> ProposalStages:
    """Ranks, sifts, suppresses and limits as `find_top_rpn_proposals` does."""
    rpn = view.rpn
    starts = [0, *(np.flatnonzero(np.diff(rpn.levels)) + 1), len(rpn.levels)]
    best = []
    for start, end in pairwise(starts):
        logits = torch.from_numpy(rpn.logits[None, start:end]).to(device)
        best.append(start + logits.topk(min(end - start, limits.pre_nms_topk), dim=1).indices[0].cpu().numpy())
    entered = np.concatenate(best)
    boxes = torch.from_numpy(rpn.boxes_xyxy[entered]).to(device)
    nonempty = Boxes(boxes).nonempty(threshold=limits.min_size_px).cpu().numpy()
    usable = entered[rpn.finite[entered] & nonempty]
    boxes, logits, levels = (torch.from_numpy(a[usable]).to(device) for a in (rpn.boxes_xyxy, rpn.logits, rpn.levels))
    survivors = usable[batched_nms(boxes, logits, levels, limits.rpn_nms_iou).cpu().numpy()]
    kept = _with_spared(survivors, np.array(exceptions.spared_anchors, dtype=np.int64), rpn.logits)
    return ProposalStages(entered, usable, kept, kept[: limits.post_nms_topk])


def _with_spared(survivors: Ints, spared: Ints, scores: Floats) -> Ints:
    """Puts the spared among the survivors, best first; without any, the survivors stay as they are."""
    spared = np.setdiff1d(spared, survivors)
    if not len(spared):
        return survivors
    both = np.concatenate([survivors, spared])
    return both[np.argsort(-scores[both], kind="stable")]


def _amended(head: HeadOutput, exceptions: Exceptions) -> HeadOutput:
    """Makes the head say what the exceptions have it say."""
    if not exceptions.declared and not exceptions.unmoved:
        return head
    scores, boxes = head.scores.copy(), head.boxes_xyxy.copy()
    for proposal, class_index in exceptions.declared:
        scores[proposal] = np.eye(head.classes + 1, dtype=np.float32)[class_index]
    for proposal, class_index in exceptions.unmoved:
        boxes[proposal, class_index if boxes.shape[1] > 1 else 0] = head.proposals_xyxy[proposal]
    return replace(head, scores=scores, boxes_xyxy=boxes)


def _columns(head: HeadOutput) -> tuple[npt.NDArray[Any], ...]:
    return head.anchors, head.proposals_xyxy, head.scores, head.boxes_xyxy, head.finite


def _by_anchor(deltas: torch.Tensor) -> torch.Tensor:
    """Takes the RPN head's `(1, A * 4, H, W)` to `(H * W * A, 4)`."""
    _, channels, height, width = deltas.shape
    return deltas.view(channels // 4, 4, height, width).permute(2, 3, 0, 1).reshape(-1, 4)


def _clipped(boxes: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips boxes `(N, 4)` to the image; those that are not finite become zeros and are told apart."""
    finite = torch.isfinite(boxes).all(dim=1)
    numbers = Boxes(torch.where(finite[:, None], boxes, torch.zeros_like(boxes)))
    numbers.clip(size)
    return numbers.tensor, finite


def _numpy(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.cpu().numpy()
    return array
