"""What a two-stage detector is made of: the stages it must have, their limits, and the maps they look at."""

from __future__ import annotations

from typing import Any

from detectron2.modeling import GeneralizedRCNN, StandardROIHeads
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from torch import nn

from explorer.autopsy.two_stage.stages import Pyramid, TwoStageLimits
from explorer.engine.detector import Detector


def limits_of(model: nn.Module) -> TwoStageLimits:
    """Returns what candidates must pass in a two-stage model at test time."""
    rpn: Any = model.proposal_generator
    head: Any = model.roi_heads.box_predictor  # type: ignore[union-attr]
    return TwoStageLimits(
        rpn.pre_nms_topk[False],
        rpn.min_box_size,
        rpn.nms_thresh,
        rpn.post_nms_topk[False],
        head.test_score_thresh,
        head.test_nms_thresh,
        head.test_topk_per_image,
    )


def pyramid_of(model: nn.Module) -> Pyramid:
    """Returns the feature maps that a two-stage model's heads look at."""
    rpn: Any = model.proposal_generator
    heads: Any = model.roi_heads
    names = tuple(dict.fromkeys((*heads.box_in_features, *rpn.in_features)))
    pooler = heads.box_pooler
    background_below = rpn.anchor_matcher.thresholds[1]
    size, level = pooler.canonical_box_size, pooler.canonical_level
    return Pyramid(names, pooler.min_level, pooler.max_level, float(size), level, background_below)


def has_two_stages(detector: Detector) -> bool:
    """Whether it is a Faster, Mask or Panoptic R-CNN as detectron2 builds it.

    Others have other stages: dense detectors, cascades, rotated boxes, a head of one's own.
    """
    model: Any = detector.model
    return (
        isinstance(model, GeneralizedRCNN)
        and isinstance(model.proposal_generator, RPN)
        and model.proposal_generator.anchor_generator.box_dim == 4
        and isinstance(model.roi_heads, StandardROIHeads)
        and type(model.roi_heads)._forward_box is StandardROIHeads._forward_box
        and isinstance(model.roi_heads.box_predictor, FastRCNNOutputLayers)
    )
