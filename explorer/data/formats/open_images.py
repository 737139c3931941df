"""Open Images: `<split>-annotations-bbox.csv` with corners in shares of the image, and a file of the classes' names.

Images are `<split>/<ImageID>.jpg`, or in `data` where FiftyOne downloaded them (`labels/detections.csv`,
`metadata/classes.csv`). Boxes of groups (`IsGroupOf`) are crowds, as its own challenge treats them.

Source: Open Images' download page, version 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from explorer.data.annotations import is_set
from explorer.data.formats.document import (
    Collector,
    Document,
    ForeignSplit,
    corner_box,
    exists,
    number,
    read_text,
    scaled,
)
from explorer.data.formats.table import file_named, rows_of, words_of

SAYS = (
    "Open Images has no image sizes, which are read from the images; boxes of groups are crowds, and labels of classes "
    "that are verified as absent are not used"
)
_SUFFIX = "annotations-bbox"
_NAMES = ("class-descriptions-boxable.csv", "class-descriptions.csv", "classes.csv")
_PLACES = ("", "annotations", "metadata", "csv")


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the splits of a folder in the layout of Open Images, or of one of its files."""
    if path.is_file():
        root = path.parent
        files = [path] if path.suffix == ".csv" and _SUFFIX in path.stem else []
    else:
        root = path
        files = [own for place in _PLACES for own in sorted((path / place).glob(f"*{_SUFFIX}*.csv"))]
        files += [own for own in (path / "labels/detections.csv",) if exists(own)]
    found = {}
    for file in files:
        name = file.stem.removeprefix("oidv6-").partition(f"-{_SUFFIX}")[0]
        name = "all" if name == "detections" else name
        places = (root / name, root / "images" / name, root / "images", root / "data")
        folder = images or next((own for own in places if own.is_dir()), root)
        names = next((root / place / own for place in _PLACES for own in _NAMES if exists(root / place / own)), None)
        found[name] = ForeignSplit(
            "Open Images",
            folder,
            lambda file=file, names=names: (file, *([names] if names else [])),  # type: ignore[misc]
            partial(_read, root, file, folder, names),
        )
    return found


def _read(root: Path, file: Path, images: Path, names_file: Path | None) -> Document:
    names = _class_names(names_file) if names_file else {}
    collected, used = Collector(root, images, SAYS), set[str]()
    for row in rows_of(file):
        if not row.get("imageid"):
            raise ValueError(f"{file} has no column ImageID")
        name = file_named(row["imageid"], images)
        size = collected.image(name)
        if size is None:
            continue
        height, width = size
        x1, x2, y1, y2 = (number(row.get(key)) for key in ("xmin", "xmax", "ymin", "ymax"))
        label = row.get("labelname", "")
        category = names.get(label, label)
        used.add(category)
        box = scaled(corner_box(x1, y1, x2, y2), width, height)
        collected.add(name, category, box, iscrowd=int(is_set(row.get("isgroupof"))))
    return collected.document({*names.values()} or used)


def _class_names(path: Path) -> Mapping[str, str]:
    """Names by label: a file of two columns, with or without a header."""
    rows = [row for row in words_of(read_text(path), path) if len(row) >= 2]
    return {row[0].strip(): row[1].strip() for row in rows if row[0].strip() != "LabelName"}
