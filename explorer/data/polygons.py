"""Masks as one polygon each, which is all that YOLO's format can say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pycocotools import mask as mask_api
from skimage.measure import find_contours

from explorer.data.masks import compressed, usable
from explorer.types import Floats


def one_polygon(annotation: Mapping[str, Any], size: tuple[int, int]) -> Floats:
    """Returns the outline of an object as one polygon, `(N, 2)` of x and y in pixels of the image.

    Parts and holes are joined by lines that go there and back, as Ultralytics joins them, and enclose nothing. Of a
    run-length mask the outline lies between the pixels inside and outside; an object without a mask is its box.

    Args:
        annotation: in COCO's form, with a sound mask or none.
        size: `(height, width)` of the image.
    """
    parts = _parts(annotation.get("segmentation"), size)
    if not parts:
        x, y, w, h = annotation["bbox"]
        return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64)
    joined, *others = parts
    while others:
        gaps = [np.square(joined[:, None] - part[None]).sum(-1) for part in others]
        nearest = min(range(len(others)), key=lambda place: gaps[place].min())
        here, there = np.unravel_index(gaps[nearest].argmin(), gaps[nearest].shape)
        part = np.roll(others.pop(nearest), -int(there), axis=0)
        joined = np.concatenate([joined[: here + 1], part, part[:1], joined[here:]])
    return joined


def _parts(segmentation: Any, size: tuple[int, int]) -> list[Floats]:
    if isinstance(segmentation, list):
        return [np.array(part, np.float64).reshape(-1, 2) for part in segmentation if usable(part)]
    rle = compressed(segmentation, size) if segmentation else None
    if rle is None:
        return []
    pixels = np.pad(mask_api.decode(rle), 1)
    outlines: list[Floats] = find_contours(pixels, 0.5)  # type: ignore[no-untyped-call]
    return [outline[:-1, ::-1] - 0.5 for outline in outlines]
