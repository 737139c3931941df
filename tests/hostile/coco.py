"""Annotations in COCO's format that are no JSON, of two meanings, endless, or lead elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.hostile.attacks import Attack, cut
from tests.hostile.images import encoded

PICTURE = encoded("PNG")
"""48 x 64 px."""
_FILE = "annotations/instances_val.json"
_NO_JSON, _TWICE, _DEEP = "cannot be read as JSON", "twice, and programs disagree", "more than 254 levels"
_STRUCTURE = "structure: "


def document(**changes: Any) -> dict[str, Any]:
    """A sound document of one object; keys of records are changed as `image_file_name=…`."""
    whole: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "height": 48, "width": 64}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}],
    }
    lists = {"image_": "images", "category_": "categories", "annotation_": "annotations"}
    records = {front: whole[name][0] for front, name in lists.items()}
    for name, value in changes.items():
        front = next((own for own in records if name.startswith(own)), "")
        (records[front] if front else whole)[name.removeprefix(front)] = value
    return whole


_SOUND = json.dumps(document())
_POLYGON = [[5, 5, 20, 5, 20, 20]]
_CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "a name that leads out": ({"image_file_name": "../../../../etc/passwd"}, "missing-image|unreadable-image|outside"),
    "an absolute name": ({"image_file_name": "/etc/passwd"}, "unreadable-image"),
    "a device as an image": ({"image_file_name": "/dev/zero"}, "unreadable-image"),
    "a pipe as an image": ({"image_file_name": "pipe"}, "unreadable-image.*pipe"),
    "a name with a zero byte": ({"image_file_name": "a\0.png"}, "unreadable-image.*No file can have such a name"),
    "a name with half a character": ({"image_file_name": "\ud800.png"}, "unreadable-image.*No file can have such"),
    "a name of a megabyte": ({"image_file_name": "a" * 10**6}, "unreadable-image"),
    "a name that is a list": ({"image_file_name": ["a.png"]}, _STRUCTURE),
    "no name": ({"image_file_name": None}, _STRUCTURE),
    "a width of 10^400": ({"image_width": 10**400}, _STRUCTURE),
    "a width of a billion": ({"image_width": 10**9}, "has a size of 1000000000 x 48"),
    "a size beyond 32 bits": ({"image_width": 10**6, "image_height": 10**6}, "has a size of 1000000 x 1000000"),
    "a width below 0": ({"image_width": -64}, _STRUCTURE),
    "a width that is NaN": ({"image_width": float("nan")}, _STRUCTURE),
    "a width that is no number": ({"image_width": True}, _STRUCTURE),
    "an id that is a list": ({"image_id": [1]}, _STRUCTURE),
    "an id that is no number": ({"image_id": float("nan")}, _STRUCTURE),
    "a category that is a list": ({"category_name": ["car"]}, _STRUCTURE),
    "an object of no image": ({"annotation_image_id": 2}, "unknown-image"),
    "an object of no category": ({"annotation_category_id": 10**30}, "unknown-category"),
    "a box of NaN": ({"annotation_bbox": [float("nan")] * 4}, "not-finite"),
    "a box of infinities": ({"annotation_bbox": [0, 0, float("inf"), 1]}, "not-finite"),
    "a box of 10^400": ({"annotation_bbox": [0, 0, 10**400, 1]}, "not-finite"),
    "a box of texts": ({"annotation_bbox": ["0", "0", "1", "1"]}, "bad-box"),
    "a box that is an object": ({"annotation_bbox": {"x": 1}}, "bad-box"),
    "a box without end": ({"annotation_bbox": [[[[[[[[1]]]]]]]] * 4}, "bad-box"),
    "a polygon of NaN": ({"annotation_segmentation": [[float("nan")] * 6]}, "not-finite"),
    "a polygon of 10^400": ({"annotation_segmentation": [[10**400] * 6]}, "not-finite"),
    "a polygon that is far outside": ({"annotation_segmentation": [[0, 0, 10**8, 0, 10**8, 10**8]]}, "far outside"),
    "a polygon of texts": ({"annotation_segmentation": [["1"] * 6]}, "bad-mask"),
    "a polygon that is short": ({"annotation_segmentation": [[1, 2, 3]]}, "short-polygon"),
    "a mask that is a number": ({"annotation_segmentation": 7}, "bad-mask"),
    "runs that cover more": ({"annotation_segmentation": {"size": [48, 64], "counts": [10**9, 10**9]}}, "bad-mask"),
    "runs below 0": ({"annotation_segmentation": {"size": [48, 64], "counts": [-1, 3073]}}, "bad-mask"),
    "runs of another size": ({"annotation_segmentation": {"size": [10**6, 10**6], "counts": [1]}}, "bad-mask"),
    "runs of no size": ({"annotation_segmentation": {"counts": [3072]}}, "bad-mask"),
    "runs that do not end": ({"annotation_segmentation": {"size": [48, 64], "counts": "o" * 9999}}, "bad-mask"),
    "runs of other letters": ({"annotation_segmentation": {"size": [48, 64], "counts": "\x00\xff~"}}, "bad-mask"),
    "runs that are a number": ({"annotation_segmentation": {"size": [48, 64], "counts": 3072}}, "bad-mask"),
    "no images": ({"images": []}, _STRUCTURE),
    "images that are an object": ({"images": {"id": 1}}, _STRUCTURE),
    "images that are texts": ({"images": ["a.png"]}, _STRUCTURE),
    "annotations that are null": ({"annotations": None}, _STRUCTURE),
    "categories that are numbers": ({"categories": [1]}, _STRUCTURE),
}
_TEXTS = {
    "no JSON": (b"{images: []}", _NO_JSON),
    "nothing": (b"", _NO_JSON),
    "zeros": (bytes(5000), _NO_JSON),
    "a picture": (PICTURE, _NO_JSON),
    "a key twice": (_SOUND.replace('"images"', '"images": [], "images"').encode(), _TWICE),
    "a box twice": (_SOUND.replace('"area"', '"bbox": [0, 0, 1, 1], "area"').encode(), 'the key "bbox" twice'),
    "a box twice, once escaped": (
        _SOUND.replace('"area"', r'"b\u0062ox": [0], "area"').encode(),
        'the key "bbox" twice',
    ),
    "100,000 levels": (b"[" * 100_000, _DEEP),
    "300 levels in a key that nobody reads": (
        _SOUND.replace('"area"', f'"x": {"[" * 300}{"]" * 300}, "area"').encode(),
        _DEEP,
    ),
    "a number of 5,000 digits": (_SOUND.replace("400", "4" * 5000).encode(), "4300 digits"),
    "Latin-1": (_SOUND.replace("car", "\xe9").encode("latin-1"), "not valid utf-8"),
    "two documents": ((_SOUND + _SOUND).encode(), "Extra data"),
    "a list": (b"[1, 2, 3]", _STRUCTURE),
    "a number": (b"7", _STRUCTURE),
}


def attacks() -> Iterator[Attack]:
    for title, (changes, says) in _CHANGED.items():
        content = json.dumps(document(**changes)).encode()
        files = {_FILE: content, "val/a.png": PICTURE, "val/pipe": None}
        yield Attack(f"{title}, COCO", "data set", files, says, ".")
    for title, (content, says) in _TEXTS.items():
        yield Attack(f"{title}, COCO", "data set", {_FILE: content, "val/a.png": PICTURE}, says, ".")
    for title, content in cut("COCO", _SOUND.encode(), times=8):
        yield Attack(title, "data set", {_FILE: content, "val/a.png": PICTURE}, _NO_JSON, ".")
    yield Attack("a pipe, COCO", "data set", {_FILE: None, "val/a.png": PICTURE}, "Is a device or a pipe", ".")
    yield Attack("a device, COCO", "data set", {_FILE: "/dev/zero", "val/a.png": PICTURE}, "Is a device or a pipe", ".")
    yield Attack("a link to itself, COCO", "data set", {_FILE: "instances_val.json"}, "cannot be read|symbolic", ".")
    two = document()
    two["images"] *= 2
    yield Attack(
        "an image twice, COCO", "data set", {_FILE: json.dumps(two).encode(), "val/a.png": PICTURE}, "used 2 times", "."
    )
    lvis = document(image_file_name=None, image_coco_url="http://127.0.0.1:9/../../etc/passwd")
    yield Attack(
        "an address that leads out, LVIS",
        "data set",
        {"lvis_val.json": json.dumps(lvis).encode()},
        "missing-image|unreadable",
        ".",
    )
