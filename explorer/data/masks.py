"""COCO masks as they stand in annotation files: what makes one usable, judged without decoding it to pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from explorer.types import Bools, Ints

LARGEST_COORDINATE = 1e9
"""Coordinates beyond this are as good as infinite."""
LARGEST_SIDE_PX, MOST_PIXELS = 1_000_000, 2**32 - 1
"""Of an image that masks are on; pycocotools counts their pixels in 32 bits."""

Rle = Mapping[str, Any]
"""A compressed COCO run-length mask: `{"size": [height, width], "counts": bytes}`."""

Finding = tuple[str, str]
"""A key of `problems.KINDS` and what was found."""


def is_number(value: Any) -> bool:
    """Tells whether a value from JSON is a number (NaN and infinity are), and not a truth value."""
    return type(value) in (int, float)


def is_finite(value: float) -> bool:
    """Tells whether a number is one that can be computed with; works for NaN and for integers of any length."""
    return -LARGEST_COORDINATE < value < LARGEST_COORDINATE


def usable(polygon: list[float]) -> bool:
    """Tells whether a flat polygon `[x1, y1, x2, y2, …]` has at least 3 points and an even number of coordinates."""
    return len(polygon) >= 6 and len(polygon) % 2 == 0


def judge_mask(segmentation: Any, size: tuple[int, int]) -> Iterator[Finding]:
    """Says what is wrong with a non-empty `segmentation` for an image of `(height, width)`."""
    if isinstance(segmentation, dict):
        if reason := _judge_rle(segmentation, size):
            yield "bad-mask", reason
    elif isinstance(segmentation, list) and all(isinstance(part, list) for part in segmentation):
        yield from _judge_polygons(segmentation, max(size))
    else:
        yield "bad-mask", "the mask is not a list of polygons [[x1, y1, …], …]"


def _judge_polygons(polygons: list[list[Any]], side: int) -> Iterator[Finding]:
    """The C code that draws them walks along every edge pixel by pixel, in the image and outside."""
    values = [value for polygon in polygons for value in polygon]
    if not {int, float}.issuperset(map(type, values)):
        yield "bad-mask", "a polygon contains a value that is not a number"
    elif not all(map(is_finite, values)):
        yield "not-finite", "a polygon has a coordinate that is NaN, infinite or beyond a billion"
    elif values and not -side <= min(values) <= max(values) <= 2 * side:
        yield "bad-mask", f"a polygon reaches from {min(values):g} to {max(values):g}, far outside of the image"
    else:
        short = [len(polygon) for polygon in polygons if not usable(polygon)]
        if short:
            kind = "short-polygon" if len(short) == len(polygons) else "short-part"
            yield kind, f"{len(short)} of {len(polygons)} polygons have too few coordinates, or an odd number: {short}"


def _judge_rle(rle: dict[str, Any], size: tuple[int, int]) -> str | None:
    """Says what is wrong with a run-length code; its C decoder must see none that does not fit its size."""
    if rle.get("size") != list(size) or not all(type(side) is int for side in rle["size"]):
        return f"the mask's size is {rle.get('size')}, the image's [height, width] {list(size)}"
    runs = _runs(rle.get("counts"))
    if runs is None:
        return "the mask's counts are not a run-length code"
    if (runs < 0).any() or int(runs.sum()) != size[0] * size[1]:
        return f"the mask's runs cover {int(runs.sum())} pixels, the image has {size[0] * size[1]}"
    return None


def _runs(counts: Any) -> Ints | None:
    if isinstance(counts, list):
        fit = all(type(count) is int and is_finite(count) for count in counts)
        return np.array(counts, dtype=np.int64) if fit else None
    if isinstance(counts, str) and counts.isascii():
        return decode_runs(counts)
    return None


def decode_runs(counts: str) -> Ints | None:
    """Decodes COCO's compressed run lengths, None when they are malformed.

    Each run is a little-endian number of 5-bit digits, one per character from "0" on; bit 6 says that more follow, the
    last digit's top bit is the sign. From the fourth run on, the difference to the run two before is stored.

    Source: the format of pycocotools' `maskApi`.
    """
    digits = np.frombuffer(counts.encode(), dtype=np.uint8).astype(np.int64) - 48
    if not len(digits) or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return None
    ends = np.flatnonzero(digits & 32 == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 7:  # 35 bits: more than any image needs, less than overflows
        return None
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    runs: Ints = np.add.reduceat((digits & 31) << (5 * places), starts)
    runs -= np.where(digits[ends] & 16 != 0, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def compressed(segmentation: Any, size: tuple[int, int]) -> Rle | None:
    """Turns a `segmentation` that was judged into a compressed RLE, None for an empty one.

    Polygons that are none are left out.

    Args:
        segmentation: polygons, or run lengths in any form.
        size: the image's `(height, width)`.
    """
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if usable(polygon)]
        merged: Rle | None = mask_api.merge(mask_api.frPyObjects(polygons, *size)) if polygons else None
        return merged
    if not segmentation:
        return None
    counts = segmentation["counts"]
    if isinstance(counts, list):
        converted: Rle = mask_api.frPyObjects(segmentation, *size)
        return converted
    return {"size": segmentation["size"], "counts": counts.encode("ascii") if isinstance(counts, str) else counts}


def encode_masks(masks: Bools, within: npt.NDArray[np.floating[Any]] | None = None) -> list[dict[str, Any]]:
    """Encodes `(N, height, width)` masks as compressed COCO RLEs, one at a time to save memory.

    Args:
        masks: of one image.
        within: `(N, 4)` boxes, XYXY in pixels, that masks do not leave by more than a pixel; saves looking elsewhere.
    """
    if within is None:
        return [mask_api.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]
    size = masks.shape[1:]
    first = np.clip(np.floor(within[:, :2]) - 1, 0, None).astype(int)
    last = np.clip(np.ceil(within[:, 2:]) + 1, 0, size[::-1]).astype(int)
    return [
        encode_crop(mask[y0:y1, x0:x1], x0, y0, size)
        for mask, (x0, y0), (x1, y1) in zip(masks, first.tolist(), last.tolist(), strict=True)
    ]


def encode_crop(crop: Bools, x0: int, y0: int, size: tuple[int, ...]) -> dict[str, Any]:
    """Encodes a mask of which a part is given and the rest is empty, as a compressed COCO RLE.

    Args:
        crop: `(height, width)` of the part.
        x0: column of its left edge in the mask.
        y0: row of its upper edge.
        size: the mask's `(height, width)`.
    """
    height, width = size
    columns = np.zeros((crop.shape[1], crop.shape[0] + 2), np.int8)
    columns[:, 1:-1] = crop.T
    column, row = np.nonzero(np.diff(columns, axis=1))  # where a run starts and, in the next entry, ends
    ends = (column + x0) * height + row + y0
    joined = np.flatnonzero(ends[1:-1:2] == ends[2::2]) * 2 + 1  # runs that go on at the top of the next column
    ends = np.delete(ends, np.concatenate((joined, joined + 1)))
    runs = np.diff(ends, prepend=0, append=height * width)
    counts = runs if runs[-1] else runs[:-1]
    encoded: dict[str, Any] = mask_api.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return encoded
