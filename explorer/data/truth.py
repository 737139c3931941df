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


_DOUBTS: Mapping[str, str] = {
    "zero-area": "Objects whose box has no area: {:,}. They count as missed, as in COCO",
    "box-outside": "Objects whose box lies outside of their image: {:,}. They count as missed, as in COCO",
    "box-over-edge": "Boxes that reach over the edge of their image: {:,}. Boxes are [x, y, width, height], in pixels",
    "wrong-area": "Annotations whose area does not fit their box: {:,}. It says all the same whether an object is "
    "small, medium or large, as in COCO",
    "same-file": "Images with the file of another one: {:,}. Detections of what is annotated in only one of the two "
    "count as false in the other",
    "same-box": "Annotations with the box of another one of their class: {:,}. One detection finds one of the two",
}
"""What decides figures though it is likely wrong, by kind of problem."""
_OVER_EDGE_SHARE = 0.1
"""Of boxes; COCO's own are fewer, by rounding."""


@dataclass(frozen=True)
class Scorable:
    """Annotations that can be scored against.

    Attributes:
        content: in COCO's form.
        left_out: how many were left out, by the kinds of `explorer.data.problems`.
        doubts: how many are scored and likely wrong, by those kinds.
    """

    content: dict[str, Any]
    left_out: Mapping[str, int]
    doubts: Mapping[str, int]

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence on what was left out, and one on each kind of doubt."""
        lost = {kind: count for kind, count in self.left_out.items() if KINDS[kind].severity != "info"}
        counts = ", ".join(f"{count:,} {kind}" for kind, count in lost.items())
        said = [f"Annotations that cannot be scored against were left out: {counts}"] if lost else []
        said += [words.format(self.doubts[kind]) for kind, words in _DOUBTS.items() if self.doubts.get(kind)]
        return tuple(f"{words} (explorer data check)." for words in said)


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
    doubts = Counter(own.kind for own in (*judged, *judge_files(data, "")) if own.kind in _DOUBTS)
    if doubts["box-over-edge"] <= _OVER_EDGE_SHARE * len(data["annotations"]):
        del doubts["box-over-edge"]
    return Scorable(data, left_out, doubts)


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
