"""Detections as rows: CSV, the text files that Ultralytics saves, and NumPy's columns of supervision's `Detections`.

Source: Ultralytics' documentation of `save_txt` and `save_conf`; supervision's of `CSVSink` and `Detections`.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from explorer.data.formats.document import read_text
from explorer.reading import open_file
from explorer.scoring.foreign.boxes import Box, CategoryId, IdOrName, NameOrPlace
from explorer.types import Array

_IMAGES = ("image", "file_name", "filename", "image_path", "filepath", "image_name", "image_id")
_LABELS = ("class_name", "category_name", "label", "class", "category", "name", "class_id", "category_id")
_SCORES = ("score", "confidence", "conf")
_CORNERS = (("x1", "y1", "x2", "y2"), ("x_min", "y_min", "x_max", "y_max"), ("xmin", "ymin", "xmax", "ymax"))
_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"))
_LARGEST_ARRAYS_BYTES = 2**30
_ARRAYS = {"xyxy", "confidence", "class_id", "class_name", "file_name"}
_HEAD = (
    "a column for the file of the image (image, file_name), the class (class, label, class_id), the score (score, "
    "confidence) and the box (x1,y1,x2,y2, or x,y,width,height) in pixels"
)


def is_row(entry: Mapping[str, Any]) -> bool:
    """Tells whether an object with these keys is a detection in columns."""
    return _coordinates(entry) is not None and _first(entry, _SCORES) is not None


def row_box(row: Mapping[str, Any], image: str | None, where: str) -> Box:
    """Turns a row into a detection.

    Args:
        row: values by the name of their column.
        image: on which it is where the row does not say.
        where: what to call it in errors.

    Raises:
        ValueError: a column is missing.
    """
    names, is_sides = _coordinates(row) or ((), False)
    score, label, own = (_first(row, known) for known in (_SCORES, _LABELS, _IMAGES))
    image = (IdOrName if own == "image_id" else str)(row[own]) if own else image
    if not names or score is None or label is None or not image:
        raise ValueError(f"{where} has the columns {', '.join(map(str, row))}; it needs {_HEAD}")
    values = [row[name] for name in names]
    if is_sides:
        x, y, w, h = (_float(value, where) for value in values)
        values = [x, y, x + w, y + h]
    return Box(image, _label(row[label], label), values, row[score], where=where)


def boxes_in_csv(path: Path) -> Iterator[Box]:
    """Reads a CSV file with a head; a row per detection.

    Raises:
        ValueError: it is no such file.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        names = [own for name in reader.fieldnames or () if (own := name.strip().lower())]
        if len(set(names)) < len(names):
            raise ValueError(f"two of its columns are called alike: {', '.join(names)[:200]}")
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has another number of values than the head has names")
            known = {name.strip().lower(): value.strip() for name, value in row.items()}
            yield row_box(known, None, f"line {reader.line_num}")
    except csv.Error as error:
        raise ValueError(f"it cannot be read as CSV: {error}") from error


def boxes_in_labels(path: Path) -> Iterator[Box]:
    """Reads a text file of Ultralytics: a line `class x_center y_center width height confidence` per detection.

    Raises:
        ValueError: a line is another.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words, where = line.split(), f"line {number} of {path.name}"
        if not words:
            continue
        if len(words) == 5:
            raise ValueError(f"{where} has no score: let Ultralytics save it (save_txt=True, save_conf=True)")
        if len(words) not in (6, 7):  # the seventh is a track's id
            raise ValueError(
                f"{where} has {len(words)} values; it must have class, x_center, y_center, width, height, confidence"
            )
        x, y, w, h, score = (_float(word, where) for word in words[1:6])
        if score > 1:
            raise ValueError(
                f"{where} has the confidence {words[5]}, which is above 1: if it is a track's id, let Ultralytics save "
                "confidences as well (save_conf=True)"
            )
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        yield Box(path.stem, _label(words[0], "class_id"), corners, score, relative=True, where=where)


def boxes_in_arrays(path: Path) -> Iterator[Box]:
    """Reads `numpy.savez` of the columns of supervision's `Detections`: `xyxy`, `confidence` and `class_id`.

    `class_name` names classes; `file_name` has each detection's image, else all are on the one that the file is called
    like.

    Raises:
        ValueError: it is no such file; objects in it are not unpickled.
    """
    columns = _columns(path)
    corners, scores = columns.get("xyxy"), columns.get("confidence")
    labels = columns.get("class_name", columns.get("class_id"))
    if corners is None or scores is None or labels is None:
        raise ValueError(f"{path.name} has {', '.join(columns) or 'nothing'}; it needs xyxy, confidence and class_id")
    images = columns.get("file_name", np.full(scores.shape, path.stem))
    if scores.ndim != 1 or corners.shape != (*scores.shape, 4) or not labels.shape == images.shape == scores.shape:
        raise ValueError(f"{path.name}: xyxy must be (N, 4), and confidence, class_id and file_name (N,)")
    rows = zip(images.tolist(), labels.tolist(), corners.tolist(), scores.tolist(), strict=True)
    for place, (image, label, box, score) in enumerate(rows):
        yield Box(image, label, box, score, where=f"detection {place} (counted from 0) of {path.name}")


def _columns(path: Path) -> dict[str, Array]:
    """Reads the arrays of an `.npz` file that have a meaning here; what one says of its shape must fit its length."""
    columns: dict[str, Array] = {}
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            members = {own.filename.removesuffix(".npy"): own for own in archive.infolist()}
            size = sum(own.file_size for own in members.values())
            if size > _LARGEST_ARRAYS_BYTES:
                raise ValueError(f"it would take {size / 2**30:.1f} GiB; {_LARGEST_ARRAYS_BYTES // 2**30} at most")
            if len(members) < len(archive.infolist()):
                raise ValueError("it has two arrays of one name")
            for name in _ARRAYS & members.keys():
                with archive.open(members[name]) as array:
                    columns[name] = _array(array.read(), name)
    except Exception as error:  # zip archives and packed data raise almost anything
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{path.name} cannot be read as NumPy's arrays: {said}") from error
    return columns


def _array(content: bytes, name: str) -> Array:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{name} has Python objects, which are code: save numbers and strings")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{name} has another length than its head says")
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _coordinates(row: Mapping[str, Any]) -> tuple[tuple[str, ...], bool] | None:
    for known, is_sides in ((_CORNERS, False), (_SIDES, True)):
        for names in known:
            if all(name in row for name in names):
                return names, is_sides
    return None


def _first(row: Mapping[str, Any], known: tuple[str, ...]) -> str | None:
    return next((name for name in known if row.get(name) not in (None, "")), None)


def _label(value: Any, column: str) -> Any:
    """What a column says of a class: its place (`class_id`), its id in the data (`category_id`), or its name."""
    if column == "category_id":
        return CategoryId(value)
    if column != "class_id":
        return NameOrPlace(value) if isinstance(value, str) else value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _float(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} has {value!r}, which must be a number") from error
