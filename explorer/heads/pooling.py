"""From which map of the pyramid a box is pooled.

Source: CenterMask (arXiv 1911.06667, Section 3.2, Equation 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels, convert_boxes_to_pooler_format
from detectron2.structures import Boxes
from torch import Tensor

Criterion = Literal["ratio", "area"]


class ScaleAdaptivePooler(ROIPooler):
    """RoIAlign from the map that fits the share of the image that a box takes.

    FPN asks for a box's area alone, so that on small images few boxes go to the coarse maps. CenterMask asks for the
    ratio of its area to the image's: boxes of half the image and more go to the coarsest map, of a quarter to the next.
    """

    def __init__(self, *args: Any, criterion: Criterion = "ratio", **kwargs: Any) -> None:
        """Makes the pooler.

        Args:
            *args: as `ROIPooler` takes them.
            criterion: `ratio`, or `area` for FPN's rule.
            **kwargs: as `ROIPooler` takes them.

        Raises:
            ValueError: there is no such criterion.
        """
        super().__init__(*args, **kwargs)
        if criterion not in (allowed := get_args(Criterion)):
            raise ValueError(
                f"MODEL.ROI_MASK_HEAD.ASSIGN_CRITERION is {criterion!r}; choose one of {', '.join(allowed)}."
            )
        self.criterion = criterion

    def forward(self, x: list[Tensor], box_lists: list[Boxes], image_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Pools boxes.

        Args:
            x: `(batch, channels, h, w)` by level, finest first.
            box_lists: in pixels of the network's input, by image.
            image_sizes: `(height, width)` of the resized images without their padding.

        Returns:
            `(boxes, channels, *output_size)`.
        """
        levels, boxes = self.assign(box_lists, image_sizes), convert_boxes_to_pooler_format(box_lists)
        pooled = x[0].new_zeros(len(boxes), x[0].shape[1], *self.output_size)
        for level, (features, pool) in enumerate(zip(x, self.level_poolers, strict=True)):
            (chosen,) = (levels == level).nonzero(as_tuple=True)
            pooled = pooled.index_put((chosen,), pool(features, boxes[chosen]).to(pooled.dtype))
        return pooled

    def assign(self, box_lists: list[Boxes], image_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Returns the index of the map that each box is pooled from, `(boxes,)` int64; arguments as of `forward`."""
        if self.criterion == "area":
            found: Tensor = assign_boxes_to_levels(
                box_lists, self.min_level, self.max_level, self.canonical_box_size, self.canonical_level
            )
            return found
        shares = [
            boxes.area() / (height * width) for boxes, (height, width) in zip(box_lists, image_sizes, strict=True)
        ]
        levels = (self.max_level + torch.cat(shares).log2()).ceil()  # an empty box gives minus infinity
        chosen: Tensor = levels.clamp(self.min_level, self.max_level).long() - self.min_level
        return chosen
