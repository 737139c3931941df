"""Registers data sets with detectron2, and loads them cleaned for training and evaluation.

A registered name is the data set's absolute `PATH:SPLIT`, so that a name found in a saved config registers it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from pycocotools import mask as mask_api

from explorer.data.annotations import categories_in_order, is_crowd, is_set, judge_names, say_once
from explorer.data.check import check_split, read_split
from explorer.data.ids import Id, id_order
from explorer.data.layout import Split, find_split, list_splits
from explorer.data.masks import usable
from explorer.data.panoptic import IGNORE
from explorer.data.problems import Problem
from explorer.data.sources import is_registered, require_files
from explorer.text import logger_of

__all__ = [
    "class_names",
    "has_instances",
    "list_splits",
    "num_classes",
    "register_coco",
]

logger = logger_of(__name__)


def register_coco(source: str) -> str:
    """Registers a data set with detectron2 and returns the name it is registered under.

    Registering again is free; after its annotation files have changed, the data set is registered anew. Where a split
    has panoptic labels (for the same images as its instances), these are registered with it.

    Args:
        source: a registered name (`coco_2017_val`, found by detectron2 under `$DETECTRON2_DATASETS`), `PATH`,
            `PATH:SPLIT`, `FILE.json` or `FILE.json:IMAGES_FOLDER`; in COCO's format or in one of
            `explorer.data.formats`, which is then said in the log.

    Raises:
        ValueError: nothing is there, several splits are and none is named, or an annotation file is broken.
    """
    if is_registered(source):
        require_files(source)
        return source
    split = find_split(source)
    stamp = split.stamp
    if split.source in DatasetCatalog:
        if MetadataCatalog.get(split.source).stamp == stamp:
            return split.source
        DatasetCatalog.remove(split.source)
        MetadataCatalog.remove(split.source)
    content, problems = read_split(split)
    _stop_on_errors(split.source, problems)
    for data in content.values():
        for problem in judge_names(data, split.source):
            say_once(f"Two categories share a name: {problem}")
    for problem in problems:
        if problem.kind == "format":
            say_once(f"{split.source}: {problem}")
    DatasetCatalog.register(split.source, partial(load_coco, split))
    MetadataCatalog.get(split.source).set(stamp=stamp, **_metadata(split, content))
    return split.source


def has_instances(name: str) -> bool:
    """Whether a registered data set has boxes or masks of objects, and not panoptic labels alone."""
    metadata = MetadataCatalog.get(name)
    return bool(metadata.get("json_file") or metadata.get("other_format"))


def class_names(name: str) -> tuple[str, ...]:
    """Names of the things of a registered data set, by contiguous class index."""
    return tuple(MetadataCatalog.get(name).thing_classes)


def num_classes(name: str) -> int:
    """Number of thing classes of a registered data set."""
    return len(class_names(name))


def load_coco(split: Split) -> list[dict[str, Any]]:
    """Loads a split as detectron2's dataset dicts, without the annotations that training drops.

    What is dropped and what stops is told by `problems.KINDS`. Crowds stay, marked, as detectron2 expects.

    Raises:
        ValueError: the data set has problems that stop training.
    """
    report = check_split(split)
    _stop_on_errors(split.source, report.problems)
    lost = [p for p in report.problems if p.action in {"drop", "drop part"} and p.kind not in {"crowd", "empty-image"}]
    if lost:
        counts = ", ".join(f"{number} {kind}" for kind, number in Counter(p.kind for p in lost).items())
        logger.warning("%s: dropped annotations: %s. See: explorer data check %s", split.source, counts, split.source)
    dropped = {(p.image_id, p.annotation_id) for p in lost if p.action == "drop"}
    metadata = _metadata(split, report.content)
    records = _records(split, report.content)
    if "instances" in report.content:
        _add_instances(records, report.content["instances"], dropped, metadata["thing_dataset_id_to_contiguous_id"])
    if "panoptic" in report.content:
        _add_panoptic(split, records, report.content["panoptic"], dropped, metadata)
    return [records[key] for key in sorted(records, key=id_order)]


def _stop_on_errors(source: str, problems: tuple[Problem, ...] | list[Problem]) -> None:
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        shown = "".join(f"\n  {problem.kind}: {problem}" for problem in errors[:5])
        more = f"\n  and {len(errors) - 5} more" if len(errors) > 5 else ""
        message = f"{source} cannot be used:{shown}{more}\nAll of it: explorer data check {source}"
        raise ValueError(message)


def _metadata(split: Split, content: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """detectron2's metadata: class names and id maps, and what the evaluators need."""
    panoptic = content.get("panoptic")
    instances = content.get("instances")
    categories = categories_in_order((instances or panoptic or {})["categories"])
    things = [category for category in categories if instances or category["isthing"]]
    metadata: dict[str, Any] = {
        "image_root": str(split.images),
        "evaluator_type": "coco",
        "thing_classes": [category["name"] for category in things],
        "thing_dataset_id_to_contiguous_id": {category["id"]: index for index, category in enumerate(things)},
        "has_masks": not instances or any(annotation.get("segmentation") for annotation in instances["annotations"]),
    }
    if split.other:
        metadata["other_format"] = split.other.format  # no file that detectron2's evaluators could read
    elif instances:
        metadata["json_file"] = str(split.instances)
    if panoptic:
        metadata |= _panoptic_metadata(split, panoptic)
    return metadata


def _panoptic_metadata(split: Split, panoptic: Mapping[str, Any]) -> dict[str, Any]:
    stuff = [category for category in categories_in_order(panoptic["categories"]) if not category["isthing"]]
    ids = {category["id"]: index for index, category in enumerate(stuff, start=1)}
    # contiguous class 0 is "things"; its data-set id must be one that no category has
    below = [own - 1 for category in panoptic["categories"] if isinstance(own := category["id"], int)]
    ids[min([0, *below])] = 0
    return {
        "evaluator_type": "coco_panoptic_seg",
        "panoptic_json": str(split.panoptic),
        "panoptic_root": str(split.panoptic_labels),
        "sem_seg_root": str(split.stuff_labels) if split.stuff_labels else None,
        "ignore_label": IGNORE,
        "label_divisor": 1000,
        "stuff_classes": ["things", *(category["name"] for category in stuff)],
        "stuff_dataset_id_to_contiguous_id": ids,
    }


def _records(split: Split, content: Mapping[str, dict[str, Any]]) -> dict[Id, dict[str, Any]]:
    if "instances" in content:
        images = content["instances"]["images"]
    else:
        labelled = {label["image_id"] for label in content["panoptic"]["annotations"]}
        images = [image for image in content["panoptic"]["images"] if image["id"] in labelled]
    return {
        image["id"]: {
            "file_name": str(split.images / image["file_name"]),
            "height": image["height"],
            "width": image["width"],
            "image_id": image["id"],
            "annotations": [],
        }
        for image in images
    }


def _add_instances(
    records: dict[Id, dict[str, Any]], data: Mapping[str, Any], dropped: set[Any], class_of: Mapping[Id, int]
) -> None:
    for annotation in data["annotations"]:
        if (annotation["image_id"], annotation["id"]) not in dropped:
            record = records[annotation["image_id"]]
            record["annotations"].append(_instance(annotation, class_of))


def _instance(annotation: Mapping[str, Any], class_of: Mapping[Id, int]) -> dict[str, Any]:
    instance: dict[str, Any] = {
        "iscrowd": int(is_crowd(annotation)),
        "bbox": annotation["bbox"],
        "category_id": class_of[annotation["category_id"]],
        "bbox_mode": BoxMode.XYWH_ABS,
    }
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):
        segmentation = [polygon for polygon in segmentation if usable(polygon)]
    elif segmentation and isinstance(segmentation["counts"], list):
        segmentation = mask_api.frPyObjects(segmentation, *segmentation["size"])
    if segmentation:
        instance["segmentation"] = segmentation
    return instance


def _add_panoptic(
    split: Split,
    records: dict[Id, dict[str, Any]],
    data: Mapping[str, Any],
    dropped: set[Any],
    metadata: Mapping[str, Any],
) -> None:
    """Adds label files and segments; without an instances file also an annotation per thing.

    Its mask is in the label image, from which the mapper takes it.
    """
    things, stuff = metadata["thing_dataset_id_to_contiguous_id"], metadata["stuff_dataset_id_to_contiguous_id"]
    for label in data["annotations"]:
        if (image_id := label["image_id"]) not in records:
            continue
        record = records[image_id]
        record["pan_seg_file_name"] = str(Path(metadata["panoptic_root"]) / label["file_name"])
        if split.stuff_labels:
            record["sem_seg_file_name"] = str(split.stuff_labels / label["file_name"])
        record["segments_info"] = [
            {
                "id": segment["id"],
                "isthing": (isthing := segment["category_id"] in things),
                "category_id": (things if isthing else stuff)[segment["category_id"]],
                "iscrowd": int(is_set(segment.get("iscrowd"))),
            }
            for segment in label["segments_info"]
        ]
        if not split.has_instances:
            record["annotations"] = [
                {**_instance(segment, things), "segment_id": segment["id"]}
                for segment in label["segments_info"]
                if segment["category_id"] in things and (image_id, segment["id"]) not in dropped
            ]
