"""Data sets written in another format, with their images, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.data.formats.document import leads_out, name_ids
from explorer.data.images import read_size
from explorer.data.layout import Split, find_splits
from explorer.data.truth import scorable
from explorer.data.writers import WRITERS, class_names
from explorer.types import Progress
from explorer.writing import UNFINISHED, alone_in


@dataclass(frozen=True)
class Written:
    """A data set that was written.

    Attributes:
        out: its folder.
        format: a key of `explorer.data.writers.WRITERS`.
        splits: number of images and of objects of each split.
        lost: sentences about what the format cannot hold and about what was left out.
    """

    out: Path
    format: str
    splits: Mapping[str, tuple[int, int]]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class SplitContent:
    """A split to be written: sound annotations in COCO's form, and where their images are."""

    name: str
    content: dict[str, Any]
    images: Path


def convert(
    source: str | Path, out: str | Path, to: str, *, link: bool = False, progress: Progress | None = None
) -> Written:
    """Writes a data set, or one of its splits, in another format.

    Boxes are written with all their digits, in YOLO's format clipped to the image. Annotations that cannot be scored
    against are left out, as in every evaluation. Ids stay as they are where the format has some; images that had none
    are numbered from 1 on.

    Args:
        source: `PATH` or `PATH:SPLIT`, in any format that is read.
        out: a new folder, or an empty one.
        to: `coco`, `yolo`, `yolo-seg` (masks as polygons, for segmentation) or `voc`.
        link: make symbolic links to the images instead of copies.
        progress: called after each image.

    Raises:
        ValueError: there is no such data set or format, the data set is broken, `out` is not empty, or an image is
            missing, has another size than its annotations say, or lies outside of the data set's folder.
        OSError: `out` cannot be written to.
    """
    parts, lost = [], list[str]()
    for split in find_splits(str(source)):
        content, left_out = read_part(split)
        parts.append(SplitContent(split_name(split), content, split.images))
        lost += [f"{split_name(split)}: left out {count:,} {kind}." for kind, count in left_out.items()]
    return write(parts, out, to, link=link, lost=lost, progress=progress)


def read_part(split: Split) -> tuple[dict[str, Any], dict[str, int]]:
    """Reads a split to be written, and how many annotations were left out, by kind.

    Raises:
        ValueError: it is broken, or has panoptic labels alone.
    """
    if not split.has_instances:
        raise ValueError(f"{split.source} has panoptic labels only, which cannot be converted")
    annotations = scorable(split)
    content = annotations.content
    names = [image["file_name"] for image in content["images"]]
    if split.other and {image["file_name"]: image["id"] for image in content["images"]} == name_ids(names):
        _number(content)
    return content, dict(annotations.left_out)


def split_name(split: Split) -> str:
    """The name of a split as a file name may have it."""
    name = Path(split.source.rpartition(":")[2]).name
    return name if name.strip(".") else "all"  # `..` would be the folder above


def _number(content: dict[str, Any]) -> None:
    """Numbers images whose ids are only their names, since most programs want numbers."""
    if all(isinstance(image["id"], int) for image in content["images"]):
        return
    numbers = {image["id"]: number for number, image in enumerate(content["images"], start=1)}
    for image in content["images"]:
        image["id"] = numbers[image["id"]]
    for annotation in content["annotations"]:
        annotation["image_id"] = numbers[annotation["image_id"]]


def write(
    parts: Sequence[SplitContent],
    out: str | Path,
    to: str,
    *,
    link: bool = False,
    lost: Sequence[str] = (),
    progress: Progress | None = None,
) -> Written:
    """Writes splits in a format, with their images; `out` is there whole, or not at all.

    Raises:
        ValueError: as `convert` does.
        OSError: `out` cannot be written to.
    """
    if to not in WRITERS:
        raise ValueError(f"there is no writer for {to!r}: give {', '.join(WRITERS)}")
    out = Path(out).expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} already exists and is not empty: give a new folder")
    writer, said, done = WRITERS[to], list(lost), 0
    classes = class_names(part.content for part in parts)
    total = sum(len(part.content["images"]) for part in parts)
    _judge_names(parts)
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f"{UNFINISHED}{out.name}")
    with alone_in(scratch):
        for left in scratch.iterdir():  # of a process that was killed
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for part in parts:
            images = scratch / writer.images_folder.format(split=part.name)
            images.mkdir(parents=True, exist_ok=True)
            said += [f"{part.name}: {what}" for what in writer.write(scratch, part.name, part.content, classes)]
            for image in part.content["images"]:
                _place(part.images, image, images, link)
                done += 1
                if progress:
                    progress(done, total)
        names = writer.finish(scratch, [part.name for part in parts], classes)
    scratch.replace(out)
    counts = {names[part.name]: (len(part.content["images"]), len(part.content["annotations"])) for part in parts}
    return Written(out, to, counts, tuple(said))


def _judge_names(parts: Sequence[SplitContent]) -> None:
    """Makes sure, before anything is written, that all will lie in the folder, and each file in a place of its own."""
    names = [part.name for part in parts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two splits would be called {twice!r}: convert them separately, into different folders")
    for part in parts:
        for name in (image["file_name"] for image in part.content["images"]):
            if leads_out(name):
                raise ValueError(f"image {name!r} lies outside of the data set's folder: put it inside first")


def _place(source: Path, image: Mapping[str, Any], folder: Path, link: bool) -> None:
    path, target = source / image["file_name"], folder / image["file_name"]
    target.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        raise ValueError(f"there is no image {path}: `explorer data check` lists all that are missing")
    if (size := read_size(path)) != (image["height"], image["width"]):
        raise ValueError(
            f"{path} has {size[1]} x {size[0]} px, its annotations say {image['width']} x {image['height']}: "
            "`explorer data check` lists all such images"
        )
    if link:
        target.symlink_to(path.resolve())
    else:
        shutil.copyfile(path, target)
