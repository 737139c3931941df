"""Annotations written in COCO's, YOLO's and Pascal VOC's formats. Each writer says what its format cannot.

All take sound annotations in COCO's form (`explorer.data.truth.scorable`), and return sentences about what was lost.
Numbers are written with all their digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from xml.etree.ElementTree import Element, ElementTree, SubElement

import numpy as np
import yaml

from explorer.data.annotations import categories_in_order, is_crowd
from explorer.data.polygons import one_polygon

YOLO_SPLITS = ("train", "val", "test")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Content = Mapping[str, Any]


class Write(Protocol):
    """Writes one split's annotations below `root`, and returns what the format could not say.

    Of a format that numbers classes, the number is the place in `names`, the classes of all splits.
    """

    def __call__(self, root: Path, split: str, content: Content, names: Sequence[str], /) -> list[str]: ...


Finish = Callable[[Path, Sequence[str], Sequence[str]], dict[str, str]]


@dataclass(frozen=True)
class Writer:
    """A format to write.

    Attributes:
        images_folder: where the images of a split belong, below the data set's folder.
        write: writes a split.
        finish: writes what all splits share, such as the names of classes, which it is given, and returns the name of
            each split in the format.
    """

    images_folder: str
    write: Write
    finish: Finish


def write_coco(root: Path, split: str, content: Content, _names: Sequence[str]) -> list[str]:
    """Writes `annotations/instances_<split>.json`; ids, crowds, masks and all other keys are as they were."""
    folder = root / "annotations"
    folder.mkdir(exist_ok=True)
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    (folder / f"instances_{split}.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    return []


def class_names(contents: Iterable[Content]) -> list[str]:
    """Names the classes of several splits, which may have different ones: by ids, those of the first split first."""
    named = (own["name"] for content in contents for own in categories_in_order(content["categories"]))
    return list(dict.fromkeys(named))


def write_yolo(root: Path, split: str, content: Content, names: Sequence[str], *, masks: bool = False) -> list[str]:
    """Writes a text file per image, of boxes, or of polygons for segmentation; the class is its place in `names`.

    What reaches over the edge is clipped: Ultralytics leaves out a whole image with a coordinate beyond it.
    """
    folder = root / "labels" / split
    folder.mkdir(parents=True)
    place = {own["id"]: names.index(own["name"]) for own in categories_in_order(content["categories"])}
    objects = _objects(content)
    taken: dict[Path, str] = {}
    clipped = outside = 0
    for image in content["images"]:
        path = (folder / image["file_name"]).with_suffix(".txt")
        if (other := taken.setdefault(path, image["file_name"])) != image["file_name"]:
            raise ValueError(f"{other} and {image['file_name']} would share a label file in YOLO's format: rename one")
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = image["width"], image["height"]
        lines = []
        for own in objects.get(image["id"], ()):
            x, y, w, h = own["bbox"]
            outline = one_polygon(own, (height, width)) if masks else np.array([[x, y], [x + w, y + h]])
            inside = outline.clip(0, (width, height))
            if not np.ptp(inside, axis=0).all():
                outside += 1
                continue
            if (inside != outline).any():
                clipped += 1
                (x, y), (w, h) = inside[0], inside[-1] - inside[0]
            shares = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            if masks:
                shares = (inside / (width, height)).ravel().tolist()
            lines.append(f"{place[own['category_id']]} {' '.join(map(_digits, shares))}\n")
        path.write_text("".join(lines))
    said = _lost(content, "YOLO", "ids", *([] if masks else ["masks"]), "crowds")
    if masks:
        said.append("Boxes are those around the polygons; holes are cut by lines.")
    if clipped:
        said.append(f"Clipped at the image's edge: {clipped:,} objects.")
    if outside:
        said.append(f"Left out, since nothing of them lies in the image: {outside:,} objects.")
    return said


def _finish_yolo(root: Path, splits: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Writes `data.yaml`, in which `val2017` is `val`, as YOLO's programs ask for."""
    keys = [next((own for own in YOLO_SPLITS if split.startswith(own)), split) for split in splits]
    keys = keys if len(set(keys)) == len(keys) else list(splits)
    places = {key: f"images/{split}" for key, split in zip(keys, splits, strict=True)}
    text = yaml.safe_dump({**places, "names": dict(enumerate(names))}, sort_keys=False, allow_unicode=True)
    (root / "data.yaml").write_text(text, encoding="utf-8")
    return dict(zip(splits, keys, strict=True))


def write_voc(root: Path, split: str, content: Content, _names: Sequence[str]) -> list[str]:
    """Writes an XML file per image and the list of the split's images; corners count pixels from 1.

    Crowds become difficult objects, which evaluations ignore as well.
    """
    annotations, sets = root / "Annotations", root / "ImageSets/Main"
    annotations.mkdir(exist_ok=True)
    sets.mkdir(parents=True, exist_ok=True)
    names = {own["id"]: own["name"] for own in categories_in_order(content["categories"])}
    objects, stems = _objects(content, crowds=True), list[str]()
    for image in content["images"]:
        path = annotations / f"{PurePosixPath(image['file_name']).stem}.xml"
        if "/" in image["file_name"] or path.exists():
            raise ValueError(
                f"{image['file_name']}: VOC's format has all images of all splits in one folder, told apart by their "
                "names without suffix: rename the images, or convert the splits into folders of their own"
            )
        stems.append(path.stem)
        tree = Element("annotation")
        _say(tree, folder="JPEGImages", filename=image["file_name"])
        _say(SubElement(tree, "size"), width=image["width"], height=image["height"], depth=3)
        _say(tree, segmented=0)
        for own in objects.get(image["id"], ()):
            x, y, w, h = own["bbox"]
            node = SubElement(tree, "object")
            _say(node, name=names[own["category_id"]], pose="Unspecified", truncated=0)
            _say(node, difficult=int(is_crowd(own)))
            corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + w, "ymax": y + h}
            _say(SubElement(node, "bndbox"), **{side: _digits(value) for side, value in corners.items()})
        ElementTree(tree).write(path, encoding="utf-8")
    (sets / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    return _lost(content, "Pascal VOC", "ids", "masks", "the order of classes")


def _say(node: Element, **texts: Any) -> None:
    for tag, value in texts.items():
        text = str(value)
        if _NOT_IN_XML.search(text):
            raise ValueError(f"{text!r} has characters that XML cannot hold: rename it")
        SubElement(node, tag).text = text


def _objects(content: Content, *, crowds: bool = False) -> dict[Any, list[Mapping[str, Any]]]:
    """Objects by image, in the file's order; crowds where they are wanted."""
    objects: dict[Any, list[Mapping[str, Any]]] = {}
    for own in content["annotations"]:
        if crowds or not is_crowd(own):
            objects.setdefault(own["image_id"], []).append(own)
    return objects


def _lost(content: Content, name: str, *what: str) -> list[str]:
    masks = sum(bool(own.get("segmentation")) for own in content["annotations"])
    crowds = sum(is_crowd(own) for own in content["annotations"])
    counted = {"masks": f"{masks:,} masks" if masks else "", "crowds": f"{crowds:,} crowds" if crowds else ""}
    words = [word for own in what if (word := counted.get(own, own))]
    return [
        f"{name} cannot hold {', '.join(words[:-1])} and {words[-1]}."
        if len(words) > 1
        else f"{name} has no {words[0]}."
    ]


def _digits(value: float) -> str:
    """A number with the fewest digits that stand for it."""
    whole = float(value)
    return str(int(whole)) if whole.is_integer() else repr(whole)


def _as_they_are(_root: Path, splits: Sequence[str], _names: Sequence[str]) -> dict[str, str]:
    """COCO's and VOC's splits stand for themselves."""
    return {split: split for split in splits}


WRITERS: Mapping[str, Writer] = {
    "coco": Writer("{split}", write_coco, _as_they_are),
    "yolo": Writer("images/{split}", write_yolo, _finish_yolo),
    "yolo-seg": Writer("images/{split}", partial(write_yolo, masks=True), _finish_yolo),
    "voc": Writer("JPEGImages", write_voc, _as_they_are),
}
