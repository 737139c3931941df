"""Large photographs looked at in overlapping tiles, so that small objects reach the model at their own size.

Source: F. C. Akyon, S. O. Altinuc, A. Temizel: Slicing Aided Hyper Inference, ICIP 2022 (arXiv 2202.06934): overlapping
slices and the whole image, joined by one more NMS.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from detectron2.layers import batched_nms
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from explorer.engine.config_facts import ModelInput
from explorer.engine.windows import Cut, Window

MERGE_IOU = 0.5
"""Boxes of one class that overlap by more are of one object."""
_EDGE_PX = 4
"""A box that ends so near to a tile's edge may have been cut there."""


class TiledModel(nn.Module):
    """Takes and gives what a detectron2 model does, and looks at each photograph in tiles.

    Its inputs are photographs at their own size. Each tile is prepared as the model's photographs are; the whole
    photograph is looked at as well, at most at a tile's size, for objects that no tile shows whole. Masks are left out.
    """

    def __init__(self, model: nn.Module, model_input: ModelInput, cut: Cut) -> None:
        """Wraps a model.

        Args:
            model: what runs on one prepared image: a detectron2 model, or its fast way.
            model_input: how images are prepared for it.
            cut: how photographs are cut.
        """
        super().__init__()
        self.model, self.cut, self._input = model, cut, model_input

    def forward(self, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Detects in each photograph.

        Args:
            inputs: each with `image` `(3, H, W)`, not resized, in the model's channel order.
        """
        return [{"instances": self._one(sample["image"])} for sample in inputs]

    def _one(self, image: Tensor) -> Instances:
        height, width = image.shape[1:]
        windows = self.cut.windows(height, width)
        if not windows:
            return self._look(image, self._input)
        found = [self._look(image, self._shrunk(windows[0]))]
        found[0].cut = torch.zeros(len(found[0]), dtype=torch.bool, device=found[0].scores.device)
        overlaps = shared(windows)
        for top, left, bottom, right in windows:
            part = self._look(image[:, top:bottom, left:right], self._input)
            boxes = part.pred_boxes.tensor
            next_door, cut = cut_boxes(boxes, (top, left, bottom, right), (height, width), overlaps)
            moved = Instances((height, width), **_columns(part, boxes + boxes.new_tensor([left, top, left, top])))
            moved.cut = cut
            found.append(moved[~next_door])
        return merge(found)

    def _shrunk(self, window: Window) -> ModelInput:
        """How the whole photograph is prepared: one that the model would take at its own size shrinks to a tile's."""
        if self._input.min_size:
            return self._input
        longest = round(self._input.zoom * max(window[2] - window[0], window[3] - window[1]))
        return replace(self._input, min_size=longest, max_size=longest)

    def _look(self, image: Tensor, model_input: ModelInput) -> Instances:
        ordered = image if self._input.channel_order == "BGR" else image.flip(0)
        pixels = np.ascontiguousarray(ordered.permute(1, 2, 0).cpu().numpy().astype(np.uint8))
        output = self.model([model_input(pixels)])[0]
        if "panoptic_seg" in output:
            raise ValueError(
                "Panoptic segments cannot be merged across tiles: turn tiles off, or use a model for boxes or masks."
            )
        instances: Instances = output["instances"]
        return Instances(instances.image_size, **_columns(instances, instances.pred_boxes.tensor))


def _columns(instances: Instances, boxes: Tensor) -> dict[str, Any]:
    return {"pred_boxes": Boxes(boxes), "scores": instances.scores, "pred_classes": instances.pred_classes}


def shared(windows: Sequence[Window]) -> tuple[int, int]:
    """Returns by how many pixels neighbours overlap at least, downwards and to the right."""
    overlaps = []
    for axis in (0, 1):
        starts, side = sorted({window[axis] for window in windows}), windows[0][axis + 2] - windows[0][axis]
        overlaps.append(min((side - (after - before) for before, after in itertools.pairwise(starts)), default=side))
    return overlaps[0], overlaps[1]


def cut_boxes(
    boxes: Tensor, window: Window, image_size: tuple[int, int], overlaps: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Says which boxes of a tile end at one of its edges inside the photograph.

    One that is no longer than the overlap lies in the neighbour as far as this tile shows it, and goes on there.

    Args:
        boxes: `(n, 4)`, `x1, y1, x2, y2` in pixels of the tile.
        window: where the tile lies.
        image_size: `(height, width)` of the photograph.
        overlaps: pixels that neighbours have in common at least, downwards and to the right.

    Returns:
        Two `(n,)` booleans: boxes that a neighbour shows as well or better, and the other ones that are cut.
    """
    top, left, bottom, right = window
    next_door = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    cut = next_door.clone()
    for axis, start, end, length in ((0, left, right, image_size[1]), (1, top, bottom, image_size[0])):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        at_edge = ((low < _EDGE_PX) & (start > 0)) | ((high > end - start - _EDGE_PX) & (end < length))
        next_door |= at_edge & (high - low + _EDGE_PX <= overlaps[1 - axis])
        cut |= at_edge
    return next_door, cut & ~next_door


def merge(found: Sequence[Instances]) -> Instances:
    """Joins what was found in the whole photograph and in its tiles, in the photograph's pixels, best first.

    Boxes of one class go through NMS. What a tile shows of an object that it cuts goes too, where a box of its class
    that is not cut covers most of it.

    Args:
        found: each with boxes, scores, classes and whether a tile's edge cuts the box (`cut`).
    """
    joined: Instances = Instances.cat(list(found))
    joined = joined[batched_nms(joined.pred_boxes.tensor, joined.scores, joined.pred_classes, MERGE_IOU)]
    boxes, classes = joined.pred_boxes.tensor, joined.pred_classes
    covered = _mostly_in(boxes) & (classes[:, None] == classes) & ~joined.cut
    result: Instances = joined[~(joined.cut & covered.any(1))]
    result.remove("cut")
    return result


def _mostly_in(boxes: Tensor) -> Tensor:
    """Says of each pair `(n, n)` whether more than half of the first box lies in the second, which is larger."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    corners = torch.maximum(boxes[:, None, :2], boxes[:, :2]), torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    common = (corners[1] - corners[0]).clamp(min=0).prod(2)
    return (common > 0.5 * areas[:, None]) & (areas > areas[:, None])
