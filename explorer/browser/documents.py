"""Columns to documents: exactly those that FiftyOne writes for the same labels, without its objects in between.

Fields that hold nothing are left out, as FiftyOne does. `tests/browser/test_documents.py` holds every document against
FiftyOne's own, so that a change of its storage does not pass unseen.
"""

from __future__ import annotations

import contextlib
import itertools
import mimetypes
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from bson import ObjectId
from pycocotools import mask as mask_api

from explorer.browser.ids import kept_ids, object_ids
from explorer.browser.judging import Judged
from explorer.browser.names import GROUND_TRUTH, RunFields
from explorer.data.masks import Rle
from explorer.errors.taxonomy import ErrorType
from explorer.scoring.columns import Truth
from explorer.scoring.protocols import COCO, Protocol
from explorer.types import Floats, Ints

Document = dict[str, Any]
_ERRORS = tuple(kind.label for kind in ErrorType)
_RIGHT = ("fp", "tp")
_MISSED = ("tp", "fn")


def sample_ids(dataset: str, truth: Truth) -> list[ObjectId]:
    """The id of each image's sample."""
    return object_ids(f"{dataset}/images", truth.image_ids)


def label_ids(dataset: str, truth: Truth) -> list[ObjectId]:
    """The id of each object's label."""
    return object_ids(f"{dataset}/{GROUND_TRUTH}", truth.ids)


def samples(
    dataset: str, dataset_id: ObjectId, truth: Truth, tag: str | None, now: datetime, protocol: Protocol = COCO
) -> Iterator[Document]:
    """Makes the documents of images with what is annotated in them.

    Args:
        dataset: its name.
        dataset_id: its id in the database.
        truth: the annotations, of these images only.
        tag: of every sample, the split's name for one.
        now: when they are made, UTC.
        protocol: whose sizes objects have.
    """
    ids, own = sample_ids(dataset, truth), label_ids(dataset, truth)
    coco_image_ids, coco_ids = kept_ids(truth.image_ids), kept_ids(truth.ids)
    sizes, relative = protocol.size_names(truth.areas_px), _relative(truth, truth.images, truth.boxes_xywh)
    edges = np.searchsorted(truth.images, np.arange(len(truth.image_ids) + 1)).tolist()
    for image in range(len(truth.image_ids)):
        labels = []
        for row in range(edges[image], edges[image + 1]):
            label = _label(own[row], truth.class_names[truth.classes[row]], relative[row])
            label |= {
                "iscrowd": bool(truth.crowds[row]),
                "coco_id": coco_ids[row],
                "area_px": float(truth.areas_px[row]),
                "size_bin": sizes[row],
                "found_by": [],
            }
            if truth.masks is not None:
                _add_mask(label, truth.masks[row], truth.boxes_xywh[row])
            labels.append(label)
        height, width = truth.image_sizes[image].tolist()
        yield {
            "_id": ids[image],
            "_media_type": "image",
            "_rand": _random(truth.file_names[image]),
            "_dataset_id": dataset_id,
            "filepath": truth.file_names[image],
            "tags": [tag] if tag else [],
            "metadata": _metadata(truth.file_names[image], width, height),
            "created_at": now,
            "last_modified_at": now,
            "coco_id": coco_image_ids[image],
            GROUND_TRUTH: {"_cls": "Detections", "detections": labels},
        }


class RunDocuments:
    """What a run adds to the documents.

    Args:
        dataset: the data set's name.
        judged: the run, judged.
        fields: the names of its fields.
        first_detection: the row, in the whole run, of the first detection where only a part of it was judged.
    """

    def __init__(self, dataset: str, judged: Judged, fields: RunFields, first_detection: int = 0) -> None:
        self._judged, self._fields, self._first = judged, fields, first_detection
        run = judged.run
        self._truth_ids = label_ids(dataset, run.truth)
        self._found_edges = np.searchsorted(run.found.images, np.arange(len(run.truth.image_ids) + 1)).tolist()
        self._truth_edges = np.searchsorted(run.truth.images, np.arange(len(run.truth.image_ids) + 1)).tolist()
        self._space = f"{dataset}/{fields.predictions}"
        self._sizes = fields.protocol.size_names(run.truth.areas_px)
        self._misses = {size: fields.misses(size) for size in fields.protocol.size_labels}

    def of_image(self, image: int) -> Document:
        """Returns an image's values by sample field: the detections and what is counted of them."""
        judged, fields = self._judged, self._fields
        found = slice(self._found_edges[image], self._found_edges[image + 1])
        truth = slice(self._truth_edges[image], self._truth_edges[image + 1])
        right, missed = judged.right[found], judged.missed[truth]
        unfound = (missed >= 0) & ~judged.found[truth]
        misses = Counter(itertools.compress(self._sizes[truth], unfound.tolist()))
        values: Document = {
            fields.predictions: {"_cls": "Detections", "detections": list(self._labels(found))},
            fields.true_positives: int((right == 1).sum()),
            fields.false_positives: int((right == 0).sum()),
            fields.false_negatives: int((missed == 1).sum()),
            **{name: misses[size] for size, name in self._misses.items()},
        }
        doubts = filter(None, map(judged.label_errors.get, range(found.start, found.stop)))
        if likeliest := max((own.likelihood for own in doubts), default=0.0):
            values[fields.label_error] = likeliest
        for name, column in ((fields.ap, judged.ap), (fields.ap_smallest, judged.ap_smallest)):
            if name and np.isfinite(column[image]):
                values[name] = float(column[image])
        return values

    def on_objects(self, image: int) -> Iterator[tuple[ObjectId, Document, bool]]:
        """Yields each object's label id, its values by label field, and whether the model finds it."""
        judged, fields = self._judged, self._fields
        for row in range(self._truth_edges[image], self._truth_edges[image + 1]):
            values: Document = {}
            if judged.missed[row] >= 0:
                detection = int(judged.detections[row])
                values[fields.eval_key] = _MISSED[judged.missed[row]]
                values[fields.matched_id] = "" if detection < 0 else str(self._detection_id(detection))
                if detection >= 0:
                    values[fields.matched_iou] = float(judged.ious[detection])
                values[fields.object_found] = bool(judged.found[row])
            values[fields.object_error] = _ERRORS[judged.taxonomy.object_types[row]]
            if judged.verdicts is not None and (judged.missed[row] >= 0 or judged.run.truth.crowds[row]):
                values[fields.object_verdict] = judged.verdicts[row]
            if judged.levels is not None:
                values[fields.object_level] = judged.levels[row]
            yield self._truth_ids[row], values, bool(judged.found[row])

    def _detection_id(self, row: int) -> ObjectId:
        return object_ids(self._space, np.array([row + self._first]))[0]

    def _labels(self, rows: slice) -> Iterator[Document]:
        judged, fields, run = self._judged, self._fields, self._judged.run
        found, eval_key, matched_id, matched_iou = run.found, fields.eval_key, fields.matched_id, fields.matched_iou
        images, boxes = found.images[rows], found.boxes_xywh[rows]
        own_areas = _areas_px(boxes, found.masks and found.masks[rows])
        columns = zip(
            object_ids(self._space, np.arange(rows.start, rows.stop) + self._first),
            (run.truth.class_names[row] for row in found.classes[rows].tolist()),
            _relative(run.truth, images, boxes),
            found.scores[rows].tolist(),
            judged.right[rows].tolist(),
            judged.objects[rows].tolist(),
            judged.ious[rows].tolist(),
            fields.protocol.size_names(own_areas),
            judged.taxonomy.detection_types[rows].tolist(),
            judged.suspects[rows].tolist(),
            strict=True,
        )
        for place, (label_id, name, box, score, right, thing, iou, size, error, suspect) in enumerate(columns):
            label = _label(label_id, name, box)
            label["confidence"] = score
            if right >= 0:
                label[eval_key] = _RIGHT[right]
                label[matched_id] = "" if thing < 0 else str(self._truth_ids[thing])
            if thing >= 0:
                label[matched_iou] = iou
            label["size_bin"] = size
            label["error"] = _ERRORS[error]
            label["suspect"] = suspect
            if doubt := judged.label_errors.get(rows.start + place):
                label["label_error"], label["likelihood"] = doubt.kind, doubt.likelihood
            if found.masks is not None:
                _add_mask(label, found.masks[rows.start + place], boxes[place])
            yield label


def _areas_px(boxes_xywh: Floats, masks: Sequence[Rle | None] | None) -> Floats:
    """Areas of masks, and of boxes that have none."""
    areas: Floats = boxes_xywh[:, 2] * boxes_xywh[:, 3]
    for row, mask in enumerate(masks or ()):
        if mask is not None:
            areas[row] = mask_api.area(mask)  # one at a time: pycocotools 2.0.11 counts a list's masks in 8 bits
    return areas


def _label(label_id: ObjectId, name: str, box: list[float]) -> Document:
    return {
        "_id": label_id,
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": name,
        "bounding_box": box,
    }


def _relative(truth: Truth, images: Ints, boxes_xywh: Floats) -> list[list[float]]:
    """Boxes in shares of the image's width and height."""
    frame = truth.image_sizes[images][:, [1, 0, 1, 0]]
    relative: list[list[float]] = (boxes_xywh / frame).tolist()
    return relative


def _add_mask(label: Document, mask: Rle | None, box_xywh: Floats) -> None:
    """Adds a mask as FiftyOne's COCO reader cuts it out of the image: rows and columns of the rounded box."""
    from fiftyone.core.utils import serialize_numpy_array

    if mask is None:
        return
    x, y, width, height = box_xywh.tolist()
    whole = mask_api.decode(mask).astype(bool)
    cut = whole[max(0, round(y)) : max(0, round(y + height)), max(0, round(x)) : max(0, round(x + width))]
    if cut.size:
        label["mask"] = serialize_numpy_array(cut)


def _metadata(path: str, width: int, height: int) -> Document:
    metadata: Document = {"_cls": "ImageMetadata", "width": width, "height": height}
    kind = mimetypes.guess_type(path)[0]
    if kind:
        metadata["mime_type"] = kind
    with contextlib.suppress(OSError):  # the App shows that the image is missing
        metadata["size_bytes"] = Path(path).stat().st_size
    return metadata


def _random(path: str) -> float:
    """FiftyOne's own order for random picks lies in this range; here it follows from the path."""
    return 0.999 + 0.001 * random.Random(path).random()  # noqa: S311 - it orders samples, it keeps no secret
