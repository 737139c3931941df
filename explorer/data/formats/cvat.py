"""CVAT's own format for images, version 1.1: one XML file with all images, beside them or above `images`.

Boxes, polygons, ellipses and masks are objects; rotated boxes and ellipses are read as the upright boxes around them;
points, lines, skeletons and tags are left out, which is said. Subsets are splits.

Source: CVAT's documentation of "CVAT for images".
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from pycocotools import mask as mask_api

from explorer.data.formats.document import Collector, Document, ForeignSplit, corner_box, exists, number, polygon_box
from explorer.data.formats.markup import read_xml, text_of
from explorer.data.formats.table import as_written, file_named
from explorer.data.formats.yolo import ONLY_SPLIT

SAYS = "CVAT has no crowds; classes are in the order of its labels; rotated boxes are read as axis-aligned ones"
_FILES = ("annotations.xml", "labels.xml")
"""CVAT's own name, and FiftyOne's."""
_FOLDERS = ("images", "data")
_MOST_RUNS = 1 << 26


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the splits (subsets) of an `annotations.xml`, or of the folder that holds one."""
    file = path if path.is_file() else next((path / own for own in _FILES if exists(path / own)), path / _FILES[0])
    if file.suffix != ".xml" or not exists(file):
        return {}
    tree = read_xml(file)
    if tree.tag != "annotations":
        if path.is_file():
            raise ValueError(
                f"{path} is not an annotation file of CVAT: it begins with <{tree.tag}>, not <annotations>"
            )
        return {}
    if tree.find("track") is not None:
        raise ValueError(f"{file} is CVAT's format for video: export it as 'CVAT for images 1.1'")
    subsets = sorted({own.get("subset") or ONLY_SPLIT for own in tree.findall("image")}) or [ONLY_SPLIT]
    folder = images or next((file.parent / own for own in _FOLDERS if (file.parent / own).is_dir()), file.parent)
    return {name: ForeignSplit("CVAT", folder, lambda: (file,), partial(_read, file, folder, name)) for name in subsets}


def _read(file: Path, images: Path, subset: str) -> Document:
    tree = read_xml(file)
    collected = Collector(file.parent, images, SAYS)
    labels = [text_of(own, "name") for own in tree.iterfind("meta//labels/label") if own.find("parent") is None]
    for image in tree.findall("image"):
        if (image.get("subset") or ONLY_SPLIT) == subset:
            labels += _take(collected, images, image)
    return collected.document([name for name in labels if name])


def _take(collected: Collector, images: Path, image: Element) -> list[str]:
    """Takes an image with its objects over, and returns the labels that these have."""
    said = image.get("name", "")
    name = file_named(said, images / image.get("subset", "")) if said and not exists(images / said) else said
    name = f"{image.get('subset')}/{name}" if name and not exists(images / name) and image.get("subset") else name
    given = [number(image.get(side)) for side in ("height", "width")]
    whole = (int(given[0]), int(given[1])) if all(1 <= value < 1e9 for value in given) else None
    own_id = as_written(image.get("id", "")) if image.get("id") else None
    size = collected.image(name, whole, own_id)
    used = []
    for shape in image if size else ():
        label = shape.get("label", "")
        taken = _SHAPES.get(shape.tag)
        if taken is None:
            collected.lose("no-object", f"{shape.tag} {label!r}", name)
            continue
        assert size is not None
        try:
            box, keys = taken(shape, size)
        except (ValueError, OverflowError, IndexError) as error:
            collected.lose("bad-box", f"{shape.tag} {label!r}: {error}", name)
            continue
        used.append(label)
        collected.add(name, label, box, **keys)
    return used


Taken = tuple[list[float], dict[str, Any]]


def _box(shape: Element, size: tuple[int, int]) -> Taken:
    x1, y1, x2, y2 = (number(shape.get(key)) for key in ("xtl", "ytl", "xbr", "ybr"))
    turned = math.radians(number(shape.get("rotation", "0")))
    return _turned((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, turned) if turned else corner_box(x1, y1, x2, y2), {}


def _turned(x: float, y: float, width: float, height: float, angle: float) -> list[float]:
    """The upright box around one of a centre and sides that is turned by an angle."""
    across = abs(width * math.cos(angle)) + abs(height * math.sin(angle))
    down = abs(width * math.sin(angle)) + abs(height * math.cos(angle))
    return [x - across / 2, y - down / 2, across, down]


def _ellipse(shape: Element, size: tuple[int, int]) -> Taken:
    x, y, rx, ry = (number(shape.get(key)) for key in ("cx", "cy", "rx", "ry"))
    angle = math.radians(number(shape.get("rotation", "0")))
    across = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
    down = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
    return [x - across, y - down, 2 * across, 2 * down], {}


def _polygon(shape: Element, size: tuple[int, int]) -> Taken:
    points = [number(word) for pair in shape.get("points", "").split(";") for word in pair.split(",")]
    return polygon_box(points), {"segmentation": [points]}


def _mask(shape: Element, size: tuple[int, int]) -> Taken:
    """Run lengths row by row, background first, within a box."""
    left, top, width, height = (int(shape.get(key, "")) for key in ("left", "top", "width", "height"))
    runs = [int(word) for word in shape.get("rle", "").split(",")]
    if not (left >= 0 and top >= 0 and 0 < width <= size[1] - left and 0 < height <= size[0] - top):
        raise ValueError(f"a mask of {width} x {height} px at ({left}, {top}) is not inside of the image")
    if min(runs) < 0 or sum(runs) != width * height or sum(runs) > _MOST_RUNS:
        raise ValueError(f"its run lengths cover {sum(runs)} px, its box has {width * height}")
    values = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8).reshape(height, width)
    whole = np.zeros(size, dtype=np.uint8, order="F")
    whole[top : top + height, left : left + width] = values
    rle = mask_api.encode(whole)
    return mask_api.toBbox(rle).tolist(), {"segmentation": {"size": list(size), "counts": rle["counts"].decode()}}


_SHAPES = {"box": _box, "ellipse": _ellipse, "polygon": _polygon, "mask": _mask}
