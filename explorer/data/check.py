"""Checks a data set: what is wrong, where, and what training will do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.data.annotations import (
    PANOPTIC,
    judge_annotations,
    judge_files,
    judge_ids,
    judge_names,
    read_annotations,
)
from explorer.data.ids import Id, id_order
from explorer.data.images import ImageError, read_image, read_sizes
from explorer.data.layout import Split, find_splits
from explorer.data.panoptic import judge_labels, judge_panoptic
from explorer.data.problems import KINDS, Problem
from explorer.types import Progress


@dataclass(frozen=True)
class SplitReport:
    """What was found in one split.

    Attributes:
        source: the split as `register_coco` takes it.
        images: number of images.
        annotations: number of instance annotations, or of panoptic segments where there are only those.
        problems: everything found, grouped by kind in the order of `KINDS`.
        content: the parsed annotation files, by `instances` and `panoptic`; empty where the structure is broken.
    """

    source: str
    images: int
    annotations: int
    problems: tuple[Problem, ...]
    content: Mapping[str, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def counts(self) -> dict[str, int]:
        """Number of problems by kind."""
        return dict(Counter(problem.kind for problem in self.problems))

    @property
    def ok(self) -> bool:
        """Whether training can start."""
        return not any(problem.severity == "error" for problem in self.problems)


@dataclass(frozen=True)
class CheckReport:
    """What was found in a data set, split by split."""

    splits: tuple[SplitReport, ...]

    @property
    def ok(self) -> bool:
        """Whether training can start on every split."""
        return all(split.ok for split in self.splits)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain containers, for JSON."""
        return {
            "ok": self.ok,
            "splits": [
                {
                    "source": split.source,
                    "ok": split.ok,
                    "images": split.images,
                    "annotations": split.annotations,
                    "counts": split.counts,
                    "problems": [_problem_dict(problem) for problem in split.problems],
                }
                for split in self.splits
            ],
        }


def _problem_dict(problem: Problem) -> dict[str, Any]:
    return {
        "kind": problem.kind,
        "severity": problem.severity,
        "training": problem.action,
        "image_id": problem.image_id,
        "annotation_id": problem.annotation_id,
        "file": problem.file,
        "what": problem.what,
    }


def check_coco(source: str | Path, *, full: bool = False, progress: Progress | None = None) -> CheckReport:
    """Checks a data set in any format that is read, or one split of it.

    Args:
        source: `PATH`, `PATH:SPLIT`, `FILE.json` or `FILE.json:IMAGES_FOLDER`, as for `find_splits`.
        full: decode every image, instead of reading headers only.
        progress: called after each image.

    Raises:
        ValueError: `source` is no data set.
    """
    return CheckReport(tuple(check_split(split, full=full, progress=progress) for split in find_splits(str(source))))


def check_split(split: Split, *, full: bool = False, progress: Progress | None = None) -> SplitReport:
    """Checks one split: annotation files first, then, where these are sound, the images they list."""
    content, problems = read_split(split)
    if not any(problem.severity == "error" for problem in problems):
        problems += _judge_content(split, content)
        images = _all_images(content).values()
        for number, image in enumerate(images, start=1):
            if problem := _judge_file(split.images, image, full):
                problems.append(problem)
            if progress:
                progress(number, len(images))
        if "panoptic" in content:
            problems += _judge_label_files(split, content["panoptic"], full)
    order = {kind: index for index, kind in enumerate(KINDS)}
    return SplitReport(
        source=split.source,
        images=len(_all_images(content)),
        annotations=_count(content),
        problems=tuple(sorted(problems, key=lambda problem: order[problem.kind])),
        content=content,
    )


def read_split(split: Split) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """Reads a split's annotation files by `instances` and `panoptic`, and judges their structure.

    A panoptic file that labels other images than the instances file lists is left out.
    """
    content: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    read = {"instances": split.read_instances} if split.has_instances else {}
    if panoptic := split.panoptic:
        read["panoptic"] = lambda: read_annotations(panoptic, PANOPTIC)
    for key, reader in read.items():
        data, found = reader()
        problems += found
        if not any(problem.severity == "error" for problem in found):
            content[key] = data
    if len(content) == 2 and not _all_labelled(content):
        del content["panoptic"]
        what = "the split is used without its panoptic labels"
        problems.append(Problem("other-images", what, file=_name(split.panoptic)))
    elif len(content) == 2 and (ids := _different_things(content)):
        what = f"things (isthing: 1) and the instances file's categories differ: ids {sorted(ids, key=id_order)[:10]}"
        problems.append(Problem("structure", what, file=_name(split.panoptic)))
    return content, problems


def _all_images(content: Mapping[str, dict[str, Any]]) -> dict[Id, Mapping[str, Any]]:
    return {image["id"]: image for data in content.values() for image in data["images"]}


def _count(content: Mapping[str, dict[str, Any]]) -> int:
    if "instances" in content:
        return len(content["instances"]["annotations"])
    return sum(len(record["segments_info"]) for data in content.values() for record in data["annotations"])


def _all_labelled(content: Mapping[str, dict[str, Any]]) -> bool:
    listed = {image["id"] for image in content["instances"]["images"]}
    return listed == {record["image_id"] for record in content["panoptic"]["annotations"]}


def _different_things(content: Mapping[str, dict[str, Any]]) -> set[Id]:
    things = {category["id"] for category in content["panoptic"]["categories"] if category["isthing"]}
    return things ^ {category["id"] for category in content["instances"]["categories"]}


def _name(path: Path | None) -> str:
    return path.name if path else ""


def _judge_content(split: Split, content: Mapping[str, dict[str, Any]]) -> Iterator[Problem]:
    if data := content.get("instances"):
        yield from judge_ids(data, _name(split.instances))
        yield from judge_names(data, _name(split.instances))
        yield from judge_files(data, _name(split.instances))
        yield from judge_annotations(data)
    if data := content.get("panoptic"):
        yield from judge_ids(data, _name(split.panoptic))
        if "instances" not in content:
            yield from judge_names(data, _name(split.panoptic))
        yield from judge_panoptic(data, _name(split.panoptic), alone="instances" not in content)


def _judge_file(folder: Path, image: Mapping[str, Any], full: bool) -> Problem | None:
    path, listed = folder / image["file_name"], (image["height"], image["width"])
    kind = "unreadable-image"
    try:
        found, stored = read_sizes(path)
        if found != listed:
            turned = ": turned by its EXIF block?" if found == listed[::-1] else ""
            what = f"listed as {listed[1]} x {listed[0]}, the file is {found[1]} x {found[0]} px{turned}"
            return Problem("wrong-size", what, image_id=image["id"], file=image["file_name"])
        kind = "damaged-image"
        if full:
            read_image(path)
        if stored == found:
            what = "its EXIF block turns or mirrors the image; annotations are taken as of the upright image"
            return Problem("turned-image", what, image_id=image["id"], file=image["file_name"])
    except ImageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            kind = "missing-image"
        return Problem(kind, str(error), image_id=image["id"], file=image["file_name"])
    return None


def _judge_label_files(split: Split, panoptic: Mapping[str, Any], full: bool) -> Iterator[Problem]:
    assert split.panoptic_labels is not None, "a panoptic split has a folder of labels"
    sizes = {image["id"]: image for image in panoptic["images"]}
    for record in panoptic["annotations"]:
        if record["image_id"] not in sizes:
            continue
        as_image = {**sizes[record["image_id"]], "file_name": record["file_name"]}
        problem = _judge_file(split.panoptic_labels, as_image, full=False)
        path = split.panoptic_labels / record["file_name"]
        if problem is None and full:
            try:
                problem = judge_labels(path, record)
            except ImageError as error:
                problem = Problem("damaged-image", str(error), image_id=record["image_id"], file=record["file_name"])
        if problem:
            yield problem
