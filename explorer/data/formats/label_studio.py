"""Label Studio's own JSON, a list of tasks, and its short form ("JSON-MIN"); images beside it or in `images`.

Rectangles, polygons and ellipses are objects, in hundredths of the image's sides; turned rectangles and ellipses are
read as the upright boxes around them. Brush masks, key points and choices are left out, which is said. (Its COCO export
is `result.json` and its YOLO export has `classes.txt`: both are read as such.)

Source: Label Studio's documentation of its JSON export.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from explorer.data.formats.document import Collector, Document, ForeignSplit, begins, exists, number, polygon_box
from explorer.data.formats.table import file_named
from explorer.reading import read_json

SAYS = "Label Studio has no crowds; of several annotations of a task the first that was not cancelled is taken"
_BEGINNING = re.compile(rb"\s*\[\s*\{")
_WORDS = (b'labels"', b'"annotations"', b'"file_upload"')
_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the one split of each JSON file of tasks."""
    files = [path] if path.is_file() else sorted(path.glob("*.json"))
    found = {}
    for file in files:
        if file.suffix == ".json" and is_tasks(file):
            folder = images or next(
                (file.parent / own for own in ("images",) if (file.parent / own).is_dir()), file.parent
            )
            listed = partial(tuple[Path, ...], (file,))
            found[file.stem] = ForeignSplit("Label Studio", folder, listed, partial(_read, file, folder))
    return found


def is_tasks(path: Path) -> bool:
    """Tells whether a JSON file begins as a list of tasks does."""
    begin = begins(path, 1 << 16)
    return bool(_BEGINNING.match(begin)) and any(word in begin for word in _WORDS)


def _read(file: Path, images: Path) -> Document:
    tasks = read_json(file)
    collected, names = Collector(file.parent, images, SAYS), set[str]()
    for task in tasks if isinstance(tasks, list) else ():
        if not isinstance(task, dict):
            raise ValueError(f"{file} holds a {type(task).__name__} among its tasks")
        shapes = list(_shapes(task))
        name, size = _image(task, images), next((own for _, own in shapes if own), None)
        own_id = task.get("id") if type(task.get("id")) is int else None
        if whole := collected.image(name, size, own_id):
            for value, _ in shapes:
                names |= _take(collected, name, whole, value)
    return collected.document(names)


def _image(task: Mapping[str, Any], images: Path) -> str:
    """The image's file: of a task's address the path, its last part, or that as it was before the upload."""
    data = task.get("data")
    known = data if isinstance(data, dict) else task
    texts = [own for key, own in known.items() if isinstance(own, str) and key != "file_upload"]
    said = known.get("image") if isinstance(known.get("image"), str) else next(iter(texts), "")
    path = unquote(str(said).partition("?d=")[2] or str(said))
    last = path.replace("\\", "/").rpartition("/")[2]
    for own in (path, last, str(task.get("file_upload") or ""), _UPLOADED.sub("", last)):
        if own and exists(images / (found := file_named(own, images))):
            return found
    return last


def _shapes(task: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], tuple[int, int] | None]]:
    """The values of a task's shapes, with the `(height, width)` of the image that they say."""
    annotations = task.get("annotations")
    if isinstance(annotations, list):
        valid = (own for own in annotations if isinstance(own, dict) and not own.get("was_cancelled"))
        results = next(valid, {}).get("result")
    else:
        results = [own for value in task.values() if isinstance(value, list) for own in value]
    images = set[str]()
    for result in results if isinstance(results, list) else ():
        if isinstance(result, dict):
            _refuse_what_is_not_read(result, images, task.get("id"))
            value = result.get("value", result)
            height, width = (number(result.get(key)) for key in ("original_height", "original_width"))
            size = (int(height), int(width)) if 1 <= height < 1e9 and 1 <= width < 1e9 else None
            if isinstance(value, dict):
                yield value, size


def _refuse_what_is_not_read(result: Mapping[str, Any], images: set[str], task: Any) -> None:
    """Refuses shapes on a second image of a task, and on an image that was turned: they would be in another place.

    Args:
        result: a shape.
        images: the names of the task's images so far, to which its own is added.
        task: the task's id.
    """
    if result.get("type") in _KINDS and isinstance(name := result.get("to_name"), str):
        images.add(name)
    if len(images) > 1:
        raise ValueError(
            f"task {task} has shapes on several images, {', '.join(sorted(images))}; give each its own task"
        )
    if turned := result.get("image_rotation"):
        raise ValueError(f"task {task} has an image turned by {turned}°: turn the file itself and annotate it as it is")


def _take(collected: Collector, name: str, size: tuple[int, int], value: Mapping[str, Any]) -> set[str]:
    kind = next((own for own in _KINDS if value.get(own)), None)
    labels = value.get(kind) if kind else None
    if not isinstance(labels, list):
        what = next(
            (str(own) for own in value if str(own).endswith(("labels", "choices", "text"))), "a shape without label"
        )
        collected.lose("no-object", what, name)
        return set()
    height, width = size
    keys: dict[str, Any] = {}
    if kind == "polygonlabels":
        pairs = [own for own in value.get("points") or () if isinstance(own, list) and len(own) == 2]
        points = [number(own) * side / 100 for pair in pairs for own, side in zip(pair, (width, height), strict=True)]
        box, keys = polygon_box(points), {"segmentation": [points]}
    elif kind == "ellipselabels":
        x, rx = (number(value.get(key)) * width / 100 for key in ("x", "radiusX"))
        y, ry = (number(value.get(key)) * height / 100 for key in ("y", "radiusY"))
        angle = math.radians(number(value.get("rotation") or 0))
        across = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
        down = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
        box = [x - across, y - down, 2 * across, 2 * down]
    else:
        x, w = (number(value.get(key)) * width / 100 for key in ("x", "width"))
        y, h = (number(value.get(key)) * height / 100 for key in ("y", "height"))
        angle = math.radians(number(value.get("rotation") or 0))
        box = _turned(x, y, w, h, angle) if angle else [x, y, w, h]
    for label in labels[:1]:
        collected.add(name, str(label), box, **keys)
    for label in labels[1:]:
        collected.lose("no-object", f"another label {str(label)[:40]!r} of a shape", name)
    return {str(label) for label in labels[:1]}


def _turned(x: float, y: float, width: float, height: float, angle: float) -> list[float]:
    """The upright box around one that is turned around its upper left corner."""
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [(a * width * cos - b * height * sin, a * width * sin + b * height * cos) for a in (0, 1) for b in (0, 1)]
    return polygon_box([value for dx, dy in corners for value in (x + dx, y + dy)])
