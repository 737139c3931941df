"""From FCOS's maps to boxes: threshold, best of each level, suppression, best of the image.

Source: FCOS (arXiv 1904.01355, Section 3.2); the score is the geometric mean of class probability and centerness, as
the release has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.layers import batched_nms
from detectron2.structures import Boxes, Instances
from torch import Tensor

from explorer.heads.fcos_head import DenseOutput
from explorer.heads.fcos_targets import locations


@dataclass(frozen=True)
class DetectionLimits:
    """What a box must pass.

    Attributes:
        class_threshold: what its class probability must exceed; centerness does not count here.
        pre_nms_topk: how many of the best of each level go on.
        nms_iou: a box that overlaps a better one of its class by more than this is suppressed.
        post_nms_topk: how many of the best of an image are kept.
        score_threshold: what its score must exceed, in place of `class_threshold`; None for that one.
    """

    class_threshold: float
    pre_nms_topk: int
    nms_iou: float
    post_nms_topk: int
    score_threshold: float | None = None


@torch.no_grad()
def detections(
    output: DenseOutput, strides: Sequence[int], image_sizes: Sequence[tuple[int, int]], limits: DetectionLimits
) -> list[Instances]:
    """Chooses the boxes of a batch.

    Args:
        output: of the head.
        strides: of its levels.
        image_sizes: `(height, width)` of the resized images without their padding.
        limits: what boxes must pass.

    Returns:
        By image, best first: `pred_boxes` in pixels of the network's input, which may reach out of the image, `scores`,
        `pred_classes`.
    """
    by_level = [decoded(*maps) for maps in zip(*output, strides, strict=True)]
    found = []
    for image, size in enumerate(image_sizes):
        parts = [_best(limits, *(part[image] for part in level)) for level in by_level]
        boxes, scores, classes = (torch.cat(column) for column in zip(*parts, strict=True))
        kept = batched_nms(boxes, scores, classes, limits.nms_iou)[: limits.post_nms_topk]
        instances = Instances(size)
        instances.pred_boxes, instances.scores, instances.pred_classes = Boxes(boxes[kept]), scores[kept], classes[kept]
        found.append(instances)
    return found


def decoded(logits: Tensor, distances: Tensor, centerness: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns what the maps of one level say of its locations, by rows; arguments as in `DenseOutput`.

    Returns:
        Class probabilities `(batch, n, classes)`, centerness `(batch, n, 1)` in [0, 1], and boxes `(batch, n, 4)`,
        corners in pixels of the network's input.
    """
    places = locations(logits.shape[-2:], stride, logits.device)
    probability, central, sides = (
        maps.float().flatten(2).transpose(1, 2) for maps in (logits, centerness, distances * stride)
    )
    boxes = torch.cat((places - sides[..., :2], places + sides[..., 2:]), dim=2)
    return probability.sigmoid(), central.sigmoid(), boxes


def _best(
    limits: DetectionLimits, probability: Tensor, central: Tensor, boxes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The best boxes of one level of one image, with their scores and classes."""
    scores = (probability * central).sqrt()
    if limits.score_threshold is None:
        passing = (probability > limits.class_threshold).nonzero()
    else:
        passing = (scores > limits.score_threshold).nonzero()
    own = scores[passing[:, 0], passing[:, 1]]
    own, order = own.topk(min(limits.pre_nms_topk, len(own)))
    place, classes = passing[order].unbind(1)
    return boxes[place], own, classes
