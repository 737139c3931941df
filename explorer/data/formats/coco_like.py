"""COCO files as other programs write them: paths of Windows, LVIS's images without names, Roboflow's class of all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from explorer.data.formats.document import clean_name, exists, leads_out
from explorer.data.problems import Problem

_URL = re.compile(r"^https?://.*?([^/]+/[^/]+)$")


def mend(data: Any, images: Path) -> list[Problem]:
    """Changes what is written otherwise than in COCO's own files, before it is judged.

    - `file_name`s with backslashes, or with folders in front that are not there, are written as the files are found
      (Label Studio).
    - Images without `file_name` get the last two parts of their `coco_url` (LVIS).
    - A class without objects that all others have as their `supercategory` is left out (Roboflow).

    Args:
        data: the content of a file, of any shape.
        images: folder that `file_name`s are relative to.

    Returns:
        what else these files say otherwise, as problems of kind `format`.
    """
    if not isinstance(data, dict):
        return []
    problems = []
    records = _records(data, "images")
    for image in records:
        _name(image, images)
    if any("neg_category_ids" in image for image in records):
        what = (
            "LVIS: classes that were not annotated exhaustively in an image are treated as absent; metrics are COCO's, "
            "in which a detection of such a class counts as false"
        )
        problems.append(Problem("format", what))
    if left := _class_of_all(data):
        what = f"Roboflow: the superclass {left!r} has no objects and is left out"
        problems.append(Problem("format", what))
    return problems


def _records(data: dict[str, Any], section: str) -> list[dict[str, Any]]:
    records = data.get(section)
    return [own for own in records if isinstance(own, dict)] if isinstance(records, list) else []


def _name(image: dict[str, Any], images: Path) -> None:
    name, url = image.get("file_name"), image.get("coco_url")
    if name is None and isinstance(url, str) and (found := _URL.match(url)):
        both = found[1]
        image["file_name"] = both if exists(images / both) else both.rpartition("/")[2]
    elif isinstance(name, str) and _is_foreign(name) and not exists(images / name):
        image["file_name"] = _as_found(clean_name(name, images), images)


def _is_foreign(name: str) -> bool:
    return "\\" in name or name.startswith(("images/", "data/")) or leads_out(name)


def _as_found(name: str, images: Path) -> str:
    """The longest end of a path that is a file in the folder; the path itself where none is."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    ends = ("/".join(parts[start:]) for start in range(len(parts)) if ".." not in parts[start:])
    return next((end for end in ends if exists(images / end)), name)


def _class_of_all(data: dict[str, Any]) -> str | None:
    categories = _records(data, "categories")
    if len(categories) < 2 or len(categories) < len(data["categories"]):
        return None
    above = categories[0]
    name = above.get("name")
    if above.get("supercategory") != "none" or any(own.get("supercategory") != name for own in categories[1:]):
        return None
    own = above.get("id")
    if any(annotation.get("category_id") == own for annotation in _records(data, "annotations")):
        return None
    del data["categories"][0]
    return str(name)
