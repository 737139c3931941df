"""Frozen result types that every room shares. This module knows nobody.

What `Detections` offers beyond its columns (pictures, tables, other libraries' formats) lives in `explorer.api`, above
all rooms. It is looked up by name when it is called, as pandas looks up its plotting backend.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from PIL import Image

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]
"""A picture, `(height, width, 3)`: BGR inside the library, as OpenCV and detectron2 have it; RGB where it is shown."""
Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is to do, both in the unit that the function says."""

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


def extension(name: str) -> Any:
    """The module of `explorer.api` that has what a method of a class further down offers."""
    return import_module(f"explorer.api.{name}")


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """Objects found in one image, best first, in the frame of the original (EXIF-rotated) image.

    `detections[:5]`, `detections[detections.scores > 0.5]`, `detections[[0, 3]]` and `detections[0]` are `Detections`
    again; iterating gives them one by one.

    Attributes:
        boxes_xyxy: `(N, 4)` float32, absolute pixels, `x2` and `y2` exclusive.
        scores: `(N,)` float32 in [0, 1].
        classes: `(N,)` int64, indices into `class_names`.
        class_names: names by class index.
        image_size: `(height, width)` in pixels.
        masks: one compressed COCO RLE per object (`{"size": [h, w], "counts": bytes}`), or None for box detectors.
        mask_scores: `(N,)` float32, by which masks are ranked, of detectors that score masks apart from boxes; None
            for those whose masks have the scores of their boxes.
        file: the image file that they were found in; None where an array was given.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    masks: tuple[Mapping[str, Any], ...] | None = None
    mask_scores: npt.NDArray[np.float32] | None = None
    file: Path | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        height, width = self.image_size
        kind = "objects with masks" if self.masks is not None else "objects"
        return f"<Detections: {len(self)} {kind} in an image of {height}×{width} px>"

    def __getitem__(self, index: int | slice | Sequence[int] | npt.NDArray[Any]) -> Detections:
        """Returns some of the detections, in the order asked for.

        Args:
            index: a place, a slice, places, or a boolean mask `(N,)`.

        Raises:
            IndexError: a place is out of range, or a mask has another length.
        """
        rows = np.arange(len(self))[[index] if isinstance(index, (int, np.integer)) else index]
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[rows],
            scores=self.scores[rows],
            classes=self.classes[rows],
            masks=None if self.masks is None else tuple(self.masks[row] for row in rows.tolist()),
            mask_scores=None if self.mask_scores is None else self.mask_scores[rows],
        )

    @property
    def areas_px(self) -> npt.NDArray[np.float32]:
        """Box areas in square pixels of the original image, `(N,)`."""
        widths_heights = self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]
        areas: npt.NDArray[np.float32] = widths_heights.prod(axis=1)
        return areas

    def keep(self, mask: npt.NDArray[np.bool_]) -> Detections:
        """Returns the detections where the `(N,)` boolean `mask` is true, in the same order."""
        return self[mask]

    def count_by_size(self) -> dict[str, int]:
        """Counts objects by COCO size of their box: `{"small": …, "medium": …, "large": …}`."""
        counted = Counter(size_names(self.areas_px))
        return {size: counted[size] for size in SIZES}

    def draw(
        self, image: npt.NDArray[np.uint8] | str | Path | None = None, *, labels: bool = True, caption: str = ""
    ) -> Image.Image:
        """Draws boxes, masks and labels on the image; a notebook shows what is returned.

        Args:
            image: `(height, width, 3)` uint8 in BGR, or a file; None for the file that they were found in.
            labels: write class and score in percent.
            caption: words for the picture's corner.

        Raises:
            ValueError: there is no image to draw on, or it has another size than `image_size`.
            ImageError: the file cannot be read.
        """
        return extension("draw").draw(image, self, labels=labels, caption=caption)  # type: ignore[no-any-return]

    def figure(self, image: npt.NDArray[np.uint8] | str | Path | None = None) -> go.Figure:
        """Draws the boxes over the image with Plotly, to zoom and hover; arguments and errors are those of `draw`."""
        return extension("draw").figure_of(image, self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the detections as plain data; `objects` has one entry each, boxes as `[x1, y1, x2, y2]`."""
        return extension("exchange").to_dict(self)  # type: ignore[no-any-return]

    def to_pandas(self) -> pd.DataFrame:
        """Returns one row per detection: `class`, `score`, `x1`, `y1`, `x2`, `y2`, `area_px` of the box and `size`.

        Raises:
            ModuleNotFoundError: pandas is not installed; the message says how to install it.
        """
        return extension("exchange").to_pandas(self)

    def to_coco(self, image_id: int = 1, category_ids: Mapping[int, int] | None = None) -> dict[str, Any]:
        """Returns a COCO document of this image: `images`, `categories` and `annotations` that have a `score`.

        Args:
            image_id: the image's id.
            category_ids: category id by class index; None for COCO's own ids where the classes are COCO's 80, else
                1, 2, 3, ….
        """
        return extension("exchange").to_coco(self, image_id, category_ids)  # type: ignore[no-any-return]

    @classmethod
    def from_coco(cls, document: Mapping[str, Any], image_id: int | str | None = None) -> Self:
        """Reads the annotations or detections of one image from a COCO document, as `json.load` gives it.

        Args:
            document: with `images`, `categories` and `annotations`. An annotation without a score has the score 1.
            image_id: the image that is meant; None where the document has only one.

        Raises:
            ValueError: the document is not complete or is malformed, or it is not clear which image is meant.
        """
        return cls(**vars(extension("exchange").from_coco(document, image_id)))

    def to_supervision(self) -> Any:
        """Returns a `supervision.Detections`, with class names under `data["class_name"]`.

        Raises:
            ModuleNotFoundError: supervision is not installed; the message says how to install it.
        """
        return extension("exchange").to_supervision(self)

    @classmethod
    def from_supervision(
        cls, detections: Any, *, class_names: Sequence[str] = (), image_size: tuple[int, int] | None = None
    ) -> Self:
        """Takes over a `supervision.Detections`; detections without a confidence have the score 1.

        Args:
            detections: of one image.
            class_names: names by class index; where empty, `data["class_name"]` names the classes.
            image_size: `(height, width)` in pixels; needed where there are no masks, which have it.

        Raises:
            ValueError: the classes have no names, or the image's size is not known.
        """
        return cls(**vars(extension("exchange").from_supervision(detections, class_names, image_size)))

    def _repr_html_(self) -> str:
        return extension("exchange").table_of(self)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False, repr=False)
class Panoptic:
    """A panoptic segmentation of one image.

    Attributes:
        segment_ids: `(height, width)` int32, 0 where nothing was assigned.
        segments: one mapping per segment with `id`, `category` (name), `is_thing` and `score` (things only).
    """

    segment_ids: npt.NDArray[np.int32]
    segments: tuple[Mapping[str, Any], ...]

    def __repr__(self) -> str:
        height, width = self.segment_ids.shape
        return f"<Panoptic: {len(self.segments)} segments in an image of {height}×{width} px>"


@dataclass(frozen=True)
class Timing:
    """Wall-clock times of one call.

    Attributes:
        stages_s: seconds by stage, in the order in which the stages ran.
    """

    stages_s: Mapping[str, float]

    @property
    def total_s(self) -> float:
        return sum(self.stages_s.values())


@dataclass(frozen=True)
class Metrics:
    """Metrics of an evaluation.

    Attributes:
        values: metrics in percent, by task (`bbox`, `segm`, `panoptic_seg`) and COCO name (`AP`, `APs`, `PQ`, …).
        images: number of evaluated images.
        details: further results by name, such as the AP of each class.
    """

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
