"""Panoptic labels: PNGs whose colours are segment ids, and a list of segments per image.

What Panoptic FPN learns from is derived here when a data set brings nothing else: the semantic map (0 for things,
stuff classes from 1 on) and one mask per thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from explorer.data.annotations import is_set, judge_box
from explorer.data.ids import Id, as_id
from explorer.data.images import MAX_PIXELS, ImageError, write_picture
from explorer.data.problems import Problem
from explorer.reading import open_file

IGNORE = 255
"""Semantic label of pixels that belong to no segment."""
COLOURS = 256**3
"""A label image can tell as many segment ids apart, 0 for nothing among them."""


def read_labels(path: str | Path) -> npt.NDArray[np.int32]:
    """Reads a panoptic PNG: `(height, width)` int32 segment ids, R + 256 G + 65536 B.

    Raises:
        ImageError: the file is missing, too large, or is no PNG.
    """
    colours = np.asarray(_label_image(path, "panoptic").convert("RGB"), dtype=np.int32)
    ids: npt.NDArray[np.int32] = colours @ np.array([1, 256, 65536], dtype=np.int32)
    return ids


def read_classes(path: str | Path) -> npt.NDArray[np.uint8]:
    """Reads a semantic PNG: `(height, width)` uint8 classes, which are its grey values or its palette's indices.

    Raises:
        ImageError: the file is missing, too large, or is no PNG of this kind.
    """
    image = _label_image(path, "semantic")
    if image.mode not in ("L", "P"):
        raise ImageError(f"{path}: no semantic label image (its mode is {image.mode}, which must be L or P)")
    return np.asarray(image)


def _label_image(path: str | Path, kind: str) -> Image.Image:
    try:
        with open_file(Path(path)) as file, Image.open(file, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} px; at most {MAX_PIXELS:,} are read")
            image.load()
            return image
    except Exception as error:  # decoders raise almost anything on hostile bytes
        raise ImageError(f"{path}: no {kind} label image ({error})") from error


def semantic_map(labels: npt.NDArray[np.int32], segments: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.uint8]:
    """Turns segment ids into detectron2's semantic classes: 0 for things, stuff from 1, `IGNORE` for the rest.

    Args:
        labels: `(height, width)` segment ids.
        segments: in detectron2's format: `id`, `isthing`, contiguous `category_id`.
    """
    semantic = np.full(labels.shape, IGNORE, dtype=np.uint8)
    for segment in segments:
        semantic[labels == segment["id"]] = 0 if segment["isthing"] else segment["category_id"]
    return semantic


def judge_panoptic(data: Mapping[str, Any], file: str, *, alone: bool) -> Iterator[Problem]:
    """Finds what is wrong with the segments of a panoptic file of the right structure.

    Args:
        data: the file's content.
        file: its name.
        alone: whether objects are learnt from its segments, because there is no instances file.
    """
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    labelled = [record["image_id"] for record in data["annotations"]]
    if len(set(labelled)) < len(labelled):
        yield Problem("structure", "an image has two panoptic labels", file=file)
    for record in data["annotations"]:
        image_id = record["image_id"]
        if image_id not in sizes:
            yield Problem("unknown-image", f"image id {image_id!r} is not in the list of images", image_id=image_id)
            continue
        yield from _judge_segments(record, sizes[image_id] if alone else None, categories)
    for image_id in sizes.keys() - set(labelled):
        yield Problem("empty-image", "it has no panoptic label", image_id=image_id)
    if not labelled:
        yield Problem("empty-dataset", "no image has a panoptic label", file=file)


def _judge_segments(record: Mapping[str, Any], size: tuple[int, int] | None, categories: set[Id]) -> Iterator[Problem]:
    seen: set[int] = set()
    for segment in record["segments_info"]:
        fields = segment if isinstance(segment, dict) else {}
        key = fields.get("id")
        if type(key) is not int or not 0 < key < COLOURS or as_id(fields.get("category_id")) is None:
            what = f"segment {shorten(segment)}: id must be 1 to {COLOURS - 1}, a colour, and category_id an id"
            yield Problem("structure", what, record["image_id"])
            continue
        if key in seen:
            yield Problem("duplicate-annotation-id", f"segment id {key} is used twice", record["image_id"], key)
        seen.add(key)
        if segment["category_id"] not in categories:
            what = f"category id {segment['category_id']!r} is not in the list of categories"
            yield Problem("unknown-category", what, record["image_id"], key)
        if size is None:
            continue
        if is_set(segment.get("iscrowd")):
            yield Problem("crowd", "a crowd region", record["image_id"], key)
        if finding := judge_box(segment.get("bbox"), size):
            yield Problem(*finding, image_id=record["image_id"], annotation_id=key)


def judge_labels(path: Path, record: Mapping[str, Any]) -> Problem | None:
    """Compares the segment ids in a panoptic PNG with those its record lists; 0 is nothing."""
    found = set(np.unique(read_labels(path)).tolist()) - {0}
    listed = {segment["id"] for segment in record["segments_info"]}
    if found == listed:
        return None
    what = f"only in the image: {sorted(found - listed)[:5]}; only in the list: {sorted(listed - found)[:5]}"
    return Problem("label-mismatch", what, image_id=record["image_id"], file=record["file_name"])


def write_panoptic_png(path: Path, segment_ids: npt.NDArray[np.int32]) -> None:
    """Writes `(height, width)` segment ids as `explorer.data.panoptic.read_labels` reads them, whole or not at all."""
    channels = [segment_ids >> shift & 255 for shift in (0, 8, 16)]
    write_picture(np.stack(channels, axis=2).astype(np.uint8), path)
