"""What a model's class indices are called, and the category ids that go with them in COCO files."""

from __future__ import annotations

from collections.abc import Sequence

from detectron2.data import MetadataCatalog
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

from explorer.engine.config_facts import ConfigFacts

THINGS = "things"
"""Semantic index 0 of a Panoptic FPN: every pixel of an object."""
COCO_THINGS = {str(c["name"]): int(c["id"]) for c in COCO_CATEGORIES if c["isthing"]}
"""COCO's 80 object classes with their ids, which have gaps."""
COCO_STUFF = {str(c["name"]): int(c["id"]) for c in COCO_CATEGORIES if not c["isthing"]}
"""COCO's 53 stuff classes of the panoptic task with their ids."""


def thing_names(facts: ConfigFacts) -> tuple[str, ...]:
    """Returns the names of the classes that a model detects, by index.

    They come from `EXPLORER.CLASS_NAMES` (in a LazyConfig `explorer.class_names`), where training writes those of its
    data, else from a registered data set in `DATASETS.TRAIN` or `.TEST` that has as many classes, else they are COCO's
    for a model of 80 classes, else "class 0", "class 1", ….

    Raises:
        ValueError: if `EXPLORER.CLASS_NAMES` has another length than the model has classes.
    """
    given = _checked(facts.class_names, facts.classes, "EXPLORER.CLASS_NAMES")
    registered = _registered(facts.datasets, "thing_classes", facts.classes)
    return given or registered or _default(tuple(COCO_THINGS), facts.classes, "class")


def stuff_names(facts: ConfigFacts) -> tuple[str, ...]:
    """Returns the names of a panoptic model's semantic classes ("things" first), empty for other models.

    They come from `EXPLORER.STUFF_CLASS_NAMES`, a registered data set or COCO, as for `thing_names`.
    """
    given = _checked(facts.stuff_class_names, facts.stuff_classes, "EXPLORER.STUFF_CLASS_NAMES")
    registered = _registered(facts.datasets, "stuff_classes", facts.stuff_classes)
    return given or registered or _default((THINGS, *COCO_STUFF), facts.stuff_classes, "stuff")


def category_ids(class_names: Sequence[str]) -> dict[int, int]:
    """Returns a category id by class index, for files about images of no data set.

    They are COCO's, by name, where the classes are COCO's 80, otherwise 1, 2, 3, ….
    """
    if sorted(class_names) == sorted(COCO_THINGS):
        return {index: COCO_THINGS[name] for index, name in enumerate(class_names)}
    return {index: index + 1 for index in range(len(class_names))}


def _checked(names: tuple[str, ...], count: int, key: str) -> tuple[str, ...]:
    if names and len(names) != count:
        raise ValueError(f"{key} has {len(names)} names, but the model has {count} classes: give one name per class.")
    return names


def _registered(datasets: Sequence[str], key: str, count: int) -> tuple[str, ...]:
    for dataset in datasets:
        if dataset in MetadataCatalog.list():
            names = tuple(MetadataCatalog.get(dataset).get(key, ()))
            if len(names) == count:
                return names
    return ()


def _default(coco: tuple[str, ...], count: int, word: str) -> tuple[str, ...]:
    return coco if count == len(coco) else tuple(f"{word} {index}" for index in range(count))
