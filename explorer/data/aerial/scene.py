"""One aerial scene: from a seed to a picture and its labels."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from explorer.data.aerial.annotate import label
from explorer.data.aerial.camera import compress, expose, sunlight
from explorer.data.aerial.canvas import Canvas
from explorer.data.aerial.layouts import LAYOUTS, NEAR_SHARE
from explorer.types import Array

DEFAULT_SIZE = (480, 640)
"""`(height, width)` at which object areas are distributed as COCO's."""
_GOLDEN_RATIO = (5**0.5 - 1) / 2
_LEAST_SIDE_PX, _GREATEST_SIDE_PX = 64, 4096


@dataclass(frozen=True, eq=False)
class Scene:
    """A rendered scene.

    Attributes:
        jpeg: the picture as it would be written to a file.
        layout: the kind of scene, such as `"marina"`.
        size: `(height, width)` in pixels.
        px_per_m: resolution on the ground.
        annotations: COCO instance annotations without `id` and `image_id`.
        segment_ids: `(height, width)` int32 panoptic map, 0 for void.
        segments: COCO panoptic `segments_info` with ids of `segment_ids`.
        sem_seg: `(height, width)` uint8: 0 for things, 1 to 4 for stuff, 255 for ignore.
    """

    jpeg: bytes
    layout: str
    size: tuple[int, int]
    px_per_m: float
    annotations: tuple[Mapping[str, Any], ...]
    segment_ids: Array
    segments: tuple[Mapping[str, Any], ...]
    sem_seg: Array

    @property
    def image(self) -> Array:
        """The picture, `(height, width, 3)` uint8 BGR, with its JPEG noise."""
        decoded = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded


def check_size(size: tuple[int, int]) -> None:
    """Raises ValueError unless both sides are in the range that scenes are made for."""
    if not all(_LEAST_SIDE_PX <= side <= _GREATEST_SIDE_PX for side in size):
        limits = f"{_LEAST_SIDE_PX} to {_GREATEST_SIDE_PX}"
        raise ValueError(f"size is {size!r}: give (height, width) of {limits} pixels.")


def render_scene(
    seed: int,
    *,
    index: int = 0,
    split: str = "val",
    size: tuple[int, int] = DEFAULT_SIZE,
    layout: str | None = None,
) -> Scene:
    """Renders picture `index` of the data set with that seed and split; the same arguments give the same bytes.

    Args:
        seed: any whole number from 0.
        index: number of the picture.
        split: name of the split; splits of one seed share no picture.
        size: `(height, width)` in pixels. Another size shows the same kinds of ground at the same extent.
        layout: a key of `LAYOUTS`, to have one kind of scene; None draws one.

    Raises:
        ValueError: for a negative seed or index, a size out of range or an unknown layout.
    """
    check_size(size)
    if seed < 0 or index < 0:
        raise ValueError(f"seed is {seed} and index is {index}: both must be 0 or more.")
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"There is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}.")
    entropy = (seed, zlib.crc32(split.encode()))
    drawn, near = _draw_view(entropy, index)
    name = layout or drawn
    low, high = LAYOUTS[name].near if near else LAYOUTS[name].far
    rng = _generator(*entropy, index)
    px_per_m = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * min(size[0] / 480, size[1] / 640)
    canvas = Canvas(rng, size, px_per_m, float(rng.uniform(0, 2 * np.pi)), sunlight(rng))
    LAYOUTS[name].paint(canvas)
    jpeg = compress(rng, expose(rng, canvas.image))
    labels = label(canvas)
    return Scene(jpeg, name, size, px_per_m, labels.annotations, labels.segment_ids, labels.segments, labels.sem_seg)


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def _draw_view(entropy: tuple[int, int], index: int) -> tuple[str, bool]:
    """Draws the layout of a picture, and whether it is a close view.

    Steps of the golden ratio round a circle of all layouts spread evenly however many there are, so that even a small
    data set has all layouts, close and far, and areas distributed as intended.
    """
    at = (float(_generator(*entropy).random()) + index * _GOLDEN_RATIO) % 1.0
    total = sum(entry.weight for entry in LAYOUTS.values())
    for name, entry in LAYOUTS.items():
        share = entry.weight / total
        if at < share:
            return name, at < NEAR_SHARE * share
        at -= share
    return name, False
