"""Frozen result types that every room shares. This module knows nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

SMALL_AREA_PX = 32**2
"""Objects with an area below this many square pixels are COCO's "small"."""
LARGE_AREA_PX = 96**2
"""Objects with an area of at least this many square pixels are COCO's "large"."""


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
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    masks: tuple[Mapping[str, Any], ...] | None = None

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
        )

    def count_by_size(self) -> dict[str, int]:
        """Counts objects by COCO size of their box: `{"small": …, "medium": …, "large": …}`."""
        areas = self.areas_px
        small, large = int((areas < SMALL_AREA_PX).sum()), int((areas >= LARGE_AREA_PX).sum())
        return {"small": small, "medium": len(self) - small - large, "large": large}


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
