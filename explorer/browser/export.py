"""Back to COCO: the annotations as they are after a session in the App, to train on."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.browser.names import GROUND_TRUTH
from explorer.data.annotations import categories_in_order
from explorer.data.ids import Id, as_id

Annotation = dict[str, Any]
Label = dict[str, Any]

LEAST_MOVE_PX = 0.01
"""Less is what comes of writing boxes as shares of the image."""
ACCEPT, REJECT = "accept", "reject"
"""Tags with a meaning: `accept` on a detection makes it an object, `reject` on an object takes it away."""


@dataclass(frozen=True)
class Changes:
    """What a session changed.

    Attributes:
        relabelled: objects with another class.
        moved: objects with another box.
        added: objects drawn in the App, and detections tagged `accept`.
        removed: objects deleted in the App, or tagged `reject`.
        tagged: objects and images with tags.
    """

    relabelled: int
    moved: int
    added: int
    removed: int
    tagged: int

    @property
    def summary(self) -> str:
        return (
            f"{self.relabelled} relabelled, {self.moved} moved, {self.added} added, {self.removed} removed, "
            f"{self.tagged} tagged"
        )


def write_corrected(dataset: Any, data: str, path: Path) -> Changes:
    """Writes the annotations of a data set as corrected in the App, in COCO's format.

    What was not touched stays as it is in the original file, with all its keys, and so does what no scorer can read,
    which the App does not show. Tags stand in `tags` of annotations and
    images. Images whose sample was deleted in the App are left out with their annotations.

    Args:
        dataset: as built here, with its corrections.
        data: what it was built from.
        path: the new annotation file.

    Raises:
        ValueError: the data cannot be read, or a label's class is not among its categories.
    """
    from explorer.data.sources import any_split
    from explorer.data.truth import scorable
    from explorer.reading import read_json
    from explorer.writing import write_json

    split = any_split(data)
    content = split.read_instances()[0] if split.other else read_json(split.files[0])
    shown = {str(annotation["id"]) for annotation in scorable(split).content["annotations"]}
    corrected, changes = correct(content, list(_samples(dataset)), shown)
    write_json(corrected, path)
    return changes


def correct(
    content: dict[str, Any], samples: list[dict[str, Any]], shown: Collection[str] | None = None
) -> tuple[dict[str, Any], Changes]:
    """Applies a session's labels to annotations in COCO's format.

    Args:
        content: the original annotations.
        samples: of each image that is left: `coco_id`, `tags`, `objects` and `accepted`, lists of labels with `label`,
            `bounding_box` in shares of the image, `tags`, and `coco_id` where it is an object of the original. Ids may
            be written as numbers or as texts.
        shown: ids, as texts, of the annotations that the App has shown; the others stay. None for all.

    Raises:
        ValueError: a label's class is not among the categories.
    """
    category_of = {category["name"]: category["id"] for category in categories_in_order(content["categories"])}
    original = {str(as_id(annotation["id"])): annotation for annotation in content["annotations"]}
    free_ids = _free_ids([annotation["id"] for annotation in content["annotations"]])
    of_image = {str(sample["coco_id"]): sample for sample in samples}
    if unknown := of_image.keys() - {str(as_id(image["id"])) for image in content["images"]}:
        raise ValueError(f"image {min(unknown)} is not in the annotations: it was added in the App; delete it there")
    hidden: dict[str, list[Annotation]] = {}
    for own, annotation in original.items():
        if shown is not None and own not in shown:
            hidden.setdefault(str(as_id(annotation["image_id"])), []).append(annotation)
    kept_images, annotations = [], []
    for image in content["images"]:
        sample = of_image.get(str(as_id(image["id"])))
        if sample is None:
            continue
        kept_images.append(image | _tags(sample["tags"]))
        for label in (*sample["objects"], *sample["accepted"]):
            if REJECT in label["tags"]:
                continue
            if label["label"] not in category_of:
                raise ValueError(
                    f"image {image['id']} has an object of class {label['label']!r}, which the data does not have; "
                    f"it has {', '.join(list(category_of)[:8])}. Rename it in the App"
                )
            known = original.get(str(label["coco_id"]))
            annotation = _new(label, image, next(free_ids)) if known is None else _boxed(known, label, image)
            annotations.append(annotation | {"category_id": category_of[label["label"]]} | _tags(label["tags"]))
        annotations += hidden.get(str(as_id(image["id"])), [])
    tagged = sum("tags" in entry for entry in (*kept_images, *annotations))
    return content | {"images": kept_images, "annotations": annotations}, _compare(original, annotations, tagged)


def _free_ids(used: list[Id]) -> Iterator[Id]:
    """Counts on after the highest number; in texts where all ids are texts."""
    texts = {str(own) for own in used}
    highest = max((int(own) for own in used if not isinstance(own, str)), default=0)
    numbers = (number for number in itertools.count(highest + 1) if str(number) not in texts)
    return map(str, numbers) if used and all(isinstance(own, str) for own in used) else numbers


def _compare(original: dict[str, Annotation], annotations: list[Annotation], tagged: int) -> Changes:
    own = ((original.get(str(as_id(annotation["id"]))), annotation) for annotation in annotations)
    pairs = [(old, new) for old, new in own if old is not None]
    return Changes(
        relabelled=sum(old["category_id"] != new["category_id"] for old, new in pairs),
        moved=sum(old["bbox"] != new["bbox"] for old, new in pairs),
        added=len(annotations) - len(pairs),
        removed=len(original) - len(pairs),
        tagged=tagged,
    )


def _tags(tags: list[str]) -> dict[str, list[str]]:
    kept = [tag for tag in tags if tag != ACCEPT]
    return {"tags": kept} if kept else {}


def _boxed(known: Annotation, label: Label, image: dict[str, Any]) -> Annotation:
    """The original annotation, with the label's box where that was moved; its mask no longer fits then."""
    box = _pixels(label, image)
    if all(abs(new - old) < LEAST_MOVE_PX for new, old in zip(box, known["bbox"], strict=True)):
        return dict(known)
    rest = {key: value for key, value in known.items() if key != "segmentation"}
    return rest | {"bbox": box, "area": box[2] * box[3]}


def _new(label: Label, image: dict[str, Any], own: Id) -> Annotation:
    box = _pixels(label, image)
    return {"id": own, "image_id": image["id"], "bbox": box, "area": box[2] * box[3], "iscrowd": 0}


def _pixels(label: Label, image: dict[str, Any]) -> list[float]:
    frame = (image["width"], image["height"]) * 2
    return [share * side for share, side in zip(label["bounding_box"], frame, strict=True)]


def _samples(dataset: Any) -> Iterator[dict[str, Any]]:
    """Reads what is left and changed."""
    from explorer.browser.state import KEY

    runs = [name for name in dataset.info[KEY]["runs"] if dataset.has_field(name)]
    split = Path(str(dataset.info[KEY]["source"]).rpartition(":")[2]).name
    for sample in dataset.iter_samples():
        accepted = [label for name in runs if sample[name] for label in sample[name].detections if ACCEPT in label.tags]
        objects = sample[GROUND_TRUTH].detections if sample[GROUND_TRUTH] else []
        yield {
            "coco_id": sample["coco_id"],
            "tags": [tag for tag in sample.tags if tag != split],
            "objects": [_plain(label) for label in objects],
            "accepted": [_plain(label) | {"coco_id": None} for label in accepted],
        }


def _plain(label: Any) -> dict[str, Any]:
    return {
        "label": label.label,
        "bounding_box": list(label.bounding_box),
        "tags": list(label.tags),
        "coco_id": label.get_field("coco_id") if label.has_field("coco_id") else None,
    }
