"""JSON as other libraries write detections.

* Hugging Face: what the object-detection pipeline returns, `[{"score", "label", "box": {"xmin", …}}, …]`, of one image
  per file that is called like it, or of several as an object by file name.
* mmdetection: what `DetInferencer` writes, a file per image with `labels`, `scores` and `bboxes`.
* supervision: what `JSONSink` writes, a row per detection.
* FiftyOne: `samples.json` of an exported data set, or `labels.json` of its image detections.

Source: the documentation of each library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from reprlib import repr as shorten
from typing import Any

from explorer.scoring.foreign.boxes import Box, Looked
from explorer.scoring.foreign.tables import is_row, row_box

_MMDETECTION = {"bboxes", "labels", "scores"}
_FORMS = (
    "COCO results, Ultralytics' predictions.json, mmdetection's per image, a Hugging Face pipeline's, supervision's or "
    "FiftyOne's"
)


def is_foreign(entry: Any) -> bool:
    """Tells whether the first entry of a list is no COCO result but a detection of another library's."""
    return isinstance(entry, dict) and "image_id" not in entry and ("box" in entry or is_row(entry))


def boxes_in(content: Any, stem: str, field: str | None = None) -> Iterator[Box | Looked] | None:
    """Reads detections out of what a JSON file holds; None where it is none of the known forms.

    Args:
        content: in JSON's types.
        stem: the file's name without suffix, which names its image where nothing else does.
        field: of several fields of a FiftyOne data set, the one that is meant.

    Raises:
        ValueError: its form is known, and something in it is not as it must be.
    """
    if isinstance(content, list):
        return _listed(content, stem) if content and is_foreign(content[0]) else None
    if not isinstance(content, dict):
        return None
    if content.keys() >= _MMDETECTION:
        return _mmdetection(content, stem)
    if isinstance(content.get("samples"), list):
        return _fiftyone_samples(content["samples"], field)
    if isinstance(content.get("labels"), dict):
        return _fiftyone_labels(content["labels"], content.get("classes"))
    if isinstance(content.get("predictions"), list):
        return _dumped(content["predictions"], stem)
    if content and all(isinstance(own, list) for own in content.values()):
        return _by_image(content)
    return None


def _by_image(content: Mapping[str, Sequence[Any]]) -> Iterator[Box | Looked]:
    for image, entries in content.items():
        yield Looked(image)
        yield from _listed(entries, image)


def _listed(entries: Sequence[Any], image: str) -> Iterator[Box]:
    for place, entry in enumerate(entries):
        where = f"detection {place} (counted from 0) of {image}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where} is {shorten(entry)}, which must be an object")
        box = entry.get("box")
        if isinstance(box, dict):
            corners = [box.get(name) for name in ("xmin", "ymin", "xmax", "ymax")]
            yield Box(image, entry.get("label"), corners, entry.get("score"), where=where)
        elif is_row(entry):
            yield row_box(entry, image, where)
        else:
            raise ValueError(f"{where} has no box: {shorten(entry)}; supported are {_FORMS}")


def _mmdetection(content: Mapping[str, Any], image: str) -> Iterator[Box]:
    columns = [content[name] for name in ("labels", "bboxes", "scores")]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) > 1:
        raise ValueError("its labels, bboxes and scores must be lists of one length")
    for place, (label, box, score) in enumerate(zip(*columns, strict=True)):
        where = f"detection {place} (counted from 0) of {image}"
        if not (isinstance(box, list) and len(box) == 4):
            raise ValueError(f"{where} has bbox {shorten(box)}, which must be [x1, y1, x2, y2]")
        yield Box(image, label, box, score, where=where)


def _dumped(predictions: Sequence[Any], stem: str) -> Iterator[Box]:
    if len(predictions) != 1 or not (isinstance(predictions[0], dict) and predictions[0].keys() >= _MMDETECTION):
        raise ValueError(
            f"it holds {len(predictions)} predictions and not the names of their images: give the folder `preds` that "
            "mmdetection's DetInferencer writes with no_save_pred=False, a file for each image"
        )
    yield from _mmdetection(predictions[0], stem)


def _fiftyone_samples(samples: Sequence[Any], field: str | None) -> Iterator[Box | Looked]:
    fields = {
        name: None
        for sample in samples
        if isinstance(sample, dict)
        for name, own in sample.items()
        if isinstance(own, dict) and isinstance(own.get("detections"), list) and _has_scores(own["detections"])
    }
    chosen = field if field in fields else next(iter(fields), None)
    if chosen is None:
        raise ValueError("none of its fields has detections with a confidence")
    if len(fields) > 1 and field not in fields:
        raise ValueError(f"it has several fields of detections, {', '.join(fields)}: name one of them (--name, name=)")
    for place, sample in enumerate(samples):
        if not (isinstance(sample, dict) and isinstance(sample.get("filepath"), str)):
            raise ValueError(f"sample {place} (counted from 0) is {shorten(sample)}, which must have a filepath")
        found = sample.get(chosen)
        yield from _fiftyone(found.get("detections") if isinstance(found, dict) else [], sample["filepath"], None)


def _fiftyone_labels(labels: Mapping[str, Any], classes: Any) -> Iterator[Box | Looked]:
    for image, found in labels.items():
        yield from _fiftyone(found or [], image, classes)


def _fiftyone(found: Any, image: str, classes: Any) -> Iterator[Box | Looked]:
    name = PurePosixPath(image.replace("\\", "/")).name
    yield Looked(image)
    if not isinstance(found, list):
        raise ValueError(f"the detections of {name} are {shorten(found)}, which must be a list")
    for place, own in enumerate(found):
        where = f"detection {place} (counted from 0) of {name}"
        box = own.get("bounding_box") if isinstance(own, dict) else None
        if not (isinstance(box, list) and len(box) == 4 and all(isinstance(side, (int, float)) for side in box)):
            raise ValueError(f"{where} has bounding_box {shorten(box)}, which must be [x, y, width, height]")
        if own.get("confidence") is None:
            raise ValueError(f"{where} has no confidence: these are annotations, not detections")
        label, (x, y, w, h) = own.get("label"), box
        if isinstance(label, int) and isinstance(classes, list) and 0 <= label < len(classes):
            label = classes[label]
        yield Box(image, label, (x, y, x + w, y + h), own["confidence"], relative=True, where=where)


def _has_scores(found: Sequence[Any]) -> bool:
    return any(isinstance(own, dict) and own.get("confidence") is not None for own in found)
