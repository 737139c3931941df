"""COCO results, judged and turned into columns: in bulk what is in order, entry by entry what is not."""

from __future__ import annotations

import itertools
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as shorten
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as mask_api

from explorer.data.ids import Id, as_id
from explorer.data.masks import LARGEST_COORDINATE, Rle, compressed, is_finite, is_number, judge_mask
from explorer.scoring.columns import Found, Truth, in_order
from explorer.scoring.identify import LACKING, Classes, Images, MatchBy
from explorer.scoring.results_stream import Block, ResultsFile, blocks_of
from explorer.types import Floats, Ints

RESULTS_FILE = "coco_instances_results.json"
_BEYOND = 1.1
IMAGES_FILE = "image_ids.json"
"""The ids of the images that were evaluated: a results file says nothing of images without detections."""

Results = Sequence[Any]
"""Detections in COCO's results format: `image_id`, `category_id`, `score`, and `bbox` (XYWH), `segmentation` (run
lengths or polygons) or both. Of further keys two matter: `category_name` tells the class, and masks are ranked by
`mask_score`, where a detection has one, instead of `score`."""

logger = logging.getLogger(__name__)


class Columns(NamedTuple):
    """Detections as the columns of `Found`, but in any order."""

    images: Ints
    classes: Ints
    boxes_xywh: Floats
    scores: Floats
    masks: Sequence[Rle | None] | None
    mask_scores: Floats | None = None


def found_among(
    results: Results, truth: Truth, source: object = "the results", match_by: MatchBy | None = None
) -> Found:
    """Turns COCO results into columns; see `found_in`.

    Args:
        results: any detector's.
        truth: the images and classes that they are on.
        source: what to call the results in errors.
        match_by: how images are told; see `explorer.scoring.identify`.

    Raises:
        ValueError: as `found_in` does.
    """
    return found_in(ResultsFile(blocks_of(results)), truth, source, match_by)


def found_in(file: ResultsFile, truth: Truth, source: object, match_by: MatchBy | None = None) -> Found:
    """Turns COCO results into columns. Boxes may reach over the image's edge or lie outside, as COCO allows.

    Entries with a mask alone get the mask's box. Where no entry has a mask (an empty `segmentation` is none), there are
    none; where only some have, the others have None. Detections of classes that the results name and the data does not
    have are left out, and a warning in the log says how many.

    Args:
        file: any detector's results.
        truth: the images and classes that they are on.
        source: what to call the results in errors.
        match_by: how images are told; see `explorer.scoring.identify`.

    Raises:
        ValueError: an entry is malformed, its score not finite, or its image or class not in `truth`.
    """
    blocks = [*columns_of(file, truth, source, match_by), _in_columns([])]
    images, classes, boxes, scores = (np.concatenate(column) for column in list(zip(*blocks, strict=True))[:4])
    masks: list[Rle | None] | None = None
    if any(block.masks for block in blocks):
        masks = [mask for block in blocks for mask in block.masks or [None] * len(block.scores)]
    mask_scores: Floats | None = None
    if any(block.mask_scores is not None for block in blocks):
        mask_scores = np.concatenate([block.scores if (own := block.mask_scores) is None else own for block in blocks])
    return in_order(images, classes, boxes, scores, masks, mask_scores)


def columns_of(file: ResultsFile, truth: Truth, source: object, match_by: MatchBy | None = None) -> Iterator[Columns]:
    """Turns COCO results into columns, some at a time and in the order in which they come; see `found_in`.

    Raises:
        ValueError: as `found_in` does.
    """
    blocks = iter(file.blocks)
    begun = next(blocks, [])
    try:
        images = Images(truth, match_by, file.images)
        _check_sizes(file, images, truth)
        classes = Classes(truth, match_by, file.categories, ultralytics=_is_ultralytics(begun))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    places = _Places(truth)
    sizes: list[tuple[int, int]] = [(height, width) for height, width in truth.image_sizes.tolist()]
    first, left_out = 0, Counter[str]()
    for block in itertools.chain([begun], blocks):
        columns, names = _in_bulk(block, images, classes) or _one_by_one(block, images, classes, sizes, first, source)
        left_out.update(names)
        places.look_at(columns)
        yield columns
        first += len(block)
    places.judge(source)
    if left_out:
        listed = ", ".join(f"{name} ({number})" for name, number in left_out.most_common(8))
        if left_out.total() == first:
            raise ValueError(f"{source}: none of its {first} detections is of a class that the data has: {listed}")
        said = "%s: %d of %d detections are of classes that the data does not have, and are left out: %s"
        logger.warning(said, source, left_out.total(), first, listed)


def _check_sizes(file: ResultsFile, images: Images, truth: Truth) -> None:
    """Makes sure that images are as large as results say, whose boxes would be elsewhere in others.

    Raises:
        ValueError: one is not.
    """
    for own, (height, width) in file.sizes.items():
        row = images.row_listed(own) if own in file.images else None
        if row is not None and (height, width) != tuple(truth.image_sizes[row].tolist()):
            there = "{1} x {0}".format(*truth.image_sizes[row].tolist())
            raise ValueError(
                f"it lists {file.images[own]!r} with {width} x {height} px, the data has {there}: scale its boxes to "
                "the data's images, or detect in these"
            )


class _Places:
    """Whether boxes are where boxes can be: a file in other units is a sound file, and finds nothing.

    Args:
        truth: the images.
    """

    def __init__(self, truth: Truth) -> None:
        self._sizes_xy = truth.image_sizes[:, ::-1]
        self._boxes = self._beyond = 0
        self._in_shares = True

    def look_at(self, columns: Columns) -> None:
        """Counts boxes that reach more than a tenth of their image's side beyond it, and looks for any in pixels."""
        drawn = (columns.boxes_xywh[:, 2:] > 0).all(axis=1)  # others are of empty masks
        boxes, sizes = columns.boxes_xywh[drawn], self._sizes_xy[columns.images[drawn]]
        ends = boxes[:, :2] + boxes[:, 2:]
        self._boxes += len(ends)
        self._beyond += int((ends > _BEYOND * sizes).any(axis=1).sum())
        self._in_shares &= bool(((boxes[:, :2] >= 0) & (ends <= 1) & (sizes > 1)).all())

    def judge(self, source: object) -> None:
        """Refuses shares of the image's sides, and warns where more than a quarter of the boxes reach beyond.

        Raises:
            ValueError: all boxes lie between 0 and 1.
        """
        if self._boxes and self._in_shares:
            raise ValueError(
                f"{source}: all of its {self._boxes} boxes lie between 0 and 1; write them in pixels of the original "
                "images"
            )
        if self._beyond * 4 > self._boxes:
            logger.warning(
                "%s: %d of %d boxes reach far beyond their image; boxes are [x, y, width, height], in pixels of the "
                "original image and not of a resized one",
                source,
                self._beyond,
                self._boxes,
            )


def _is_ultralytics(entries: Block) -> bool:
    """Tells whether results are Ultralytics' `predictions.json`: it alone names each one's file, and not its class."""
    first = entries[0] if entries else None
    return isinstance(first, dict) and isinstance(first.get("file_name"), str) and "category_name" not in first


def _in_bulk(entries: Block, images: Images, classes: Classes) -> tuple[Columns, Sequence[str]] | None:
    """Judges boxes without masks all at once; None where something is out of the ordinary."""
    try:
        image_ids = [entry["image_id"] for entry in entries]
        keys: list[Any] = [entry["category_id"] for entry in entries]
        boxes = [entry["bbox"] for entry in entries]
        scores = [entry["score"] for entry in entries]
        numbers = list(itertools.chain.from_iterable(boxes))
        types = {*map(type, numbers), *map(type, scores)}, {*map(type, image_ids), *map(type, keys)}
        if not (types[0] <= {float, int} and types[1] <= {int, str} and {4}.issuperset(map(len, boxes))):
            return None
        if not {4}.issuperset(map(len, entries)):  # there is more than these four
            names = [entry.get("category_name") for entry in entries]
            if any(entry.get("segmentation") or "mask_score" in entry for entry in entries):
                return None
            keys = list(zip(keys, names, strict=True)) if any(names) else keys
        columns = Columns(
            np.array([images[own] for own in image_ids], dtype=np.int64),
            np.array([classes[key] for key in keys], dtype=np.int64),
            np.array(numbers, dtype=np.float64).reshape(-1, 4),
            np.array(scores, dtype=np.float64),
            None,
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return None
    sound = np.isfinite(columns.scores).all() and (np.abs(columns.boxes_xywh) < LARGEST_COORDINATE).all()
    return _known(columns, keys, classes) if sound and (columns.boxes_xywh[:, 2:] >= 0).all() else None


def _one_by_one(
    block: Block, images: Images, classes: Classes, sizes: Sequence[tuple[int, int]], first: int, source: object
) -> tuple[Columns, Sequence[str]]:
    rows = []
    for index, entry in enumerate(block, start=first):
        try:
            rows.append(_judged(entry, images, classes, sizes))
        except ValueError as error:
            raise ValueError(f"{source}: detection {index} (counted from 0) {error}") from error
    return _known(_in_columns(rows, classes), [row.key for row in rows], classes)


class _Row(NamedTuple):
    image: int
    key: Any
    box_xywh: Sequence[float]
    score: float
    mask: Rle | None
    mask_score: float | None


def _in_columns(rows: Sequence[_Row], classes: Classes | None = None) -> Columns:
    return Columns(
        np.array([row.image for row in rows], dtype=np.int64),
        np.array([classes[row.key] for row in rows] if classes else [], dtype=np.int64),
        np.array([row.box_xywh for row in rows], dtype=np.float64).reshape(-1, 4),
        np.array([row.score for row in rows], dtype=np.float64),
        [row.mask for row in rows] if any(row.mask for row in rows) else None,
        _mask_scores(rows) if any(row.mask_score is not None for row in rows) else None,
    )


def _mask_scores(rows: Sequence[_Row]) -> Floats:
    own = [row.score if row.mask_score is None else row.mask_score for row in rows]
    return np.array(own, dtype=np.float64)


def _known(columns: Columns, keys: Sequence[Any], known: Classes) -> tuple[Columns, Sequence[str]]:
    """Leaves out what is of classes that the data does not have, and returns their names beside."""
    kept = columns.classes != LACKING
    if kept.all():
        return columns, ()
    masks = columns.masks and list(itertools.compress(columns.masks, kept))
    names = [known.lacking[key] for key in itertools.compress(keys, ~kept)]
    images, classes, boxes, scores = (column[kept] for column in columns[:4])
    mask_scores = None if columns.mask_scores is None else columns.mask_scores[kept]
    return Columns(images, classes, boxes, scores, masks, mask_scores), names


def _judged(entry: Any, images: Images, classes: Classes, sizes: Sequence[tuple[int, int]]) -> _Row:
    """Judges an entry; raises ValueError with what is wrong with it."""
    if not isinstance(entry, dict):
        raise ValueError(f"is {shorten(entry)}, which must be an object with image_id, category_id, bbox and score")
    image_id, category_id = (_id(entry, name) for name in ("image_id", "category_id"))
    image, where = images[image_id], f"on image {shorten(image_id)}"
    named = isinstance(entry.get("category_name"), str)
    key = (category_id, entry["category_name"]) if named else category_id
    classes[key]  # raises where it is unknown
    score = _score(entry, "score", where)
    mask_score = None if entry.get("mask_score") is None else _score(entry, "mask_score", where)
    mask = _mask(entry.get("segmentation"), sizes[image], where)
    box = entry.get("bbox")
    if box is None and mask is not None:
        box = mask_api.toBbox(mask).tolist()
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and all(map(is_finite, box))):
        raise ValueError(f"{where} has bbox {shorten(box)}, which must be four finite numbers [x, y, width, height]")
    if box[2] < 0 or box[3] < 0:
        raise ValueError(f"{where} has bbox {box!r}, of negative size; boxes are [x, y, width, height], not corners")
    return _Row(image, key, box, score, mask, mask_score)


def _score(entry: Mapping[str, Any], name: str, where: str) -> float:
    score: Any = entry.get(name)
    if not is_number(score) or not abs(score) <= sys.float_info.max:
        raise ValueError(f"{where} has {name} {shorten(score)}, which must be a finite number")
    return float(score)


def _id(entry: Mapping[str, Any], name: str) -> Id:
    own = as_id(entry.get(name))
    if own is None:
        raise ValueError(f"has {name} {shorten(entry.get(name))}, which must be a whole number or a string")
    return own


def _mask(segmentation: Any, size: tuple[int, int], where: str) -> Rle | None:
    """Judges a mask before pycocotools' C code sees it."""
    if not segmentation:
        return None
    for kind, what in judge_mask(segmentation, size):
        if kind != "short-part":
            raise ValueError(f"{where}: {what}")
    return compressed(segmentation, size)
