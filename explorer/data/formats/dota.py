"""DOTA: oriented boxes of aerial photographs, read as the upright boxes around them.

A text file per image in `labelTxt` (also `labelTxt-v1.0` and the like), beside `images`, in the folder itself or in one
per split: `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, in pixels, after lines `imagesource:…` and `gsd:…`.

Source: DOTA's description of its annotation format; `labelTxt`'s horizontal boxes are these hulls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from explorer.data.annotations import is_set
from explorer.data.formats.document import (
    DIFFICULT,
    Collector,
    Document,
    ForeignSplit,
    images_below,
    number,
    polygon_box,
    read_text,
)
from explorer.data.formats.yolo import ONLY_SPLIT

SAYS = (
    "DOTA has no masks; oriented boxes are read as their axis-aligned bounding boxes, and difficult objects as crowds, "
    "which evaluation ignores, as DOTA's does, and training leaves out"
)
_COORDINATES = 8


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the splits of a folder in DOTA's layout."""
    if path.is_file():
        return {}
    places = {ONLY_SPLIT: path, **{own.name: own for own in sorted(path.iterdir()) if own.is_dir()}}
    labels = {name: own for name, place in places.items() for own in sorted(place.glob("labelTxt*")) if own.is_dir()}
    every = list(labels.values())
    found = {}
    for name, folder in labels.items():
        pictures = folder.parent / "images" if (folder.parent / "images").is_dir() else folder.parent
        listed = partial(_label_files, folder)
        found[name] = ForeignSplit("DOTA", pictures, listed, partial(_read, path, pictures, folder, every))
    return found


def _label_files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.txt")))


def _read(root: Path, images: Path, folder: Path, every: Sequence[Path]) -> Document:
    collected = Collector(root, images, SAYS)
    names = {
        words[_COORDINATES]
        for own in every
        for file in _label_files(own)
        for _, words in _objects(file)
        if _whole(words)
    }
    by_stem: dict[str, Path] = {}
    for image in images_below(images):
        name = str(image.relative_to(images))
        if (other := by_stem.setdefault(image.stem, image)) != image:
            collected.lose("structure", f"{other.relative_to(images)} would have the same labels: rename one", name)
        collected.image(name)
    for file in _label_files(folder):
        if file.stem not in by_stem:
            collected.lose("unknown-image", "labels without an image", file.name)
            continue
        name = str(by_stem[file.stem].relative_to(images))
        for line, words in _objects(file):
            if not _whole(words):
                what = f"{len(words)} words: eight coordinates and a class are needed"
                collected.lose("bad-box", what, f"{file.name}, line {line}")
                continue
            keys = DIFFICULT if is_set("".join(words[_COORDINATES + 1 :])) else {}
            box = polygon_box([number(word) for word in words[:_COORDINATES]])
            collected.add(name, words[_COORDINATES], box, **keys)
    return collected.document(names)


def _whole(words: Sequence[str]) -> bool:
    return len(words) in {_COORDINATES + 1, _COORDINATES + 2}


def _objects(file: Path) -> Iterator[tuple[int, list[str]]]:
    for line, text in enumerate(read_text(file).splitlines(), start=1):
        if (words := text.split()) and ":" not in words[0]:
            yield line, words
