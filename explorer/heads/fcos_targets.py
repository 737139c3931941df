"""Which location of the pyramid answers for which object.

Source: FCOS (arXiv 1904.01355, Section 3.1: locations, distances, ranges of size; Section 3.2: centerness); sampling of
centres is an improvement of its authors that CenterMask has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from detectron2.structures import Instances
from torch import Tensor

LARGEST_SIZE_PX = 1e8
"""End of the last level's range of sizes."""


class Targets(NamedTuple):
    """What the head should say at the locations of one level, or of all.

    Attributes:
        classes: `(n,)`, the class, or the number of classes for background.
        distances: `(n, 4)`, left, top, right, bottom, in strides; of any value in the background.
    """

    classes: Tensor
    distances: Tensor


class LocationAssignment:
    """The rule that gives locations their objects.

    An object goes to the level whose range holds the largest of its four distances, there to the locations inside its
    box and, with a radius, near its centre. Where several objects want a location, the smallest gets it.
    """

    def __init__(
        self, strides: Sequence[int], size_limits: Sequence[float], classes: int, center_radius: float | None = 1.5
    ) -> None:
        """Makes the rule.

        Args:
            strides: of the levels.
            size_limits: between the ranges of neighbouring levels, in pixels.
            classes: number of object classes.
            center_radius: how far from the centre, in strides, locations are sampled; None for the whole box.

        Raises:
            ValueError: there is not one limit between each two levels.
        """
        if len(size_limits) != len(strides) - 1:
            raise ValueError(
                f"MODEL.FCOS.SIZES_OF_INTEREST has {len(size_limits)} limits for {len(strides)} levels: give one "
                f"between each two, {len(strides) - 1}."
            )
        self.strides, self.classes, self.center_radius = tuple(strides), classes, center_radius
        self.ranges = tuple(zip((-1.0, *size_limits), (*size_limits, LARGEST_SIZE_PX), strict=True))

    @torch.no_grad()
    def __call__(self, sizes: Sequence[Sequence[int]], objects: Sequence[Instances]) -> list[Targets]:
        """Assigns the locations of a batch.

        Args:
            sizes: `(h, w)` of the map of each level.
            objects: with `gt_boxes` (in pixels of the network's input) and `gt_classes`, one per image.

        Returns:
            By level, for all images one after the other, each by rows.
        """
        by_image = [self._of_image(sizes, one) for one in objects]
        return [
            Targets(torch.cat([level.classes for level in own]), torch.cat([level.distances for level in own]))
            for own in zip(*by_image, strict=True)
        ]

    def _of_image(self, sizes: Sequence[Sequence[int]], objects: Instances) -> list[Targets]:
        boxes = objects.gt_boxes.tensor
        targets = []
        for size, stride, (low, high) in zip(sizes, self.strides, self.ranges, strict=True):
            places = locations(size, stride, boxes.device)
            distances = _distances(places, boxes)  # (n, objects, 4)
            largest = distances.amax(2)
            wanted = self._near(places, boxes, distances, stride) & (largest >= low) & (largest <= high)
            targets.append(self._smallest(wanted, distances / stride, objects))
        return targets

    def _near(self, places: Tensor, boxes: Tensor, distances: Tensor, stride: int) -> Tensor:
        """Says which locations lie inside which box, and near its centre, `(n, objects)`."""
        inside = distances.amin(2) > 0
        if self.center_radius is None:
            return inside
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        offsets = (places[:, None] - centres[None]).abs().amax(2)
        return inside & (offsets < self.center_radius * stride)

    def _smallest(self, wanted: Tensor, distances: Tensor, objects: Instances) -> Targets:
        if not len(objects):
            return Targets(
                objects.gt_classes.new_full((len(wanted),), self.classes), distances.new_zeros(len(wanted), 4)
            )
        areas = objects.gt_boxes.area().expand_as(wanted).masked_fill(~wanted, torch.inf)
        area, chosen = areas.min(dim=1)
        classes = objects.gt_classes[chosen].masked_fill(area.isinf(), self.classes)
        return Targets(classes, distances[torch.arange(len(chosen), device=chosen.device), chosen])


def locations(size: Sequence[int], stride: int, device: torch.device | None = None) -> Tensor:
    """Returns the `(x, y)` of each cell of an `(h, w)` map in pixels of the network's input, by rows, `(h * w, 2)`."""
    y, x = (torch.arange(cells, dtype=torch.float32, device=device) * stride + stride // 2 for cells in size)
    return torch.stack((x.repeat(len(y)), y.repeat_interleave(len(x))), dim=1)


def centerness_of(distances: Tensor) -> Tensor:
    """Returns how central locations are in their boxes: 1 in the middle, 0 on a side. `(n, 4)` to `(n,)`."""
    horizontal, vertical = distances[:, [0, 2]], distances[:, [1, 3]]
    return (horizontal.amin(1) / horizontal.amax(1) * vertical.amin(1) / vertical.amax(1)).sqrt()


def _distances(places: Tensor, boxes: Tensor) -> Tensor:
    """Left, top, right, bottom from `(n, 2)` locations to the sides of `(m, 4)` boxes, in pixels, `(n, m, 4)`."""
    return torch.cat((places[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - places[:, None]), dim=2)
