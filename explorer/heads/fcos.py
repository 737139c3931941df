"""FCOS as a proposal generator of detectron2, for CenterMask: its boxes are the detector's, and their masks' regions.

Source: CenterMask (arXiv 1911.06667, Section 3.1), FCOS (arXiv 1904.01355).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import PROPOSAL_GENERATOR_REGISTRY
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from explorer.heads.fcos_detections import DetectionLimits, detections
from explorer.heads.fcos_head import FCOSHead
from explorer.heads.fcos_losses import fcos_losses
from explorer.heads.fcos_targets import LocationAssignment


@PROPOSAL_GENERATOR_REGISTRY.register()
class FCOS(nn.Module):
    """Detects without anchors: each location of the pyramid names a class, the sides of a box and how central it is.

    Attributes:
        test_score_thresh: what the score of a detection must exceed, in place of the threshold that class
            probabilities have in `limits`; None for that one. It is the box's score: masks are ranked by how good
            they are expected to be, and none is left out for it.
        max_detections_per_image: how many of the best of an image are reported.
    """

    @configurable
    def __init__(
        self,
        *,
        head: FCOSHead,
        in_features: Sequence[str],
        assignment: LocationAssignment,
        training_limits: DetectionLimits,
        test_limits: DetectionLimits,
        focal_alpha: float = 0.25,
        focal_gamma: float = 2.0,
    ) -> None:
        """Puts a head to use.

        Args:
            head: looks at the maps.
            in_features: names of the maps, finest first.
            assignment: which location learns which object.
            training_limits: what the boxes must pass that the mask head learns on.
            test_limits: what detections must pass.
            focal_alpha: weight of positives in the focal loss.
            focal_gamma: exponent of the focal loss.
        """
        super().__init__()
        self.fcos_head = head
        self.in_features = tuple(in_features)
        self.assignment = assignment
        self.limits = {True: training_limits, False: test_limits}
        self.focal_alpha, self.focal_gamma = focal_alpha, focal_gamma
        self.test_score_thresh: float | None = None
        self.max_detections_per_image = test_limits.post_nms_topk

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        """Reads the arguments from `MODEL.FCOS`."""
        node = cfg.MODEL.FCOS
        shapes = [input_shape[name] for name in node.IN_FEATURES]
        head = FCOSHead(
            shapes[0].channels,
            len(shapes),
            classes=node.NUM_CLASSES,
            class_convs=node.NUM_CLS_CONVS,
            box_convs=node.NUM_BOX_CONVS,
            norm=node.NORM,
            scale_per_level=node.USE_SCALE,
            prior_prob=node.PRIOR_PROB,
        )
        radius = node.POS_RADIUS if node.CENTER_SAMPLE else None
        strides = [shape.stride for shape in shapes]
        return {
            "head": head,
            "in_features": node.IN_FEATURES,
            "assignment": LocationAssignment(strides, node.SIZES_OF_INTEREST, node.NUM_CLASSES, radius),
            "training_limits": DetectionLimits(
                node.INFERENCE_TH_TRAIN, node.PRE_NMS_TOPK_TRAIN, node.NMS_TH, node.POST_NMS_TOPK_TRAIN
            ),
            "test_limits": DetectionLimits(
                node.INFERENCE_TH_TEST, node.PRE_NMS_TOPK_TEST, node.NMS_TH, node.POST_NMS_TOPK_TEST
            ),
            "focal_alpha": node.LOSS_ALPHA,
            "focal_gamma": node.LOSS_GAMMA,
        }

    def forward(
        self, images: ImageList, features: Mapping[str, Tensor], gt_instances: Sequence[Instances] | None = None
    ) -> tuple[list[Instances], Mapping[str, Tensor]]:
        """Finds boxes and, with `gt_instances`, losses.

        Args:
            images: the resized images; only their sizes count.
            features: the pyramid by name.
            gt_instances: objects, one `Instances` per image; None where there is nothing to learn.

        Returns:
            By image, best first: `pred_boxes`, `scores`, `pred_classes` at test; in training the same boxes as
            `proposal_boxes` with `objectness_logits`. And the losses by name.
        """
        output = self.fcos_head([features[name] for name in self.in_features])
        losses: Mapping[str, Tensor] = {}
        if gt_instances is not None:
            sizes = [level.shape[-2:] for level in output.logits]
            targets = self.assignment(sizes, gt_instances)
            losses = fcos_losses(output, targets, alpha=self.focal_alpha, gamma=self.focal_gamma)
        limits = self.limits[self.training]
        if not self.training:
            most = self.max_detections_per_image
            limits = replace(limits, score_threshold=self.test_score_thresh, post_nms_topk=most)
        found = detections(output, self.assignment.strides, images.image_sizes, limits)
        return ([_as_proposals(one) for one in found] if self.training else found), losses


@torch.no_grad()
def _as_proposals(found: Instances) -> Instances:
    proposals = Instances(found.image_size)
    proposals.proposal_boxes, proposals.objectness_logits = found.pred_boxes, found.scores
    return proposals
