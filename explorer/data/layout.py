"""Where things lie in the folder of a data set: which splits it has, their annotation files and image folders.

Of COCO's format, understood are COCO's own layout (`annotations/instances_val2017.json`, images in `val2017/`), the
same with one shared `images/` folder, `train/_annotations.coco.json` beside its images, and a single annotation file in
a folder. Panoptic labels are `panoptic_<split>.json` with PNGs in `panoptic_<split>/`, optionally with the semantic
labels of Panoptic FPN in `panoptic_stuff_<split>/`. A folder without files of COCO's may be in one of the formats of
`explorer.data.formats`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.data import formats
from explorer.data.annotations import INSTANCES, judge_structure, read_annotations
from explorer.data.formats.coco_like import mend
from explorer.data.formats.fiftyone import is_labels
from explorer.data.formats.label_studio import is_tasks
from explorer.data.problems import Problem

_OTHER_TASKS = ("captions_", "person_keypoints_", "stuff_", "image_info_")
_LOOSE_FILE = re.compile(r"instances_.+|panoptic_.+|_?annotations(\.coco)?|train.*|val.*|test.*|lvis_.+|result|labels")


Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Split:
    """One part of a data set: its annotation files and where its images are.

    Attributes:
        source: the canonical, absolute `PATH:SPLIT` (or `FILE:IMAGES`) that finds this split again.
        images: folder that the annotation files' `file_name`s are relative to.
        instances: annotation file with boxes and masks in COCO's format, if there is one.
        panoptic: panoptic annotation file, if there is one.
        panoptic_labels: folder of the PNGs whose colours are segment ids.
        stuff_labels: folder of PNGs whose values are stuff classes, 0 for things, 255 for nothing.
        other: the boxes and masks of a data set in another format than COCO's.
    """

    source: str
    images: Path
    instances: Path | None = None
    panoptic: Path | None = None
    panoptic_labels: Path | None = None
    stuff_labels: Path | None = None
    other: formats.ForeignSplit | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation files, at least one."""
        own = tuple(path for path in (self.instances, self.panoptic) if path)
        return own or (self.other.list_files() if self.other else ())

    @property
    def stamp(self) -> Stamp:
        """What tells that annotation files have changed: name, time and size of each."""
        return tuple((str(path), facts.st_mtime_ns, facts.st_size) for path in self.files for facts in (path.stat(),))

    @property
    def has_instances(self) -> bool:
        """Whether there are boxes and masks, beside panoptic labels or without any."""
        return self.instances is not None or self.other is not None

    def read_instances(self) -> tuple[dict[str, Any], list[Problem]]:
        """Reads boxes and masks in COCO's form, and says what is wrong with their structure.

        Returns:
            the content and its problems; where one of them is an error, the content must not be used.
        """
        if self.other is None:
            assert self.instances is not None, "a split without instances has none to read"
            return read_annotations(self.instances, INSTANCES, lambda data: mend(data, self.images))
        try:
            document = self.other.read()
        except ValueError as error:
            return {}, [Problem("structure", str(error))]
        if any(problem.severity == "error" for problem in document.problems):
            return document.content, document.problems
        faults = judge_structure(document.content, INSTANCES)
        problems = [Problem("structure", what, file=self.other.format) for what in faults]
        return document.content, [*document.problems, *problems]


def list_splits(path: str | Path) -> tuple[str, ...]:
    """Names the splits of the data set in the folder `path`, sorted.

    Raises:
        ValueError: there is no such folder.
    """
    root = _existing(str(path))
    return tuple(sorted(_annotation_files(root) or formats.find(root)))


def find_splits(source: str) -> tuple[Split, ...]:
    """Finds every split that `source` means: a folder's all, or the one named in `PATH:SPLIT`.

    A relative path that is not found is looked for under `$DETECTRON2_DATASETS` as well.

    Args:
        source: `PATH`, `PATH:SPLIT`, `FILE.json` or `FILE.json:IMAGES_FOLDER`; in other formats than COCO's, `FILE` or
            `FILE:SPLIT` too.

    Raises:
        ValueError: nothing is there, it is no data set in a known format, or the split is not one of its.
    """
    path_text, _, name = source.rpartition(":") if _lookup(source) is None and ":" in source else (source, "", "")
    root = _existing(path_text)
    folder = Path(name) if name and root.is_file() and Path(name).is_dir() else None
    if root.is_file() and not (other := formats.find(root, folder)):
        images = Path(name) if name else _images_beside(root)
        if not images.is_dir():
            raise ValueError(f"there is no image folder {str(images)!r}: give one as FILE.json:IMAGES_FOLDER")
        return (_single_file(root, images.resolve()),)
    if folder and len(other) == 1:
        (own,) = other.values()
        return (Split(source=f"{root}:{folder.resolve()}", images=own.images, other=own),)
    found = {} if root.is_file() else _annotation_files(root)
    other = {} if found else formats.find(root)
    names = sorted(found or other)
    if not names:
        raise ValueError(
            f"{root} holds no data set in a known format: expected COCO's annotations/instances_<split>.json or the "
            "like, a data.yaml of YOLO, or one of those in docs/your-data.md"
        )
    if name and name not in names:
        raise ValueError(f"{root} has no split {name!r}; it has {', '.join(names)}")
    chosen = [name] if name else names
    if other:
        return tuple(Split(source=f"{root}:{key}", images=other[key].images, other=other[key]) for key in chosen)
    return tuple(_split(root, key, found[key]) for key in chosen)


def find_split(source: str) -> Split:
    """Finds the one split that `source` means.

    Raises:
        ValueError: as `find_splits` does, or the data set has several splits and none was named.
    """
    splits = find_splits(source)
    if len(splits) > 1:
        choices = ", ".join(f"{source}:{split.source.rpartition(':')[2]}" for split in splits)
        raise ValueError(f"{source!r} has several splits; name one: {choices}")
    return splits[0]


def _lookup(text: str) -> Path | None:
    places = [Path(text).expanduser()]
    if datasets := os.environ.get("DETECTRON2_DATASETS"):
        places.append(Path(datasets).expanduser() / text)
    return next((place.resolve() for place in places if text and place.exists()), None)


def _existing(text: str) -> Path:
    found = _lookup(text)
    if found is None:
        datasets = os.environ.get("DETECTRON2_DATASETS", "not set")
        raise ValueError(
            f"there is no data set {text!r}: give the folder of a data set, PATH or PATH:SPLIT. "
            f"Relative paths are also tried under DETECTRON2_DATASETS ({datasets})"
        )
    if not (found.is_file() or found.is_dir()):
        raise ValueError(f"{found} is a device or a pipe: give the folder of a data set, PATH or PATH:SPLIT")
    return found


def _annotation_files(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for split, path in _candidates(root):
        found.setdefault(split, []).append(path)
    return found


def _candidates(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / "annotations").glob("*.json")):
        if not path.stem.startswith(_OTHER_TASKS):
            yield _split_name(path), path
    for path in sorted(root.glob("*.json")):
        if _LOOSE_FILE.fullmatch(path.stem) and not is_labels(path) and not is_tasks(path):
            yield _split_name(path), path
    for path in sorted(root.glob("*/_annotations.coco.json")):
        yield path.parent.name, path


def _split_name(path: Path) -> str:
    return path.stem.removeprefix("instances_").removeprefix("panoptic_")


def _split(root: Path, name: str, files: list[Path]) -> Split:
    panoptic, instances = (
        _only([path for path in files if path.stem.startswith("panoptic_") is labels], root, name)
        for labels in (True, False)
    )
    beside = files[0].parent
    # the annotation file may lie beside the images, or the images in a folder of their own or a shared one
    own = beside if files[0].name == "_annotations.coco.json" else None
    places = [own, root / name, root / "images" / name, root / "images", root / "data"]
    images = next((place for place in places if place and place.is_dir() and place.name != "annotations"), root)
    return Split(
        source=f"{root}:{name}",
        images=images,
        instances=instances,
        panoptic=panoptic,
        panoptic_labels=_labels(root, beside, f"panoptic_{name}") if panoptic else None,
        stuff_labels=_optional(_labels(root, beside, f"panoptic_stuff_{name}")) if panoptic else None,
    )


def _only(files: list[Path], root: Path, name: str) -> Path | None:
    """The file of a split, if it has one; of several none is chosen in silence."""
    if len(files) > 1:
        choices = ", ".join(str(file) for file in files)
        raise ValueError(f"{root} has several annotation files for {name!r}; name one: {choices}")
    return files[0] if files else None


def _labels(root: Path, beside: Path, name: str) -> Path:
    """COCO's archive puts label folders beside the annotation file, detectron2 expects them beside the images."""
    return root / name if (root / name).is_dir() else beside / name


def _optional(path: Path) -> Path | None:
    return path if path.is_dir() else None


def _single_file(path: Path, images: Path) -> Split:
    is_panoptic = path.stem.startswith("panoptic_")
    labels = _labels(path.parent.parent, path.parent, path.stem)
    stuff = _labels(path.parent.parent, path.parent, path.stem.replace("panoptic_", "panoptic_stuff_", 1))
    return Split(
        source=f"{path}:{images}",
        images=images,
        instances=None if is_panoptic else path,
        panoptic=path if is_panoptic else None,
        panoptic_labels=labels if is_panoptic else None,
        stuff_labels=_optional(stuff) if is_panoptic else None,
    )


def _images_beside(path: Path) -> Path:
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    places = (root / _split_name(path), root / "images" / _split_name(path), root / "images")
    return next((place for place in places if place.is_dir()), path.parent)
