"""YOLO: a text file of labels per image, a line per object, and a `data.yaml` with splits and classes.

Read are the layouts of Ultralytics (`images/train` beside `labels/train`), of Roboflow (`train/images` beside
`train/labels`), of Label Studio (`classes.txt` beside `images` and `labels`; hotcoco's `data.yaml`, which names no
images, may stand in its place) and of darknet (labels beside images, names in `classes.txt` or `obj.names`).
Coordinates are shares of the image's width and height. A line is a box `class x_center y_center width height`, or a
polygon `class x1 y1 x2 y2 x3 y3 …`; the four corners of an oriented box are a polygon too. Of a pose, the box is taken.

Source: Ultralytics' documentation of its detection, segmentation, oriented-box and pose data sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from explorer.data.formats.document import (
    Collector,
    Document,
    ForeignSplit,
    exists,
    files_below,
    images_below,
    number,
    polygon_box,
    read_text,
)
from explorer.data.ids import Id
from explorer.reading_yaml import load_yaml

SPLITS = ("train", "val", "test")
NAME_FILES = ("classes.txt", "obj.names")
ONLY_SPLIT = "all"
"""The name of the one split of a folder that names none."""
SAYS = "YOLO has no crowds and no image sizes; sizes are read from the images"
_OTHER_KEYS = ("path", "names", "nc", "download", "kpt_shape", "flip_idx", "channels")
_YAML = (".yaml", ".yml")
_BOX, _LEAST_POLYGON = 5, 7


def find(path: Path, images: Path | None = None) -> dict[str, ForeignSplit]:
    """Finds the splits of a `data.yaml`, or of a folder that has one or lies as one of the layouts."""
    if path.is_file():
        return _of_yaml(path) if path.suffix in _YAML else {}
    yamls = [own for own in sorted(path.iterdir()) if own.suffix in _YAML and own.is_file() and _describes(own)]
    named = [own for own in yamls if own.stem == "data"] or yamls
    if len(named) > 1:
        choices = ", ".join(str(own) for own in named)
        raise ValueError(f"{path} has several YAML files that describe a YOLO data set; name one: {choices}")
    if named:
        return _of_yaml(named[0])
    names = next((path / name for name in NAME_FILES if (path / name).is_file()), None)
    return _of_names(path, names) if names else {}


def _describes(path: Path) -> bool:
    try:
        values = load_yaml(path)
    except ValueError:
        return path.stem == "data"  # whose error is worth reading
    named = isinstance(values, dict) and bool({"names", "nc"} & values.keys())
    return named and (path.stem == "data" or bool({*SPLITS} & values.keys()))


def _of_yaml(path: Path) -> dict[str, ForeignSplit]:
    values = load_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no keys with values: a YOLO data set's has train, val and names")
    names, poses = _class_names(values, path), "kpt_shape" in values
    found = {}
    for split, given in values.items():
        if not isinstance(split, str) or split in _OTHER_KEYS or not isinstance(given, str | list):
            continue
        places = [
            _place(path, values.get("path"), own, split) for own in ([given] if isinstance(given, str) else given)
        ]
        present = [place for place in places if place is not None]
        if present:
            images = present[0] if len(present) == 1 and present[0].is_dir() else path.parent
            own = partial(_images, present, path.parent)
            found[split] = _found(path.parent, images, own, names, poses, path)
    return found if {*SPLITS} & values.keys() else found or _flat(path.parent, names, poses, path)


def _of_names(root: Path, file: Path) -> dict[str, ForeignSplit]:
    names: dict[Id, str] = dict(enumerate(line.strip() for line in read_text(file).splitlines() if line.strip()))
    return _flat(root, names, False, file)


def _flat(root: Path, names: Mapping[Id, str], poses: bool, file: Path) -> dict[str, ForeignSplit]:
    """The one split of a folder whose file of names names no images."""
    images = root / "images" if (root / "images").is_dir() else root
    if not any(images_below(images)):
        return {}
    return {ONLY_SPLIT: _found(root, images, partial(_images, [images], root), names, poses, file)}


def _found(root: Path, images: Path, own: Any, names: Mapping[Id, str], poses: bool, file: Path) -> ForeignSplit:
    return ForeignSplit(
        "YOLO",
        images,
        lambda: (file, *filter(exists, (_labels(path, root) for path in own()))),
        partial(_read, root, images, own, names, poses),
    )


def _class_names(values: Mapping[str, Any], path: Path) -> dict[Id, str]:
    names, count = values.get("names"), values.get("nc")
    if isinstance(names, list) and names:
        return {index: str(name) for index, name in enumerate(names)}
    if isinstance(names, dict) and names and all(type(key) is int and key >= 0 for key in names):
        return {index: str(names[index]) for index in sorted(names)}
    if names is None and type(count) is int and 0 < count < 100_000:
        return {index: f"class {index}" for index in range(count)}
    raise ValueError(f"{path} names no classes: it needs names, a list or numbers with names")


def _place(file: Path, base: Any, given: Any, split: str) -> Path | None:
    """Finds a folder or list of images that a `data.yaml` names, inside of the folder it lies in.

    Paths in such files are often those of another machine, or begin with `../` without need; Ultralytics, too, then
    looks beside the file.
    """
    root = file.parent
    tail = str(given)
    while tail.startswith(("../", "./")):
        tail = tail.partition("/")[2]
    bases = [root / base] if isinstance(base, str) else []
    choices = [*(own / str(given) for own in bases), *(own / tail for own in bases), root / str(given), root / tail]
    inside = root.resolve()
    present = [place for place in choices if place.exists()]
    for place in present:
        if Path(place.absolute()).resolve().is_relative_to(inside) or _linked(place, root):
            return place.resolve() if place.resolve().is_relative_to(inside) else place
    if present and split in SPLITS:
        raise ValueError(
            f"{file} names images in {present[0].resolve()}, outside of its own folder, which is not followed: "
            f"put a copy of {file.name} beside these images, and name its folder"
        )
    return None


def _linked(place: Path, root: Path) -> bool:
    """Whether a path without `..` lies in a folder, though a link in it leads elsewhere."""
    return place.is_relative_to(root) and ".." not in place.relative_to(root).parts


def _images(places: list[Path], root: Path) -> list[Path]:
    found = list[Path]()
    for place in places:
        if place.is_dir():
            found += images_below(place)
        else:
            lines = [line.strip() for line in read_text(place).splitlines()]
            found += [path for line in lines if line and (path := _listed(line, place.parent, root))]
    return list(dict.fromkeys(found))


def _listed(line: str, beside: Path, root: Path) -> Path | None:
    """An image of a list: its path beside the list, or anywhere below the root where the list has another machine's."""
    path = Path(line.replace("\\", "/"))
    choices = [beside / path, root / path]
    if "images" in path.parts:
        last = len(path.parts) - 1 - path.parts[::-1].index("images")
        choices.append(root.joinpath(*path.parts[last:]))
    choices.append(root / path.name)
    inside = root.resolve()
    return next((own for own in choices if exists(own) and own.resolve().is_relative_to(inside)), choices[0])


def _labels(image: Path, root: Path) -> Path:
    """The label file of an image: in `labels` for the last `images` of its path, or beside it."""
    beside = image.with_suffix(".txt")
    parts = list(image.relative_to(root).parts) if image.is_relative_to(root) else list(image.parts)
    if "images" not in parts[:-1]:
        return beside
    last = len(parts) - 1 - parts[::-1].index("images")
    parts[last] = "labels"
    mirrored = (root if image.is_relative_to(root) else Path()).joinpath(*parts).with_suffix(".txt")
    return beside if exists(beside) and not exists(mirrored) else mirrored


def _read(root: Path, images: Path, own: Any, names: Mapping[Id, str], poses: bool) -> Document:
    collected = Collector(root, images, SAYS)
    used = set()
    for image in own():
        name = str(image.relative_to(images)) if image.is_relative_to(images) else str(image)
        labels = _labels(image, root)
        used.add(labels)
        if (size := collected.image(name)) and exists(labels):
            for line, text in enumerate(read_text(labels).splitlines(), start=1):
                if text.strip():
                    _take(collected, name, size, text.split(), poses, names, f"{labels.name}, line {line}")
    for labels in _spare_labels(images, used):
        collected.lose("unknown-image", "labels without an image", str(labels.relative_to(root)))
    return collected.document(names)


def _take(
    collected: Collector,
    image: str,
    size: tuple[int, int],
    words: list[str],
    poses: bool,
    names: Mapping[Id, str],
    where: str,
) -> None:
    index, values = number(words[0]), [number(word) for word in words[1:]]
    if index not in names:
        collected.lose("unknown-category", f"class {words[0][:40]} is none of the {len(names)} classes", where)
        return
    height, width = size
    keys: dict[str, Any] = {}
    if len(words) == _BOX or (poses and len(words) > _BOX):
        x, y, w, h = values[:4]
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
    elif len(words) >= _LEAST_POLYGON and len(words) % 2:
        points = [value * (height if place % 2 else width) for place, value in enumerate(values)]
        box, keys = polygon_box(points), {"segmentation": [points]}
    else:
        what = f"{len(values)} numbers follow the class: a box has 4, a polygon 6, 8, 10 or more"
        collected.lose("bad-box", what, where)
        return
    collected.add(image, int(index), box, **keys)


def _spare_labels(images: Path, used: set[Path]) -> Iterator[Path]:
    """Label files in a folder of their own for which there is no image."""
    parts = images.parts
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        folder = Path(*parts[:last], "labels", *parts[last + 1 :])
        yield from (path for path in files_below(folder, (".txt",)) if path not in used and path.name != "classes.txt")
