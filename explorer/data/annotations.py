"""Annotation files in COCO's format: read them, and judge each record by itself.

The same judgement serves `explorer data check`, which reports it, and the loader, which acts on it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

from explorer.data.ids import Id, alike, as_id, id_order
from explorer.data.masks import LARGEST_SIDE_PX, MOST_PIXELS, Finding, is_finite, is_number, judge_mask
from explorer.data.problems import Problem
from explorer.reading import read_json

logger = logging.getLogger(__name__)

_AREA_TOLERANCE = 1.1
"""How much larger than a box, both of whose ends are counted, an area may be; masks are drawn with rounding."""
OVER_EDGE_TOLERANCE_PX = 1.0
"""COCO's own boxes reach over the edge by rounding; less than this is not worth a word."""

Size = tuple[int, int]

Fields = Mapping[str, Any]
"""What a record must have: types by name, `Id` for an id."""
Shape = Mapping[str, Fields]
"""The lists an annotation file must have, and the fields of their records."""
Mend = Callable[[Any], list[Problem]]

_NUMBER, _TEXT, _FLAG, _LIST = (int,), (str,), (int, bool), (list,)
_WORDS = {
    Id: "a whole number or a string",
    _NUMBER: "a whole number",
    _TEXT: "a string",
    _FLAG: "0 or 1",
    _LIST: "a list",
}
_IMAGE: Fields = {"id": Id, "file_name": _TEXT, "width": _NUMBER, "height": _NUMBER}
_CATEGORY: Fields = {"id": Id, "name": _TEXT}
INSTANCES: Shape = {
    "images": _IMAGE,
    "categories": _CATEGORY,
    "annotations": {"id": Id, "image_id": Id, "category_id": Id},
}
PANOPTIC: Shape = {
    "images": _IMAGE,
    "categories": {**_CATEGORY, "isthing": _FLAG},
    "annotations": {"image_id": Id, "file_name": _TEXT, "segments_info": _LIST},
}


def read_annotations(path: Path, shape: Shape, mend: Mend | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """Reads an annotation file and judges its structure.

    Ids are as in the file; whole floats among them are turned into the numbers that they stand for.

    Args:
        path: the JSON file.
        shape: `INSTANCES` or `PANOPTIC`.
        mend: changes the content before it is judged, and returns what is worth a word then.

    Returns:
        the content and what is wrong with its structure; where an error is, the content must not be used.
    """
    try:
        data = read_json(path)
    except ValueError as error:
        return {}, [Problem("structure", str(error).removeprefix(f"{path} "), file=path.name)]
    said = mend(data) if mend else []
    faults = list(judge_structure(data, shape))
    if not faults:
        _normalise_ids(data, shape)
        faults = list(_judge_references(data))
    return data, [*said, *(Problem("structure", what, file=path.name) for what in faults)]


def judge_structure(data: Any, shape: Shape) -> Iterator[str]:
    """Says what a document lacks of the lists and fields of `shape`; of a sound one nothing."""
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


def _judge_record(record: Any, fields: Fields) -> str | None:
    if not isinstance(record, dict):
        return "is not an object"
    for name, kind in fields.items():
        value = record.get(name)
        if not (as_id(value) is not None if kind is Id else type(value) in kind):
            return f"has {name} = {shorten(value)}, which must be {_WORDS[kind]}"
    if "width" in fields:
        sides = record["width"], record["height"]
        if not 1 <= min(sides) <= max(sides) <= LARGEST_SIDE_PX or sides[0] * sides[1] > MOST_PIXELS:
            return f"has a size of {shorten(sides[0])} x {shorten(sides[1])} px"
    return None


def _normalise_ids(data: Mapping[str, Any], shape: Shape) -> None:
    for section, fields in shape.items():
        for name in (name for name, kind in fields.items() if kind is Id):
            for record in data[section]:
                if type(record[name]) is float:
                    record[name] = as_id(record[name])


def _judge_references(data: Mapping[str, Any]) -> Iterator[str]:
    """Finds annotations whose image is known, but by a text instead of a number or the other way round."""
    known = {image["id"] for image in data["images"]}
    texts = {str(own): own for own in known}
    for index, annotation in enumerate(data["annotations"]):
        image_id = annotation["image_id"]
        if image_id not in known and str(image_id) in texts:
            yield (
                f"annotations[{index}] has image_id = {image_id!r}, but the image's id is {texts[str(image_id)]!r}: "
                "write both as numbers, or both as strings"
            )


def judge_ids(data: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Finds images, annotations and categories that share an id; 1 and "1" are one id, for most tools read them so."""
    for section, what in (("images", "image"), ("categories", "category"), ("annotations", "annotation")):
        for group in alike(record["id"] for record in data[section] if "id" in record):
            same = len(set(map(repr, group))) == 1
            yield Problem(
                f"duplicate-{what}-id",
                f"{what} id {group[0]} is used {len(group)} times{'' if same else ', as a number and as a string'}",
                image_id=group[0] if what == "image" else None,
                annotation_id=group[0] if what == "annotation" else None,
                file=file,
            )


def categories_in_order(categories: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sorts categories by id, as COCO does, and tells those of one name apart: `car (id 3)`, `car (id 7)`.

    What is said or kept by class goes by name, so no two classes may share one.
    """
    ordered = [dict(category) for category in sorted(categories, key=lambda category: id_order(category["id"]))]
    marks = [f"id {own['id']}" for own in ordered]
    while shared := _shared({own["id"]: own["name"] for own in ordered}.values()):
        for own, mark in zip(ordered, marks, strict=True):
            if own["name"] in shared:
                own["name"] += f" ({mark})"
        marks = [str(place) for place in range(1, len(ordered) + 1)]  # ids can read alike: 1 and "1"
    return ordered


@cache
def say_once(what: str) -> None:
    """Logs a warning, and the same one never again."""
    logger.warning(what)


def _shared(names: Iterable[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}


def judge_names(data: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Finds categories that share a name."""
    given = {category["name"] for category in data["categories"]}
    apart = [own["name"] for own in categories_in_order(data["categories"]) if own["name"] not in given]
    if apart:
        yield Problem("same-name", f"they are distinguished as {', '.join(apart)}", file=file)


def judge_files(data: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Finds images that have one file, as files have that were joined."""
    first: dict[str, Id] = {}
    for image in data["images"]:
        if (other := first.setdefault(image["file_name"], image["id"])) != image["id"]:
            what = f"{image['file_name']} is the file of image {other} as well"
            yield Problem("same-file", what, image_id=image["id"], file=file)


def judge_annotations(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Finds what is wrong with each annotation of an instances file, and images without any."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    masks_expected = any(annotation.get("segmentation") for annotation in data["annotations"])
    learnable, seen = False, set()
    boxes: dict[tuple[Id, Id, str], Id] = {}
    for annotation in data["annotations"]:
        image_id = annotation["image_id"]
        seen.add(image_id)
        findings = list(_judge_annotation(annotation, sizes.get(image_id), categories, masks_expected))
        learnable |= not any(Problem(kind, "").action in {"drop", "stop"} for kind, _ in findings)
        own = (image_id, annotation["category_id"], repr(annotation.get("bbox")))
        if not findings and (other := boxes.setdefault(own, annotation["id"])) != annotation["id"]:
            findings.append(("same-box", f"bbox is {annotation['bbox']}, as of annotation {other}"))
        for kind, what in findings:
            yield Problem(kind, what, image_id=image_id, annotation_id=annotation["id"])
    for image in data["images"]:
        if image["id"] not in seen:
            yield Problem("empty-image", "nothing is annotated", image_id=image["id"], file=image["file_name"])
    if is_in_shares([annotation.get("bbox") for annotation in data["annotations"]], sizes.values()):
        yield Problem("shares", f"none of {len(data['annotations'])} boxes is larger than 1 px: write them in pixels")
    if not learnable:
        yield Problem("empty-dataset", f"none of {len(data['annotations'])} annotations can be used for training")


def _judge_annotation(
    annotation: Mapping[str, Any], size: Size | None, categories: set[Id], masks_expected: bool
) -> Iterator[Finding]:
    if annotation["category_id"] not in categories:
        yield "unknown-category", f"category id {annotation['category_id']!r} is not in the list of categories"
        return
    if size is None:
        yield "unknown-image", f"image id {annotation['image_id']!r} is not in the list of images"
        return
    if is_set(annotation.get("iscrowd")):
        yield "crowd", "a crowd region"
    elif is_crowd(annotation):
        yield "crowd", "`ignore` is set: nothing is learnt from it, but it is scored, since pycocotools goes by iscrowd"
    box = annotation.get("bbox")
    if finding := judge_box(box, size) or _judge_area(annotation.get("area"), box):
        yield finding
    segmentation = annotation.get("segmentation")
    if segmentation:
        yield from judge_mask(segmentation, size)
    elif masks_expected:
        yield "no-mask", "a box without a mask"


def is_crowd(annotation: Mapping[str, Any]) -> bool:
    """Tells whether an annotation is a crowd, or marked to be ignored, from which nothing is learnt either."""
    return is_set(annotation.get("iscrowd")) or is_set(annotation.get("ignore"))


def is_set(flag: Any) -> bool:
    """Tells whether a flag is set, as a truth value, a number above 0, or one of them as a text: `1`, `1.0`, `True`.

    Open Images writes -1 for what is not known, and DOTA's evaluation takes any difficulty above 0.
    """
    if isinstance(flag, str):
        word = flag.strip().lower()
        if word in ("true", "yes"):
            return True
        try:
            flag = float(word)
        except ValueError:
            return False
    return isinstance(flag, int | float) and flag > 0


def is_in_shares(boxes: Iterable[Any], sizes: Iterable[Size]) -> bool:
    """Tells whether boxes of four numbers are in shares of their images' sides: all lie between 0 and 1.

    Args:
        boxes: of whatever form; others are passed over.
        sizes: `(height, width)` of the images, of which one that has a single pixel proves nothing.
    """
    ends = [box for box in boxes if isinstance(box, list) and len(box) == 4 and all(map(is_number, box))]
    return bool(ends) and all(0 <= end <= 1 for box in ends for end in box) and min(map(min, sizes), default=0) > 1


def _judge_area(area: Any, box: Any) -> Finding | None:
    if not (is_number(area) and is_finite(area)):
        return None  # it is computed
    largest = _AREA_TOLERANCE * (box[2] + 1) * (box[3] + 1)
    return None if 0 < area <= largest else ("wrong-area", f"area is {area:g}, bbox is {box}")


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
