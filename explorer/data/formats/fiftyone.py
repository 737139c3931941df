"""FiftyOne's own export of detections: `labels.json` with labels by file name, beside `data` with the images.

Boxes `[x, y, width, height]` are shares of the image. (`fiftyone.types.COCODetectionDataset` writes COCO's format,
which is read as such.)

Source: FiftyOne's documentation of `FiftyOneImageDetectionDataset`.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from explorer.data.annotations import is_set
from explorer.data.formats.document import Collector, Document, ForeignSplit, begins, number
from explorer.data.formats.table import file_named
from explorer.data.formats.yolo import ONLY_SPLIT
from explorer.reading import read_json

SAYS = "FiftyOne's labels.json has no masks and no image sizes; sizes are read from the images"
_FILE = "labels.json"
_BEGINNING = re.compile(r'\s*\{\s*"(classes|labels)"\s*:')


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the one split of a `labels.json`, or of the folder that holds it, or one per folder that does."""
    if path.is_file():
        return {ONLY_SPLIT: _found(path, images)} if path.suffix == ".json" and is_labels(path) else {}
    if is_labels(path / _FILE):
        return {ONLY_SPLIT: _found(path / _FILE, images)}
    return {own.parent.name: _found(own, None) for own in sorted(path.glob(f"*/{_FILE}")) if is_labels(own)}


def is_labels(path: Path) -> bool:
    """Tells whether a JSON file begins as such a file does."""
    return bool(_BEGINNING.match(begins(path, 200).decode(errors="replace")))


def _found(file: Path, images: Path | None) -> ForeignSplit:
    beside = file.parent / "data"
    folder = images or (beside if beside.is_dir() else file.parent)
    return ForeignSplit("FiftyOne", folder, lambda: (file,), partial(_read, file, folder))


def _read(file: Path, images: Path) -> Document:
    content = read_json(file)
    labels, classes = content.get("labels"), content.get("classes")
    if not isinstance(labels, dict):
        raise ValueError(f"{file} has no labels by image")
    listed = [str(name) for name in classes] if isinstance(classes, list) else []
    collected, used = Collector(file.parent, images, SAYS), list[str]()
    for key, objects in labels.items():
        name = file_named(key, images)
        size = collected.image(name)
        for own in (objects or ()) if size and isinstance(objects, list | None) else ():
            assert size is not None
            used += _take(collected, name, size, own, listed)
    return collected.document(listed or set(used))


def _take(collected: Collector, name: str, size: tuple[int, int], own: Any, classes: list[str]) -> list[str]:
    record = own if isinstance(own, dict) else {}
    label, box = record.get("label"), record.get("bounding_box")
    if type(label) is int and 0 <= label < len(classes):
        label = classes[label]
    if not isinstance(label, str) or (classes and label not in classes):
        collected.lose("unknown-category", f"label {str(label)[:40]!r} is none of the classes", name)
        return []
    if not isinstance(box, list) or len(box) != 4:
        collected.lose("bad-box", f"bounding_box is {str(box)[:80]}", name)
        return []
    sides = (size[1], size[0], size[1], size[0])
    attributes = record.get("attributes")
    crowd = isinstance(attributes, dict) and is_set(attributes.get("iscrowd"))
    values = [number(value) * side for value, side in zip(box, sides, strict=True)]
    collected.add(name, label, values, iscrowd=int(crowd))
    return [label]
