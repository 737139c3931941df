"""RoIAlign on a CPU as weighted sums of table rows.

A channels-last map is a table with one row of channels per cell. Each bin of a box is a weighted sum of such rows,
which is what `embedding_bag` computes, reading whole rows where RoIAlign's own loop over channels reads single numbers
far apart. Several samples of a bin read the same cells: their weights are added first, so that each cell is read once.
Equal to torchvision's `roi_align` but for the order of additions.

Source: He et al., Mask R-CNN (arXiv 1703.06870); torchvision 0.29, `ops/csrc/ops/cpu/roi_align_kernel.cpp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels, convert_boxes_to_pooler_format
from detectron2.structures import Boxes
from torch import Tensor, nn

from explorer.heads.pooling import ScaleAdaptivePooler

_MOST_ROWS = 1 << 22
"""Rows of one call, so that indices and weights stay within tens of megabytes."""


class BagPooler(nn.Module):
    """Stands where an `ROIPooler` of aligned RoIAlign stood."""

    def __init__(self, original: ROIPooler) -> None:
        super().__init__()
        self._original: Any = original

    @staticmethod
    def takes(pooler: object) -> bool:
        """Says whether a pooler is one that this can stand for."""
        return isinstance(pooler, ROIPooler) and all(
            isinstance(level, ROIAlign) and level.aligned for level in pooler.level_poolers
        )

    def forward(
        self, maps: list[Tensor], box_lists: list[Boxes], image_sizes: Sequence[tuple[int, int]] | None = None
    ) -> Tensor:
        """Pools boxes from the maps that fit their size.

        Args:
            maps: `(batch, channels, h, w)` by level.
            box_lists: boxes in pixels of the network's input, by image.
            image_sizes: `(height, width)` of the resized images without their padding, where the level depends on it.

        Returns:
            `(boxes, channels, *output_size)`, channels-last in memory.
        """
        own, boxes = self._original, convert_boxes_to_pooler_format(box_lists)
        if isinstance(own, ScaleAdaptivePooler):
            assert image_sizes is not None
            levels = own.assign(box_lists, image_sizes)
        elif len(own.level_poolers) == 1:
            levels = torch.zeros(len(boxes), dtype=torch.int64)
        else:
            levels = assign_boxes_to_levels(
                box_lists, own.min_level, own.max_level, own.canonical_box_size, own.canonical_level
            )
        out = maps[0].new_zeros(len(boxes), *own.output_size, maps[0].shape[1])
        for level, (features, pooler) in enumerate(zip(maps, own.level_poolers, strict=True)):
            chosen = (levels == level).nonzero()[:, 0]
            if len(chosen):
                pool_into(out, chosen, features, boxes[chosen], pooler)
        return out.permute(0, 3, 1, 2)


def pool_into(out: Tensor, rows: Tensor, features: Tensor, boxes: Tensor, align: ROIAlign) -> None:
    """Pools boxes from one map into `out[rows]`.

    Args:
        out: `(…, out_h, out_w, channels)`, filled in place.
        rows: `(n,)` indices into `out`.
        features: `(batch, channels, h, w)`.
        boxes: `(n, 5)`: index of the image, then `x1, y1, x2, y2` in pixels of the network's input.
        align: what to stand for.
    """
    batch, channels, height, width = features.shape
    table = features.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    corners = boxes[:, 1:] * align.spatial_scale - 0.5
    y = Axis.of(corners[:, 1], corners[:, 3], height, out.shape[1], align.sampling_ratio)
    x = Axis.of(corners[:, 0], corners[:, 2], width, out.shape[2], align.sampling_ratio)
    first = boxes[:, 0].long() * (height * width)
    pairs, kinds = torch.unique(torch.stack((y.cells, x.cells), 1), dim=0, return_inverse=True)
    for kind, (cells_y, cells_x) in enumerate(pairs.tolist()):
        alike = (kinds == kind).nonzero()[:, 0]
        for part in alike.split(max(1, _MOST_ROWS // (cells_y * cells_x * out.shape[1] * out.shape[2]))):
            at_y, weights_y = y.taps(part, cells_y)
            at_x, weights_x = x.taps(part, cells_x)
            index = (first[part, None, None] + at_y * width)[:, :, None, :, None] + at_x[:, None, :, None, :]
            weight = weights_y[:, :, None, :, None] * weights_x[:, None, :, None, :]
            pooled = F.embedding_bag(
                index.flatten(0, 2).flatten(1), table, per_sample_weights=weight.flatten(0, 2).flatten(1), mode="sum"
            )
            out.index_copy_(0, rows[part], pooled.view(len(part), *out.shape[1:]))


@dataclass(frozen=True, eq=False)
class Axis:
    """Where the samples of boxes lie along one axis of a map.

    Attributes:
        places: `(n, bins, samples)`: coordinates in cells; those past the last of a box repeat it.
        shares: `(n, 1, samples)` or `(n, bins, samples)`: what each sample counts in its bin's mean; 0 outside the map.
        cells: `(n,)`: how many neighbouring cells the samples of a bin read at most.
        size: cells of the map.
    """

    places: Tensor
    shares: Tensor
    cells: Tensor
    size: int

    @classmethod
    def of(cls, start: Tensor, end: Tensor, size: int, bins: int, ratio: int) -> Axis:
        """Places the samples of boxes from `start` to `end`, in cells, as RoIAlign does.

        A bin has `ratio` samples, or for 0 one per begun cell; a box without extent then has none, and zeros as mean.
        """
        step = (end - start) / bins
        samples = torch.full_like(step, ratio).long() if ratio > 0 else step.ceil().clamp(min=0).long()
        number = torch.arange(max(1, int(samples.max())))
        fraction = (number.clamp(max=(samples - 1).clamp(min=0)[:, None]) + 0.5) / samples.clamp(min=1)[:, None]
        bin_start = start[:, None] + torch.arange(bins) * step[:, None]
        places = bin_start[:, :, None] + (fraction * step[:, None])[:, None, :]
        counted = (number < samples[:, None])[:, None, :] & (places >= -1.0) & (places <= size)
        shares = counted / samples.clamp(min=1)[:, None, None]
        places = places.clamp(0, size - 1)
        span = places[:, :, -1].floor() - places[:, :, 0].floor()
        return cls(places, shares, span.amax(1).long() + 2, size)

    def taps(self, boxes: Tensor, cells: int) -> tuple[Tensor, Tensor]:
        """Returns the cells that each bin of the chosen boxes reads, `(n, bins, cells)`, and their weights."""
        places = self.places[boxes]
        window = places[:, :, :1].floor() + torch.arange(cells)
        near = (1 - (places[:, :, :, None] - window[:, :, None, :]).abs()).clamp(min=0)
        weights = (near * self.shares[boxes][:, :, :, None]).sum(2)
        return window.long().clamp(max=self.size - 1), weights
