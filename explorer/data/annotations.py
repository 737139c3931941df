"""Annotation files in COCO's format: read them, and judge each record by itself.

The same judgement serves `explorer data check`, which reports it, and the loader, which acts on it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from explorer.data.masks import Finding, is_finite, is_number, judge_mask
from explorer.data.problems import Problem

OVER_EDGE_TOLERANCE_PX = 1.0
"""COCO's own boxes reach over the edge by rounding; less than this is not worth a word."""

Size = tuple[int, int]

Shape = Mapping[str, Mapping[str, type]]
"""The lists an annotation file must have, and the fields of their records."""

_IMAGE: Mapping[str, type] = {"id": int, "file_name": str, "width": int, "height": int}
_CATEGORY: Mapping[str, type] = {"id": int, "name": str}
INSTANCES: Shape = {
    "images": _IMAGE,
    "categories": _CATEGORY,
    "annotations": {"id": int, "image_id": int, "category_id": int},
}
PANOPTIC: Shape = {
    "images": _IMAGE,
    "categories": {**_CATEGORY, "isthing": int},
    "annotations": {"image_id": int, "file_name": str, "segments_info": list},
}
_WORDS = {int: "a whole number", str: "a text", list: "a list"}


def read_annotations(path: Path, shape: Shape) -> tuple[dict[str, Any], list[Problem]]:
    """Reads an annotation file and judges its structure.

    Args:
        path: the JSON file.
        shape: `INSTANCES` or `PANOPTIC`.

    Returns:
        the content and what is wrong with its structure; where anything is, the content must not be used.
    """
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return {}, [Problem("structure", f"cannot be read as JSON: {error}", file=path.name)]
    return data, [Problem("structure", what, file=path.name) for what in _judge_structure(data, shape)]


def _judge_structure(data: Any, shape: Shape) -> Iterator[str]:
    if not isinstance(data, dict):
        yield f"the file holds a {type(data).__name__}; it needs an object with {', '.join(shape)}"
        return
    for section, fields in shape.items():
        records = data.get(section)
        if not isinstance(records, list):
            yield f"there is no list {section!r}"
            continue
        if not records and section != "annotations":
            yield f"the list {section!r} is empty"
        for index, record in enumerate(records):
            if fault := _judge_record(record, fields):
                yield f"{section}[{index}] {fault}"


def _judge_record(record: Any, fields: Mapping[str, type]) -> str | None:
    if not isinstance(record, dict):
        return "is no object"
    for name, kind in fields.items():
        if type(record.get(name)) is not kind and not (name == "isthing" and type(record.get(name)) is bool):
            return f"has {name} = {record.get(name)!r}, which must be {_WORDS[kind]}"
    if "width" in fields and min(record["width"], record["height"]) < 1:
        return f"has a size of {record['width']} x {record['height']} px"
    return None


def judge_ids(data: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Finds images, annotations and categories that share an id."""
    for section, what in (("images", "image"), ("categories", "category"), ("annotations", "annotation")):
        for key, times in Counter(record.get("id") for record in data[section]).items():
            if times > 1 and key is not None:
                yield Problem(
                    f"duplicate-{what}-id",
                    f"{what} id {key} is used {times} times",
                    image_id=key if what == "image" else None,
                    annotation_id=key if what == "annotation" else None,
                    file=file,
                )


def judge_annotations(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Finds what is wrong with each annotation of an instances file, and images without any."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    masks_expected = any(annotation.get("segmentation") for annotation in data["annotations"])
    learnable, seen = False, set()
    for annotation in data["annotations"]:
        image_id = annotation["image_id"]
        seen.add(image_id)
        findings = list(_judge_annotation(annotation, sizes.get(image_id), categories, masks_expected))
        learnable |= not any(Problem(kind, "").action in {"drop", "stop"} for kind, _ in findings)
        for kind, what in findings:
            yield Problem(kind, what, image_id=image_id, annotation_id=annotation["id"])
    for image in data["images"]:
        if image["id"] not in seen:
            yield Problem("empty-image", "nothing is annotated", image_id=image["id"], file=image["file_name"])
    if not learnable:
        yield Problem("empty-dataset", f"none of {len(data['annotations'])} annotations can be learnt from")


def _judge_annotation(
    annotation: Mapping[str, Any], size: Size | None, categories: set[int], masks_expected: bool
) -> Iterator[Finding]:
    if annotation["category_id"] not in categories:
        yield "unknown-category", f"category id {annotation['category_id']} is not in the list of categories"
        return
    if size is None:
        yield "unknown-image", f"image id {annotation['image_id']} is not in the list of images"
        return
    if is_crowd(annotation):
        yield "crowd", "a crowd region"
    if finding := judge_box(annotation.get("bbox"), size):
        yield finding
    segmentation = annotation.get("segmentation")
    if segmentation:
        yield from judge_mask(segmentation, size)
    elif masks_expected:
        yield "no-mask", "a box without a mask"


def is_crowd(annotation: Mapping[str, Any]) -> bool:
    """Tells whether an annotation is a crowd, or marked to be ignored, which is treated alike."""
    return bool(annotation.get("iscrowd")) or bool(annotation.get("ignore"))


def judge_box(box: Any, size: Size) -> Finding | None:
    """Says what is wrong with a box `[x, y, width, height]` in an image of `(height, width)`, None if nothing is."""
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        return "bad-box", f"bbox is {box!r}, which must be [x, y, width, height]"
    if not all(map(is_finite, box)):
        return "not-finite", f"bbox is {box}"
    x, y, width, height = box
    image = f"the image is {size[1]} x {size[0]} px"
    if width <= 0 or height <= 0:
        return "zero-area", f"bbox is {box}"
    if x >= size[1] or y >= size[0] or x + width <= 0 or y + height <= 0:
        return "box-outside", f"bbox is {box}, {image}"
    over = max(-x, -y, x + width - size[1], y + height - size[0])
    if over > OVER_EDGE_TOLERANCE_PX:
        return "box-over-edge", f"bbox is {box}, {over:g} px over the edge; {image}"
    return None
