"""CSV: a row per object, with the columns found by their names.

| what | columns |
| --- | --- |
| image | `image`, `filename`, `file_name`, `path`, …, or `image_id` alone, with or without a suffix |
| class | `class`, `label`, `name`, `category`, … |
| box | `xmin ymin xmax ymax` (also `x1 y1 x2 y2`, `left top right bottom`), `x y width height`, or `bbox` with four numbers in brackets, `[x, y, width, height]` |
| more | `iscrowd`; the object's `id`; `image_id` beside a file name |

Coordinates are pixels. Without a header, the order is that of keras-retinanet: `path, x1, y1, x2, y2, class`. A row with an
image alone is an image without objects. Commas, semicolons and tabs separate.
"""  # noqa: E501 - a table

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from explorer.data.annotations import is_set
from explorer.data.formats.document import (
    Collector,
    Document,
    ForeignSplit,
    begins,
    corner_box,
    exists,
    number,
    read_text,
)
from explorer.data.ids import Id
from explorer.data.images import SUFFIXES

SAYS = "CSV has no masks and no images without rows, and sorts classes by name"
Row = Mapping[str, str]

_IMAGE = ("image", "filename", "file_name", "image_path", "image_name", "img", "path", "filepath", "file", "image_id")
_CLASS = ("class", "label", "category", "class_name", "category_name", "name", "labels", "object")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_HEADLESS = ("path", "x1", "y1", "x2", "y2", "class")
_ANNOTATIONS = re.compile(r"(?i)^_?annotations[._-]?|[._-]?(annotations|labels)$")
_FOLDERS = ("images", "data")
_LONGEST_HEAD = 1 << 16


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the splits of a folder with CSV files, one per split, or of one file."""
    if path.is_file():
        if path.suffix.lower() != ".csv":
            return {}
        if not _is_boxes(path):
            raise ValueError(
                f"{path} has no columns of boxes: an image, a class, and xmin, ymin, xmax, ymax or x, y, width, height "
                "are needed in its first line"
            )
        folder = images or next((path.parent / own for own in _FOLDERS if (path.parent / own).is_dir()), path.parent)
        return {path.stem: _found(path, folder, [path])}
    files = {own.parent.name: own for own in sorted(path.glob("*/_annotations.csv"))}
    files |= {_ANNOTATIONS.sub("", own.stem) or own.stem: own for own in sorted(path.glob("*.csv"))}
    files = {name: own for name, own in files.items() if _is_boxes(own)}
    return {name: _found(own, _images(path, name, own), list(files.values())) for name, own in files.items()}


def _images(root: Path, name: str, file: Path) -> Path:
    if file.parent != root:
        return file.parent
    places = (root / name, *(root / own / name for own in _FOLDERS), *(root / own for own in _FOLDERS))
    return next((own for own in places if own.is_dir()), root)


def _found(file: Path, images: Path, every: Sequence[Path]) -> ForeignSplit:
    return ForeignSplit("CSV", images, lambda: (file,), partial(_read, file, images, every))


def _is_boxes(path: Path) -> bool:
    first = begins(path, _LONGEST_HEAD).decode("utf-8-sig", "replace").partition("\n")[0]
    columns = dict.fromkeys(_split(first, path)[0], "")
    return _column(columns, _IMAGE) is not None and _places(columns) is not None


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Yields the rows of a CSV file by column names in small letters.

    Raises:
        ValueError: it cannot be read, or is no CSV.
    """
    header, rows = _open(path)
    for words in rows:
        if words:
            yield dict.fromkeys(header, "") | {key: word.strip() for key, word in zip(header, words, strict=False)}


def _open(path: Path) -> tuple[list[str], list[list[str]]]:
    """The columns' names and the rows of words."""
    header, rows = _split(read_text(path), path)
    if twice := next((word for word in header if word and header.count(word) > 1), None):
        raise ValueError(f"{path} has two columns {twice[:40]!r}: rename or remove one")
    return header, rows


def _split(text: str, path: Path) -> tuple[list[str], list[list[str]]]:
    rows = words_of(text, path, max(",;\t", key=text.partition("\n")[0].count))
    header = [word.strip().lower() for word in rows[0]] if rows else []
    headless = len(header) == len(_HEADLESS) and all(math.isfinite(number(word)) for word in header[1:5])
    return (list(_HEADLESS), rows) if headless else (header, rows[1:])


def words_of(text: str, path: Path, delimiter: str = ",") -> list[list[str]]:
    """The rows of a CSV file's text.

    Raises:
        ValueError: it is no CSV.
    """
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"{path} is not CSV: {error}") from error


def _read(file: Path, images: Path, every: Sequence[Path]) -> Document:
    collected, names = Collector(images, images, SAYS), set[str]()
    for own in every:
        if own != file:
            names.update(filter(None, (_value(row, _CLASS) for row in rows_of(own))))
    folders: dict[str, str] = {}
    for line, row in enumerate(rows_of(file), start=2):
        name = file_named(_value(row, _IMAGE), images)
        folder = "/".join(part for part in _value(row, _IMAGE).replace("\\", "/").split("/")[:-1] if part.strip("."))
        if folder and (other := folders.setdefault(name, folder)) != folder:
            what = f"{name} would be the image of {other} and of {folder}: give each a file of its own"
            collected.lose("structure", what, f"{file.name}, line {line}")
            continue
        own_id = as_written(row["image_id"]) if row.get("image_id") and _column(row, _IMAGE) != "image_id" else None
        if not collected.image(name, _size(row), own_id):
            continue
        category, where = _value(row, _CLASS), f"{file.name}, line {line}"
        box = _box(row)
        if category and box:
            keys = {"id": as_written(row["id"])} if row.get("id") else {}
            crowd = {"iscrowd": 1} if is_set(row.get("iscrowd")) else {}
            names.add(category)
            collected.add(name, category, box, **keys, **crowd)
        elif category or box:
            collected.lose("bad-box", f"a row with a {'class' if category else 'box'} alone", where)
    return collected.document(names)


def file_named(name: str, folder: Path) -> str:
    """The file that a name means which may lack its suffix, or its folder where the file lies without it."""
    name = name.replace("\\", "/")
    for own in (name, name.rpartition("/")[2]):
        with_suffix = (f"{own}{suffix}" for suffix in SUFFIXES)
        if found := next((given for given in (own, *with_suffix) if given and exists(folder / given)), None):
            return found
    return name


def as_written(text: str) -> Id:
    """An id from a text: the number that is written so, else the text."""
    return int(text) if len(text) < 19 and text.isascii() and text.isdigit() and str(int(text)) == text else text


def _column(row: Row, choices: Iterable[str]) -> str | None:
    return next((name for name in choices if name in row), None)


def _value(row: Row, choices: Iterable[str]) -> str:
    column = _column(row, choices)
    return row[column] if column else ""


def _places(row: Row) -> tuple[str, ...] | None:
    named = (names for names in (*_CORNERS, *_SIDES) if all(name in row for name in names))
    return next(named, ("bbox",) if "bbox" in row else None)


def _size(row: Row) -> tuple[int, int] | None:
    """The image's size; `width` and `height` are its where the box has corners, unless they are the box's own."""
    boxed, box = set(_places(row) or ()), _box(row)
    for names in (("image_height", "image_width"), ("img_height", "img_width"), ("height", "width")):
        values = [number(row.get(name)) for name in names if name not in boxed]
        if box and len(values) == 2 and abs(box[3] - values[0]) <= 1 and abs(box[2] - values[1]) <= 1:
            continue  # the file says it, also of an image that an object fills
        if len(values) == 2 and all(1 <= value < 1e9 for value in values):
            return int(values[0]), int(values[1])
    return None


def _box(row: Row) -> list[float] | None:
    names = _places(row) or ()
    words = (
        row[names[0]].strip("[]() ").replace(",", " ").split() if names == ("bbox",) else [row[own] for own in names]
    )
    if not any(words):
        return None
    values = [number(word) for word in words]
    if names in _CORNERS:
        return corner_box(*values)
    return values
