"""Follows an image through a two-stage detector, stage by stage, in one forward pass.

The network's parts are called as detectron2's `RPN.forward` and `StandardROIHeads._forward_box` call them, and what
lies between them is its `find_top_rpn_proposals` and `fast_rcnn_inference_single_image`, step by step with the same
operations on the same numbers, so that the detections are the plain model's to the last bit. Masks and panoptic
segments, which decide no box, are left out.

Source: detectron2 0.6, `modeling/proposal_generator/{rpn,proposal_utils}.py`, `modeling/roi_heads/fast_rcnn.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from detectron2.layers import batched_nms
from detectron2.structures import Boxes, Instances

from explorer.autopsy.family import Tracer
from explorer.autopsy.frame import Resizing
from explorer.autopsy.objects import Objects
from explorer.autopsy.selection import select, with_spared
from explorer.autopsy.two_stage.anatomy import has_two_stages, limits_of, pyramid_of
from explorer.autopsy.two_stage.chain import TWO_STAGE
from explorer.autopsy.two_stage.stages import (
    HeadOutput,
    ProposalStages,
    RpnOutput,
    TwoStageExceptions,
    TwoStageLimits,
    TwoStageTrace,
    TwoStageView,
)
from explorer.autopsy.two_stage.trails import TwoStageTrails
from explorer.engine.detector import Detector
from explorer.types import Array, Floats32, Ints, Pixels


class TwoStageTracer(Tracer):
    """Follows images through a Faster, Mask or Panoptic R-CNN.

    Attributes:
        pyramid: the model's feature maps.
    """

    says = "Faster R-CNN, Mask R-CNN and Panoptic FPN"
    chain = TWO_STAGE
    limits: TwoStageLimits

    def __init__(self, detector: Detector) -> None:
        """Takes apart a detector that fits."""
        self._detector, self._model = detector, detector.model
        self.limits = limits_of(self._model)
        self.pyramid = pyramid_of(self._model)
        self.level_names = self.pyramid.names
        self.score_threshold = self.limits.score_threshold

    @classmethod
    def fits(cls, detector: Detector) -> bool:
        return has_two_stages(detector)

    def trails(self, trace: TwoStageTrace, objects: Objects, iou: float) -> TwoStageTrails:
        return TwoStageTrails(trace, objects, iou)

    @torch.no_grad()
    def look(self, image_bgr: Pixels) -> TwoStageView:
        """Runs backbone, feature pyramid and RPN on one image."""
        model_input = self._detector.model_input(image_bgr)
        images = self._model.preprocess_image([model_input])  # type: ignore[operator]
        features = self._model.backbone(images.tensor)  # type: ignore[operator]
        rpn = self._ask_rpn(features, images.image_sizes[0])
        height, width = image_bgr.shape[:2]
        input_height, input_width = (int(side) for side in images.image_sizes[0])
        return TwoStageView(Resizing((height, width), (input_height, input_width)), features, rpn)

    def follow(
        self,
        view: TwoStageView,
        limits: TwoStageLimits | None = None,
        exceptions: TwoStageExceptions | None = None,
        *,
        known: TwoStageTrace | None = None,
    ) -> TwoStageTrace:
        """Follows a view to the detections; proposals that an earlier trace has are not asked again.

        In the exceptions, proposals go by their row in the trace without exceptions under the same RPN limits.
        """
        limits, exceptions = limits or self.limits, exceptions or TwoStageExceptions()
        stages = _choose_proposals(view.rpn, limits, exceptions, self._detector.device)
        head = _amended(self._ask_head(view, stages.passed, exceptions, known.head if known else None), exceptions)
        over = (head.scores[:, :-1] > np.float32(limits.score_threshold)) & head.finite[:, None]
        candidates = np.argwhere(over)
        rows, classes = candidates.T
        selection, detections = select(
            candidates,
            head.boxes_xyxy[rows, classes if head.boxes_xyxy.shape[1] > 1 else 0],
            head.scores[rows, classes],
            view.frame,
            nms_iou=limits.nms_iou,
            detections=limits.detections,
            spared=exceptions.spared_candidates,
            device=self._detector.device,
            class_names=self._detector.class_names,
        )
        return TwoStageTrace(limits, selection, detections, view, self.pyramid, stages, head)

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
    def _ask_head(
        self, view: TwoStageView, passed: Ints, exceptions: TwoStageExceptions, known: HeadOutput | None
    ) -> HeadOutput:
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

    def _judge(self, view: TwoStageView, anchors: Ints, proposals_xyxy: Floats32) -> HeadOutput:
        heads: Any = self._model.roi_heads
        instances = Instances(view.frame.input_size)
        instances.proposal_boxes = Boxes(torch.from_numpy(proposals_xyxy).to(self._detector.device))
        maps = [view.features[name] for name in heads.box_in_features]
        predictions = heads.box_predictor(heads.box_head(heads.box_pooler(maps, [instances.proposal_boxes])))
        (boxes,) = heads.box_predictor.predict_boxes(predictions, [instances])
        (scores,) = heads.box_predictor.predict_probs(predictions, [instances])
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
        clipped, _ = _clipped(boxes.reshape(-1, 4), view.frame.input_size)
        return HeadOutput(
            anchors,
            proposals_xyxy,
            _numpy(scores),
            _numpy(clipped).reshape(len(proposals_xyxy), boxes.shape[1] // 4, 4),
            finite.cpu().numpy(),
        )


def _choose_proposals(
    rpn: RpnOutput, limits: TwoStageLimits, exceptions: TwoStageExceptions, device: torch.device
) -> ProposalStages:
    """Ranks, sifts, suppresses and limits as `find_top_rpn_proposals` does."""
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
    kept = with_spared(survivors, np.array(exceptions.spared_anchors, dtype=np.int64), rpn.logits)
    return ProposalStages(entered, usable, kept, kept[: limits.post_nms_topk])


def _amended(head: HeadOutput, exceptions: TwoStageExceptions) -> HeadOutput:
    """Makes the head say what the exceptions have it say."""
    if not exceptions.declared and not exceptions.unmoved:
        return head
    scores, boxes = head.scores.copy(), head.boxes_xyxy.copy()
    for proposal, class_index in exceptions.declared:
        scores[proposal] = np.eye(head.classes + 1, dtype=np.float32)[class_index]
    for proposal, class_index in exceptions.unmoved:
        boxes[proposal, class_index if boxes.shape[1] > 1 else 0] = head.proposals_xyxy[proposal]
    return replace(head, scores=scores, boxes_xyxy=boxes)


def _columns(head: HeadOutput) -> tuple[Array, ...]:
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


def _numpy(tensor: torch.Tensor) -> Floats32:
    array: Floats32 = tensor.cpu().numpy()
    return array
