"""Frozen result types that every room shares. This module knows nobody."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES = ("small", "medium", "large")
"""COCO's names of sizes."""
SMALL_AREA_PX = 32**2
"""Objects with an area below this many square pixels are COCO's "small"."""
LARGE_AREA_PX = 96**2
"""Objects with an area of at least this many square pixels are COCO's "large"."""
RANDOM, PARTIAL = "random weights", "partial weights"
"""What a model's name is followed by, in brackets, whose weights were not loaded, or not wholly."""


def size_names(areas_px: npt.ArrayLike) -> list[str]:
    """Names the size of each area `(N,)`, in square pixels of the original image: one of `SIZES`.

    Every object has one name. AP by size is another matter: COCO counts an area of exactly 32² in small and in medium
    (`explorer.scoring.sizes`).
    """
    places = np.searchsorted([SMALL_AREA_PX, LARGE_AREA_PX], np.asarray(areas_px, np.float64), side="right")
    return [SIZES[place] for place in places.tolist()]


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found in one image, best first, in the frame of the original (EXIF-rotated) image.

    Attributes:
        boxes_xyxy: `(N, 4)` float32, absolute pixels, `x2` and `y2` exclusive.
        scores: `(N,)` float32 in [0, 1].
        classes: `(N,)` int64, indices into `class_names`.
        class_names: names by class index.
        image_size: `(height, width)` in pixels.
        masks: one compressed COCO RLE per object (`{"size": [h, w], "counts": bytes}`), or None for box detectors.
        mask_scores: `(N,)` float32, by which masks are ranked, of detectors that score masks apart from boxes; None
            for those whose masks have the scores of their boxes.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    masks: tuple[Mapping[str, Any], ...] | None = None
    mask_scores: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def areas_px(self) -> npt.NDArray[np.float32]:
        """Box areas in square pixels of the original image, `(N,)`."""
        widths_heights = self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]
        areas: npt.NDArray[np.float32] = widths_heights.prod(axis=1)
        return areas

    def keep(self, mask: npt.NDArray[np.bool_]) -> Detections:
        """Returns the detections where the `(N,)` boolean `mask` is true, in the same order."""
        masks = None if self.masks is None else tuple(m for m, kept in zip(self.masks, mask, strict=True) if kept)
        return Detections(
            self.boxes_xyxy[mask],
            self.scores[mask],
            self.classes[mask],
            self.class_names,
            self.image_size,
            masks,
            None if self.mask_scores is None else self.mask_scores[mask],
        )

    def count_by_size(self) -> dict[str, int]:
        """Counts objects by COCO size of their box: `{"small": …, "medium": …, "large": …}`."""
        counted = Counter(size_names(self.areas_px))
        return {size: counted[size] for size in SIZES}


@dataclass(frozen=True, eq=False)
class Panoptic:
    """A panoptic segmentation of one image.

    Attributes:
        segment_ids: `(height, width)` int32, 0 where nothing was assigned.
        segments: one mapping per segment with `id`, `category` (name), `is_thing` and `score` (things only).
    """

    segment_ids: npt.NDArray[np.int32]
    segments: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds by stage, in the order in which the stages ran."""

    stages_s: Mapping[str, float]

    @property
    def total_s(self) -> float:
        return sum(self.stages_s.values())


@dataclass(frozen=True)
class Metrics:
    """Evaluation figures in percent, by task (`bbox`, `segm`, `panoptic_seg`) and COCO name (`AP`, `APs`, `PQ`, …)."""

    values: Mapping[str, Mapping[str, float]]
    images: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """Where the cells of a feature map lie in the photo.

    A photo is resized, and then padded on the right and below, before a network sees it; a map has one cell per
    `stride` pixels of that. Cell `(row, column)` covers the input's pixels from `column * stride` to
    `(column + 1) * stride`, as RoIAlign has it. (Its receptive field is larger, and the field's centre may lie up to
    half a cell off: `explorer.receptive_field` gives it exactly.)

    Attributes:
        image_size: `(height, width)` of the photo in pixels.
        resized_size: `(height, width)` of the resized photo; it fills the top left of the input.
        padded_size: `(height, width)` of the network's input.
        stride_yx: input pixels per cell, downwards and to the right.
        first_cell: `(row, column)` at which the map starts; beyond `(0, 0)` for a part that was cut out of a map.
    """

    image_size: tuple[int, int]
    resized_size: tuple[int, int]
    padded_size: tuple[int, int]
    stride_yx: tuple[float, float] = (1.0, 1.0)
    first_cell: tuple[int, int] = (0, 0)

    @property
    def scale_yx(self) -> tuple[float, float]:
        """Input pixels per pixel of the photo."""
        return self.resized_size[0] / self.image_size[0], self.resized_size[1] / self.image_size[1]

    @property
    def cell_px(self) -> tuple[float, float]:
        """`(height, width)` of a cell in pixels of the photo."""
        return self.stride_yx[0] / self.scale_yx[0], self.stride_yx[1] / self.scale_yx[1]

    @property
    def content_cells(self) -> tuple[int, int]:
        """`(rows, columns)` of cells that see the photo; those beyond lie in the padding altogether."""
        rows, columns = (math.ceil(size / step) for size, step in zip(self.resized_size, self.stride_yx, strict=True))
        return rows - self.first_cell[0], columns - self.first_cell[1]

    def to_input(self, boxes_xyxy: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Brings `(…, 4)` boxes from the photo's pixels to those of the network's input."""
        y, x = self.scale_yx
        return np.asarray(boxes_xyxy, np.float64) * (x, y, x, y)

    def to_cells(self, boxes_xyxy: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Brings `(…, 4)` boxes from the photo's pixels to (fractions of) cells of the map."""
        (y, x), (row, column) = self.cell_px, self.first_cell
        return np.asarray(boxes_xyxy, np.float64) / (x, y, x, y) - (column, row, column, row)

    def to_image(self, boxes_xyxy: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Brings `(…, 4)` boxes from cells of the map to the photo's pixels: the inverse of `to_cells`."""
        (y, x), (row, column) = self.cell_px, self.first_cell
        return np.add(boxes_xyxy, (column, row, column, row), dtype=np.float64) * (x, y, x, y)


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """What one layer said about one photo.

    Attributes:
        layer: the layer's name, as in `p2` or `backbone.bottom_up.stage4.OSA4_1`.
        values: `(channels, rows, columns)` float32, padding included.
        frame: where the cells lie in the photo.
    """

    layer: str
    values: npt.NDArray[np.float32]
    frame: Frame

    @property
    def content(self) -> npt.NDArray[np.float32]:
        """The values of the cells that see the photo, `(channels, rows, columns)`: without the padding."""
        rows, columns = self.frame.content_cells
        return self.values[:, :rows, :columns]


@dataclass(frozen=True, eq=False)
class MapView:
    """A feature map made visible: one number or one colour per cell, and what it shows.

    Attributes:
        kind: how it was made, as in `energy`.
        layer: the layer that it is of.
        values: `(rows, columns)` float32, or `(rows, columns, 3)` uint8 in RGB; without the cells of the padding.
        frame: where the cells lie in the photo.
        says: in one or two plain sentences, what is shown and what is not.
    """

    kind: str
    layer: str
    values: npt.NDArray[np.float32] | npt.NDArray[np.uint8]
    frame: Frame
    says: str

    @property
    def is_color(self) -> bool:
        return self.values.ndim == 3
