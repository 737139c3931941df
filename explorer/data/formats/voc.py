"""Pascal VOC: an XML file per image.

Read are VOC's own layout (`Annotations`, `JPEGImages`, `ImageSets/Main/<split>.txt`) and XML files beside their images
in a folder per split, as Roboflow exports them. Corners are numbers of pixels, counted from 1, and both belong to the
object: `xmin = 1, xmax = 5` are five pixels, `[0, 5]` in COCO's coordinates, as detectron2 reads them.

Source: the PASCAL VOC development kit's documentation, section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

from explorer.data.annotations import is_set
from explorer.data.formats.document import (
    DIFFICULT,
    Collector,
    Document,
    ForeignSplit,
    corner_box,
    exists,
    number,
    polygon_box,
    read_text,
)
from explorer.data.formats.markup import read_xml, text_of
from explorer.data.formats.yolo import ONLY_SPLIT
from explorer.data.images import SUFFIXES

SAYS = (
    "Pascal VOC has no masks; coordinates start at 1, and difficult objects are read as crowds, which evaluation "
    "ignores, as VOC's does, and training leaves out"
)
_OF_CLASS = re.compile(r"\s(-1|0|1)$")
"""What ends the lines of a list of one class: whether the image has an object of it, or difficult ones alone."""
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")
_ANNOTATION_FOLDERS = ("Annotations", "annotations")


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the splits of a folder with XML files of Pascal VOC."""
    if path.is_file():
        return {}
    for folder in (path / name for name in _ANNOTATION_FOLDERS):
        if files := _xml_files(folder):
            images = images or next((path / name for name in _IMAGE_FOLDERS if (path / name).is_dir()), path)
            sets = dict(_image_sets(path, folder))
            return {name: _found(path, images, own, files) for name, own in (sets or {ONLY_SPLIT: files}).items()}
    beside = {own.name: _xml_files(own) for own in sorted(path.iterdir()) if own.is_dir()}
    beside = {name: files for name, files in beside.items() if files} or {ONLY_SPLIT: _xml_files(path)}
    every = [file for files in beside.values() for file in files]
    return {name: _found(path, files[0].parent, files, every) for name, files in beside.items() if files}


def _xml_files(folder: Path) -> list[Path]:
    """The XML files of a folder, if they are of this format."""
    files = sorted(own for own in folder.glob("*.xml") if own.is_file()) if folder.is_dir() else []
    return files if files and _is_annotation(files[0]) else []


def _is_annotation(path: Path) -> bool:
    try:
        return read_xml(path).tag == "annotation"
    except ValueError:
        return path.parent.name in _ANNOTATION_FOLDERS  # whose error is worth reading


def _image_sets(root: Path, annotations: Path) -> Iterator[tuple[str, list[Path]]]:
    """The lists of images; those of single classes have a second column and are left out. Names may have spaces."""
    for file in sorted((root / "ImageSets/Main").glob("*.txt")):
        lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
        of_class = all(_OF_CLASS.search(line) and not exists(annotations / f"{line}.xml") for line in lines)
        if lines and not of_class:
            yield file.stem, [annotations / f"{line}.xml" for line in lines if "/" not in line]


def _found(root: Path, images: Path, files: list[Path], every: list[Path]) -> ForeignSplit:
    return ForeignSplit(
        "Pascal VOC", images, lambda: tuple(filter(exists, files)), partial(_read, root, images, files, every)
    )


def _read(root: Path, images: Path, files: list[Path], every: list[Path]) -> Document:
    collected, names = Collector(root, images, SAYS), set[str]()
    wanted = set(files)
    taken: dict[str, str] = {}
    at_zero = 0
    for file in dict.fromkeys((*files, *every)):
        try:
            annotation = read_xml(file)
        except ValueError as error:
            if file in wanted:
                collected.lose("structure", str(error), file.name)
            continue
        objects = annotation.findall("object")
        names.update(text_of(own, "name") for own in objects)
        if file in wanted:
            name = _image_name(text_of(annotation, "filename"), file, images)
            if (other := taken.setdefault(name, file.name)) != file.name:
                collected.lose("structure", f"it is of the same image as {other}: {name}", file.name)
                continue
            at_zero += _take(collected, name, file, annotation, objects)
    if at_zero:
        what = (
            f"{at_zero} boxes start at 0: coordinates count from 0 and not from 1, as Pascal VOC's do, and all boxes "
            "are read one pixel too far up and left, and one pixel larger"
        )
        collected.lose("format", what, files[0].parent.name)
    return collected.document(names - {""})


def _take(collected: Collector, name: str, file: Path, annotation: Element, objects: list[Element]) -> int:
    """Takes the objects of an image over, and returns how many start before its first pixel, which is number 1."""
    at_zero = 0
    size = (_side(annotation, "height"), _side(annotation, "width"))
    if not collected.image(name, size):
        return 0
    for index, own in enumerate(objects, start=1):
        where, category = f"{file.name}, object {index}", text_of(own, "name")
        keys = DIFFICULT if is_set(text_of(own, "difficult")) else {}
        if not category:
            collected.lose("unknown-category", "an object without a name", where)
        elif (corners := own.find("bndbox")) is not None:
            x1, y1, x2, y2 = (number(text_of(corners, side)) for side in ("xmin", "ymin", "xmax", "ymax"))
            at_zero += 0 <= min(x1, y1) < 1
            collected.add(name, category, corner_box(x1 - 1, y1 - 1, x2, y2), **keys)
        elif (polygon := own.find("polygon")) is not None:
            points = [number(point.text) - 1 for point in polygon]
            collected.add(name, category, polygon_box(points), segmentation=[points], **keys)
        else:
            collected.lose("bad-box", "an object without a bndbox", where)
    return at_zero


def _image_name(said: str, file: Path, images: Path) -> str:
    """The image of an XML file: the one that is called as the file is, else the one it names.

    detectron2 and torchvision go by the file's name alone; copies of a file often name the image that it was copied of.
    """
    said = said.replace("\\", "/").rpartition("/")[2]
    same = [name for suffix in SUFFIXES if exists(images / (name := file.with_suffix(suffix).name))]
    if same and said not in same:
        return same[0]
    return said or file.with_suffix(".jpg").name


def _side(annotation: Element, side: str) -> int:
    value = number(text_of(annotation, f"size/{side}"))
    return int(value) if 1 <= value < 1e9 else 0
