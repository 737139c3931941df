"""The dense detectors that can be followed, read alike: RetinaNet and FCOS of detectron2, and CenterMask's FCOS.

The network's parts are called as the detectors call them, with the same operations on the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.modeling.meta_arch import fcos, retinanet
from detectron2.structures import Boxes
from torch import nn

from explorer.autopsy.chain import Chain
from explorer.autopsy.dense.chain import FCOS, RETINANET
from explorer.autopsy.dense.stages import Assignment, DenseLimits, Places
from explorer.features.assignment import anchor_owners, location_owners
from explorer.heads import CenterROIHeads
from explorer.heads import fcos as centermask
from explorer.heads.fcos_detections import decoded
from explorer.heads.fcos_targets import LocationAssignment, locations
from explorer.scoring.nearby import ious_with
from explorer.types import Floats, Floats32, Ints


class Reader(Protocol):
    """One detector, read.

    Attributes:
        chain: its stages.
        level_names: the maps that its head looks at, finest first.
        limits: what candidates must pass.
    """

    chain: Chain
    level_names: tuple[str, ...]
    limits: DenseLimits

    def read(self, features: Mapping[str, torch.Tensor]) -> tuple[Places, Assignment]:
        """Runs the head on the pyramid of one image."""


def reader_of(model: nn.Module) -> Reader | None:
    """Reads a detector; None if it is of no kind that can be followed."""
    if isinstance(model, GeneralizedRCNN):
        generator, heads = model.proposal_generator, model.roi_heads
        plain = type(generator) is centermask.FCOS and type(heads) is CenterROIHeads
        return _CenterMask(model) if plain else None
    if type(model) is fcos.FCOS:
        return _Dense(model, FCOS)
    if type(model) is retinanet.RetinaNet and cast("Any", model.anchor_generator).box_dim == 4:
        return _Dense(model, RETINANET)
    return None


class _Dense:
    """detectron2's RetinaNet and FCOS."""

    def __init__(self, model: Any, chain: Chain) -> None:
        self._model, self.chain = model, chain
        self.level_names = tuple(model.head_in_features)
        self.limits = DenseLimits(
            model.test_score_thresh,
            False,
            model.test_topk_candidates,
            model.test_nms_thresh,
            model.max_detections_per_image,
        )

    def read(self, features: Mapping[str, torch.Tensor]) -> tuple[Places, Assignment]:
        """Does as `forward_inference` does, before boxes are chosen."""
        model = self._model
        maps = [features[name] for name in self.level_names]
        predictions, anchors = model.head(maps), model.anchor_generator(maps)
        widths = [model.num_classes, 4, 1][: len(predictions)]
        logits, deltas, *centerness = model._transpose_dense_predictions(predictions, widths)
        class_scores = [level[0].sigmoid() for level in logits]
        central = [level[0].sigmoid() for level in centerness[0]] if centerness else None
        boxes = [
            model.box2box_transform.apply_deltas(level[0], own.tensor)
            for level, own in zip(deltas, anchors, strict=True)
        ]
        places = _places([own.tensor for own in anchors], class_scores, central, boxes)
        return places, _ByAnchor(model, anchors, self.chain)


@dataclass(frozen=True, eq=False)
class _ByAnchor:
    """The rule of detectron2's RetinaNet and FCOS."""

    model: Any
    anchors: Sequence[Boxes]
    chain: Chain

    def objects_of(self, boxes_xyxy: Floats) -> Ints:
        return anchor_owners(self.model, self.anchors, boxes_xyxy)

    def levels_of(self, boxes_xyxy: Floats) -> Ints:
        if self.chain is FCOS:
            sides = [float(own.tensor[0, 2] - own.tensor[0, 0]) for own in self.anchors if len(own)]
            return _by_size(boxes_xyxy, [8 * side for side in sides[:-1]])  # as `_match_anchors` has it
        cells = torch.cat([own.tensor for own in self.anchors]).cpu().numpy()
        levels = np.repeat(np.arange(len(self.anchors)), [len(own) for own in self.anchors])
        return np.array([levels[ious_with(box, cells).argmax()] for box in boxes_xyxy], dtype=np.int64)


class _CenterMask:
    """CenterMask and Panoptic-CenterMask: their boxes are FCOS's."""

    def __init__(self, model: Any) -> None:
        self._fcos: centermask.FCOS = model.proposal_generator
        self.chain = FCOS
        self.level_names = self._fcos.in_features
        limits, asked = self._fcos.limits[False], self._fcos.test_score_thresh
        self.limits = DenseLimits(
            limits.class_threshold if asked is None else asked,
            asked is None,
            limits.pre_nms_topk,
            limits.nms_iou,
            self._fcos.max_detections_per_image,
        )

    def read(self, features: Mapping[str, torch.Tensor]) -> tuple[Places, Assignment]:
        """Does as `FCOS.forward` does, before boxes are chosen."""
        output, strides = self._fcos.fcos_head([features[name] for name in self.level_names]), self._strides
        class_scores, central, boxes = zip(
            *([part[0] for part in decoded(*maps)] for maps in zip(*output, strides, strict=True)), strict=True
        )
        sizes = [(int(level.shape[-2]), int(level.shape[-1])) for level in output.logits]
        cells = []
        for size, stride in zip(sizes, strides, strict=True):
            places = locations(size, stride, boxes[0].device)
            cells.append(torch.cat((places - stride / 2, places + stride / 2), dim=1))
        return _places(cells, class_scores, central, boxes), _ByLocation(self._fcos.assignment, sizes)

    @property
    def _strides(self) -> tuple[int, ...]:
        return self._fcos.assignment.strides


@dataclass(frozen=True, eq=False)
class _ByLocation:
    """The rule of our FCOS."""

    rule: LocationAssignment
    sizes: Sequence[tuple[int, int]]

    def objects_of(self, boxes_xyxy: Floats) -> Ints:
        return location_owners(self.rule, self.sizes, boxes_xyxy)

    def levels_of(self, boxes_xyxy: Floats) -> Ints:
        return _by_size(boxes_xyxy, [high for _, high in self.rule.ranges[:-1]])


def _by_size(boxes_xyxy: Floats, ends: Sequence[float]) -> Ints:
    """The level whose range of sizes has a box's largest distance, as seen from its centre."""
    distances = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1, initial=0) / 2
    levels: Ints = np.searchsorted(ends, distances)
    return levels


def _places(
    anchors: Sequence[torch.Tensor],
    class_scores: Sequence[torch.Tensor],
    centerness: Sequence[torch.Tensor] | None,
    boxes: Sequence[torch.Tensor],
) -> Places:
    """Lays levels end to end: `(n, 4)`, `(n, K)`, `(n, 1)` and `(n, 4)` of each."""
    levels = np.repeat(np.arange(len(anchors)), [len(level) for level in anchors])
    cells, probabilities, corners = (_joined(column) for column in (anchors, class_scores, boxes))
    if centerness is None:
        return Places(levels, cells, probabilities, None, probabilities, corners)
    scores = [torch.sqrt(own * central) for own, central in zip(class_scores, centerness, strict=True)]
    return Places(levels, cells, probabilities, _joined(centerness)[:, 0], _joined(scores), corners)


def _joined(levels: Sequence[torch.Tensor]) -> Floats32:
    joined: Floats32 = torch.cat(list(levels)).cpu().numpy()
    return joined
