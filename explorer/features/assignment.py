"""At which level of its pyramid a detector looks for an object, by the rule that it was trained with.

R-CNNs pool a box from the level that its area asks for. RetinaNet gives objects to anchors, FCOS and CenterMask to
locations; an object's level is the one with most of its places.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from detectron2.modeling.meta_arch import FCOS, RetinaNet
from detectron2.modeling.poolers import assign_boxes_to_levels
from detectron2.modeling.roi_heads import StandardROIHeads
from detectron2.structures import Boxes, ImageList, Instances
from torch import nn

from explorer.features.layers import eager
from explorer.heads import fcos
from explorer.heads.fcos_targets import LocationAssignment
from explorer.types import Floats, Frame, Ints

NOWHERE = -1
"""What stands for no level and for no object."""


def level_names(model: nn.Module) -> tuple[str, ...]:
    """Returns the maps at which a model looks for objects, finest first; none for kinds that are not known.

    Known are R-CNNs with `StandardROIHeads`, RetinaNet, FCOS and CenterMask.
    """
    model = eager(model)
    if has_anchors(model):
        return tuple(cast("Any", model).head_in_features)
    if (generator := location_generator(model)) is not None:
        return tuple(generator.in_features)
    heads = box_heads(model)
    return () if heads is None else tuple(heads.box_in_features)


def assigned_levels(model: nn.Module, frame: Frame, boxes_xyxy: npt.ArrayLike) -> Ints:
    """Returns the level of each object of one image, as a position in `level_names`; -1 where nothing learns it.

    FCOS gives a location that several objects want to the smallest: the others may be left without any.

    Args:
        model: a detectron2 detector that has `level_names`.
        frame: of the network's input, or of any map of the same image.
        boxes_xyxy: `(N, 4)`, all objects of the image, in its pixels.
    """
    model = eager(model)
    boxes = frame.to_input(np.reshape(boxes_xyxy, (-1, 4)))
    if has_anchors(model):
        anchors = _anchors(model, frame.padded_size)
        counts, own = [len(each) for each in anchors], anchor_owners(model, anchors, boxes)
    elif (generator := location_generator(model)) is not None:
        sizes = [_cells(frame.padded_size, stride) for stride in generator.assignment.strides]
        counts, own = [height * width for height, width in sizes], location_owners(generator.assignment, sizes, boxes)
    else:
        return _pooled(cast("StandardROIHeads", box_heads(model)), boxes)
    levels, taken = np.repeat(np.arange(len(counts)), counts), own != NOWHERE
    votes = np.zeros((len(boxes), len(counts)), dtype=np.int64)
    np.add.at(votes, (own[taken], levels[taken]), 1)
    return np.where(votes.any(axis=1), votes.argmax(axis=1), NOWHERE)


def anchor_owners(model: Any, anchors: Sequence[Boxes], boxes_xyxy: Floats) -> Ints:
    """Returns the object that each anchor learns, a row of `(N, 4)` boxes in pixels of the input; -1 for none.

    Source: detectron2's `RetinaNet.label_anchors` and `FCOS.label_anchors`, which is called. Its FCOS represents
    locations by anchors as large as their cells.
    """
    first = model.num_classes + 1  # so that no object is taken for background
    (labels,), _ = model.label_anchors(anchors, [_instances(boxes_xyxy, first, anchors[0].device)])
    own: Ints = labels.cpu().numpy() - first
    return np.where(own < 0, NOWHERE, own)


def location_owners(rule: LocationAssignment, sizes: Sequence[tuple[int, int]], boxes_xyxy: Floats) -> Ints:
    """Returns the object that each location of maps of `(h, w)` learns, as `anchor_owners` does."""
    rule = copy(rule)
    rule.classes = len(boxes_xyxy)  # what it calls background, with an object's row for its class
    targets = rule(sizes, [_instances(boxes_xyxy, 0, torch.device("cpu"))])
    own: Ints = torch.cat([level.classes for level in targets]).numpy()
    return np.where(own == len(boxes_xyxy), NOWHERE, own)


def input_frame(model: nn.Module, image_size: tuple[int, int], resized_size: tuple[int, int]) -> Frame:
    """Returns how an image lies in the network's input, which a model pads as its backbone asks for."""
    backbone: Any = eager(model).backbone
    resized = torch.empty(0, *resized_size)
    padded = ImageList.from_tensors([resized], backbone.size_divisibility, 0.0, backbone.padding_constraints).tensor
    return Frame(image_size, resized_size, (padded.shape[-2], padded.shape[-1]))


def has_anchors(model: nn.Module) -> bool:
    """Whether it is detectron2's RetinaNet or FCOS."""
    return isinstance(model, (RetinaNet, FCOS))


def location_generator(model: nn.Module) -> fcos.FCOS | None:
    """The part of a CenterMask that finds boxes."""
    generator = getattr(model, "proposal_generator", None)
    return generator if isinstance(generator, fcos.FCOS) else None


def box_heads(model: nn.Module) -> StandardROIHeads | None:
    """The part of an R-CNN that classifies boxes from pooled features."""
    heads = getattr(model, "roi_heads", None)
    known = isinstance(heads, StandardROIHeads) and not isinstance(heads.box_predictor, nn.ModuleList)
    return heads if known else None


def _pooled(heads: StandardROIHeads, boxes_xyxy: Floats) -> Ints:
    pooler = heads.box_pooler
    if len(pooler.level_poolers) == 1 or not len(boxes_xyxy):
        return np.zeros(len(boxes_xyxy), dtype=np.int64)
    rule = (pooler.min_level, pooler.max_level, pooler.canonical_box_size, pooler.canonical_level)
    levels: Ints = assign_boxes_to_levels([Boxes(torch.from_numpy(boxes_xyxy).float())], *rule).numpy()
    return levels


def _anchors(model: Any, padded_size: tuple[int, int]) -> list[Boxes]:
    device = next(model.parameters()).device
    strides = [model.backbone.output_shape()[name].stride for name in model.head_in_features]
    maps = [torch.empty(1, 1, *_cells(padded_size, stride), device=device) for stride in strides]
    anchors: list[Boxes] = model.anchor_generator(maps)
    return anchors


def _cells(padded_size: tuple[int, int], stride: int) -> tuple[int, int]:
    height, width = padded_size
    return -(-height // stride), -(-width // stride)


def _instances(boxes_xyxy: Floats, first: int, device: torch.device) -> Instances:
    """Objects to assign, whose classes are their rows, from `first` on."""
    objects = Instances((0, 0))
    objects.gt_boxes = Boxes(torch.from_numpy(boxes_xyxy.astype(np.float32)).to(device))
    objects.gt_classes = first + torch.arange(len(boxes_xyxy), device=device)
    return objects
