"""What detections are scored against: the annotation file, made safe for the scorers' C code."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_api

from explorer.data.annotations import is_set, judge_annotations, judge_files, judge_ids, judge_names, say_once
from explorer.data.layout import Split
from explorer.data.masks import compressed, is_finite, is_number, usable
from explorer.data.problems import KINDS
from explorer.data.sources import instances_split

UNREADABLE = frozenset({"unknown-category", "unknown-image", "bad-box", "not-finite", "short-polygon", "bad-mask"})
"""Problems with which an annotation cannot be scored against; of sound files nothing is left out."""


def ground_truth(source: str) -> dict[str, Any]:
    """Reads the instance annotations of a data set for scoring.

    Annotations that no scorer can read are left out, `area` and `iscrowd` are filled in where a file lacks them.
    Everything else is as in the file, so that scores are COCO's.

    Args:
        source: as `explorer.data.coco.register_coco` takes it.

    Raises:
        ValueError: the data set has no annotations of objects, broken ones, or such that images, categories or
            annotations share an id.
    """
    return scorable(instances_split(source)).content


@dataclass(frozen=True)
class Scorable:
    """Annotations that can be scored against.

    Attributes:
        content: in COCO's form.
        left_out: how many were left out, by the kinds of `explorer.data.problems`.
        wrong_areas: how many have an area that does not fit their box.
        same_files: how many images have the file of another one.
        same_boxes: how many annotations have the box of another one of their class.
    """

    content: dict[str, Any]
    left_out: Mapping[str, int]
    wrong_areas: int
    same_files: int
    same_boxes: int

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence on each kind of thing that decides figures and is likely wrong."""
        lost = {kind: count for kind, count in self.left_out.items() if KINDS[kind].severity != "info"}
        said = []
        if lost:
            counts = ", ".join(f"{count:,} {kind}" for kind, count in lost.items())
            said.append(f"Annotations that cannot be scored against were left out: {counts} (explorer data check).")
        if self.wrong_areas:
            said.append(
                f"Annotations whose area does not fit their box: {self.wrong_areas:,}. It says all the same whether an "
                "object is small, medium or large, as in COCO (explorer data check)."
            )
        if self.same_files:
            said.append(
                f"Images with the file of another one: {self.same_files:,}. Detections of what is annotated in only "
                "one of the two count as false in the other (explorer data check)."
            )
        if self.same_boxes:
            said.append(
                f"Annotations with the box of another one of their class: {self.same_boxes:,}. One detection finds "
                "one of the two (explorer data check)."
            )
        return tuple(said)


def scorable(split: Split) -> Scorable:
    """Reads the instance annotations of a split as `ground_truth` does.

    Raises:
        ValueError: as `ground_truth` does.
    """
    source = split.source
    data, problems = split.read_instances()
    path = split.instances or split.source
    faults = [problem for problem in problems if problem.severity == "error"]
    if fault := next(itertools.chain(faults, judge_ids(data, Path(path).name) if not faults else ()), None):
        raise ValueError(f"{path} cannot be used: {fault}. All of it: explorer data check {source}")
    for problem in judge_names(data, str(path)):
        say_once(f"Two categories share a name: {problem}")
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    judged = list(judge_annotations(data))
    if fault := next((problem for problem in judged if problem.kind == "shares"), None):
        raise ValueError(f"{path} cannot be used: {fault}. All of it: explorer data check {source}")
    found = [problem for problem in judged if problem.kind in UNREADABLE]
    unreadable = {(problem.image_id, problem.annotation_id) for problem in found}
    lost = [problem for problem in problems if problem.action == "drop"]
    data["annotations"] = [
        _complete(annotation, sizes[annotation["image_id"]])
        for annotation in data["annotations"]
        if (annotation["image_id"], annotation["id"]) not in unreadable
    ]
    left_out = Counter(problem.kind for problem in (*lost, *found))
    kinds = Counter(problem.kind for problem in (*judged, *judge_files(data, "")))
    return Scorable(data, left_out, kinds["wrong-area"], kinds["same-file"], kinds["same-box"])


def _complete(annotation: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):
        annotation["segmentation"] = segmentation = [polygon for polygon in segmentation if usable(polygon)]
    annotation["iscrowd"] = int(is_set(annotation.get("iscrowd")))
    area: Any = annotation.get("area")
    if not (is_number(area) and is_finite(area)):
        annotation["area"] = (
            float(mask_api.area(compressed(segmentation, size)))
            if segmentation
            else annotation["bbox"][2] * annotation["bbox"][3]
        )
    return annotation
