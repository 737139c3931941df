"""A COCO results file: read, judged entry by entry, and turned into columns."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from explorer.data.masks import is_finite, is_number, judge_mask
from explorer.scoring.columns import Found, Rle, Truth, in_order

RESULTS_FILE = "coco_instances_results.json"
IMAGES_FILE = "image_ids.json"
"""The ids of the images that were evaluated: a results file says nothing of images without detections."""

Results = Sequence[Mapping[str, Any]]
"""Detections in COCO's results format: `image_id`, `category_id`, `score`, and `bbox` (XYWH), `segmentation` (RLE)
or both."""
RESULTS_AT_A_TIME = 2**8
"""So few that the garbage collector does not go through them again and again."""


class Columns(NamedTuple):
    """Detections as the columns of `Found`, but in any order."""

    images: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    boxes_xywh: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    masks: tuple[Rle, ...] | None


def read_results(path: Path) -> Results:
    """Reads the list in a COCO results file; `found_among` judges its entries.

    Raises:
        ValueError: the file is not there, no JSON, or no list.
    """
    try:
        results = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(results, list):
        raise ValueError(
            f"{path} holds a {type(results).__name__}; COCO results are a list of detections, each with image_id, "
            "category_id, bbox [x, y, width, height] and score"
        )
    return results


def found_among(results: Iterable[Mapping[str, Any]], truth: Truth, source: object = "the results") -> Found:
    """Turns COCO results into columns. Boxes may reach over the image's edge or lie outside, as COCO allows.

    Entries with a mask alone get the mask's box.

    Args:
        results: any detector's.
        truth: the images and classes that they are on.
        source: what to call the results in errors.

    Raises:
        ValueError: an entry is malformed, its score not finite, its image or class not in `truth`, or some
            entries have masks and others have none.
    """
    blocks = list(columns_of(results, truth, source)) or [_in_columns([], truth, masks=False)]
    images, classes, boxes, scores = (np.concatenate(column) for column in list(zip(*blocks, strict=True))[:4])
    masks = None if blocks[0].masks is None else tuple(mask for block in blocks for mask in block.masks or ())
    del blocks
    return in_order(images, classes, boxes, scores, masks)


def columns_of(results: Iterable[Any], truth: Truth, source: object = "the results") -> Iterator[Columns]:
    """Turns COCO results into columns, some thousands at a time and in the order in which they come.

    Raises:
        ValueError: as `found_among` does.
    """
    sizes = dict(zip(truth.image_ids.tolist(), map(tuple, truth.image_sizes.tolist()), strict=True))
    categories = frozenset(truth.category_ids.tolist())
    numbered, has_masks = enumerate(results), None
    while block := list(itertools.islice(numbered, RESULTS_AT_A_TIME)):
        if has_masks is None:
            has_masks = isinstance(block[0][1], dict) and "segmentation" in block[0][1]
        for index, result in block:
            if fault := _judge(result, sizes, categories, has_masks):
                raise ValueError(f"{source}: detection {index} (counted from 0) {fault}")
        yield _in_columns([result for _, result in block], truth, masks=has_masks)


def _in_columns(results: Results, truth: Truth, *, masks: bool) -> Columns:
    rles = tuple(_compressed(result["segmentation"]) for result in results) if masks else None
    return Columns(
        np.searchsorted(truth.image_ids, np.array([r["image_id"] for r in results], dtype=np.int64)),
        np.searchsorted(truth.category_ids, np.array([r["category_id"] for r in results], dtype=np.int64)),
        _boxes(results, rles),
        np.array([r["score"] for r in results], dtype=np.float64),
        rles,
    )


def _judge(
    result: Any, sizes: Mapping[int, tuple[int, int]], categories: Collection[int], has_masks: bool
) -> str | None:
    if not isinstance(result, dict):
        return f"is {result!r}, which must be an object with image_id, category_id, bbox and score"
    image_id, category_id, score = result.get("image_id"), result.get("category_id"), result.get("score")
    if type(image_id) is not int or image_id not in sizes:
        return f"is on image {image_id!r}, which is not among the {len(sizes)} images evaluated{_whole(image_id)}"
    if type(category_id) is not int or category_id not in categories:
        return (
            f"has category_id {category_id!r}, which the data set does not have{_whole(category_id)}; "
            f"its ids are {_listed(sorted(categories))}"
        )
    if not isinstance(score, (int, float)) or isinstance(score, bool) or not math.isfinite(score):
        return f"on image {image_id} has score {score!r}, which must be a finite number"
    if ("segmentation" in result) != has_masks:
        return f"on image {image_id} has {'no' if has_masks else 'a'} mask, unlike those before it; give all or none"
    if has_masks and (fault := _judge_rle(result["segmentation"], sizes[image_id])):
        return f"on image {image_id}: {fault}"
    return _judge_box(result.get("bbox"), image_id, optional=has_masks)


def _judge_box(box: Any, image_id: int, *, optional: bool) -> str | None:
    if box is None and optional:
        return None
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and all(map(is_finite, box))):
        return f"on image {image_id} has bbox {box!r}, which must be four finite numbers [x, y, width, height]"
    if box[2] < 0 or box[3] < 0:
        return f"on image {image_id} has bbox {box!r}, of negative size; boxes are [x, y, width, height], not corners"
    return None


def _judge_rle(segmentation: Any, size: tuple[int, int]) -> str | None:
    """Judges a mask before pycocotools' C code sees it."""
    if not isinstance(segmentation, dict):
        return 'a detection\'s segmentation must be a run-length code {"size": [h, w], "counts": …}'
    return next((what for _, what in judge_mask(segmentation, size)), None)


def _compressed(segmentation: Mapping[str, Any]) -> Rle:
    counts = segmentation["counts"]
    if isinstance(counts, list):
        rle: Rle = mask_api.frPyObjects(segmentation, *segmentation["size"])
        return rle
    return {"size": segmentation["size"], "counts": counts.encode("ascii")}


def _boxes(results: Results, masks: tuple[Rle, ...] | None) -> npt.NDArray[np.float64]:
    if masks and not all(result.get("bbox") for result in results):
        around = mask_api.toBbox(list(masks)).tolist()
        rows = [result.get("bbox") or box for result, box in zip(results, around, strict=True)]
    else:
        rows = [result["bbox"] for result in results]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _whole(value: object) -> str:
    return "" if type(value) is int else " (ids are whole numbers)"


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", …" if len(values) > 8 else "")
