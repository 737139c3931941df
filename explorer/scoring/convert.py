"""Detections turned into COCO's format and into runs: ids, boxes and masks change form here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from explorer.data.ids import Id
from explorer.scoring.classes import SharedClasses, listed
from explorer.scoring.columns import Found, Run, Truth, in_order
from explorer.types import Detections, Floats, Ints

CocoResult = dict[str, Any]
"""One detection in COCO's results format: `image_id`, `category_id`, `bbox` (XYWH, pixels), `score` and, for masks,
`segmentation` (RLE). A detector that scores masks apart from boxes adds `mask_score`, which other tools do not read."""


def coco_results(run: Run) -> list[CocoResult]:
    """Returns a run's detections in COCO's results format, by image and best first, with the data set's ids."""
    truth, found = run.truth, run.found
    image_ids, category_ids = truth.image_ids.tolist(), truth.category_ids.tolist()
    results: list[CocoResult] = [
        {"image_id": image_ids[image], "category_id": category_ids[row], "bbox": box, "score": score}
        for image, row, box, score in zip(
            found.images.tolist(), found.classes.tolist(), found.boxes_xywh.tolist(), found.scores.tolist(), strict=True
        )
    ]
    return _with_masks(results, found)


def _with_masks(results: list[CocoResult], found: Found | Detections) -> list[CocoResult]:
    for result, mask in zip(results, found.masks or (), strict=bool(found.masks)):
        if mask is not None:
            result["segmentation"] = {"size": list(mask["size"]), "counts": mask["counts"].decode("ascii")}
    if found.mask_scores is not None:
        for result, score in zip(results, found.mask_scores.tolist(), strict=True):
            result["mask_score"] = score
    return results


def results_of(detections: Detections, image_id: Id, category_ids: Mapping[int, Id]) -> list[CocoResult]:
    """Returns one image's detections in COCO's results format.

    Args:
        detections: in the frame of the original image.
        image_id: the image's id.
        category_ids: category id by class index.
    """
    columns = detections.classes.tolist(), xywh(detections.boxes_xyxy).tolist(), detections.scores.tolist()
    results: list[CocoResult] = [
        {"image_id": image_id, "category_id": category_ids[index], "bbox": box, "score": score}
        for index, box, score in zip(*columns, strict=True)
    ]
    return _with_masks(results, detections)


def coco_annotations(detections: Detections, image_id: Id, category_ids: Mapping[int, Id]) -> list[dict[str, Any]]:
    """Returns one image's detections as COCO annotations that also are COCO results; the arguments of `results_of`."""
    annotations = results_of(detections, image_id, category_ids)
    for row, annotation in enumerate(annotations):
        width, height = annotation["bbox"][2:]
        area = float(mask_api.area(detections.masks[row])) if detections.masks else width * height
        annotation |= {"area": area, "iscrowd": 0}
    return annotations


def xywh(boxes_xyxy: npt.NDArray[np.floating]) -> Floats:
    """Turns `(N, 4)` boxes from corners into COCO's corner and size."""
    corners = boxes_xyxy.astype(np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def run_from_detections(
    truth: Truth,
    detections: Sequence[Detections],
    name: str,
    facts: Mapping[str, Any] | None = None,
    classes: SharedClasses | None = None,
) -> Run:
    """Makes a run of what a detector at hand found, without files.

    Args:
        truth: what is there; see `Truth.of_images` for a part of a data set.
        detections: one per image of `truth`, in its order.
        name: what to call the run.
        facts: where it comes from.
        classes: which of the detector's classes are which of `truth`; detections of others are left out. Where None,
            classes are matched by name and all must be there.

    Raises:
        ValueError: the detections are not on these images or classes, or have scores or boxes that are not finite.
    """
    if len(detections) != len(truth.image_ids):
        raise ValueError(
            f"there are detections for {len(detections)} images, the truth has {len(truth.image_ids)}: "
            "give one Detections per image, in the order of image_ids"
        )
    for image_id, size, found in zip(truth.image_ids.tolist(), truth.image_sizes.tolist(), detections, strict=True):
        if fault := _judge_detections(found, tuple(size)):
            raise ValueError(f"the detections on image {image_id} {fault}")
    has_masks = {found.masks is not None for found in detections if len(found)}
    if len(has_masks) > 1:
        raise ValueError("some images have detections with masks and others without; give all or none")
    detected = np.repeat(np.arange(len(detections)), [len(found) for found in detections])
    boxes = np.concatenate([found.boxes_xyxy.astype(np.float64) for found in detections] or [np.zeros((0, 4))])
    scores = np.concatenate([found.scores.astype(np.float64) for found in detections] or [np.zeros(0)])
    rows = np.concatenate([_class_rows(found, truth, classes) for found in detections] or [np.zeros(0, np.int64)])
    masks = [mask for found in detections for mask in found.masks or ()]
    mask_scores = None
    if any(found.mask_scores is not None for found in detections):
        mask_scores = np.concatenate([_mask_scores(found) for found in detections])
    kept = np.flatnonzero(rows >= 0)
    columns = in_order(
        detected[kept],
        rows[kept],
        xywh(boxes)[kept],
        scores[kept],
        tuple(masks[row] for row in kept) if any(found.masks is not None for found in detections) else None,
        None if mask_scores is None else mask_scores[kept],
    )
    return Run(name, truth, columns, dict(facts or {}))


def detections_of(truth: Truth, found: Found, image: int) -> Detections:
    """Returns what was found in one image; classes are those of `truth`.

    Args:
        truth: the images and classes.
        found: the detections over them.
        image: the image's row in `truth`.

    Raises:
        ValueError: some of the image's detections have masks and others have none.
    """
    first, last = np.searchsorted(found.images, [image, image + 1]).tolist()
    masks = [mask for mask in (found.masks or ())[first:last] if mask is not None]
    if 0 < len(masks) < last - first:
        raise ValueError(f"{len(masks)} of {last - first} detections have masks; give a mask to all or to none")
    height, width = truth.image_sizes[image].tolist()
    corner, size = np.split(found.boxes_xywh[first:last], 2, axis=1)
    return Detections(
        boxes_xyxy=np.concatenate([corner, corner + size], axis=1).astype(np.float32),
        scores=found.scores[first:last].astype(np.float32),
        classes=found.classes[first:last],
        class_names=truth.class_names,
        image_size=(height, width),
        masks=None if found.masks is None else tuple(masks),
        mask_scores=None if found.mask_scores is None else found.mask_scores[first:last].astype(np.float32),
    )


def _class_rows(found: Detections, truth: Truth, classes: SharedClasses | None) -> Ints:
    """The class row of each detection, `(N,)`; -1 for a class that is not scored."""
    if classes is None:
        row_of = {class_name: row for row, class_name in enumerate(truth.class_names)}
        used = {found.class_names[index] for index in set(found.classes.tolist())}
        if unknown := sorted(used - set(row_of)):
            raise ValueError(
                f"the detections have class {unknown[0]!r}, which the data set does not have; it has "
                f"{listed(truth.class_names)}"
            )
        by_index = [row_of.get(name, -1) for name in found.class_names]
    else:
        by_index = list(classes.rows)
    rows: Ints = np.array([*by_index, -1], dtype=np.int64)[found.classes]
    return rows


def _mask_scores(found: Detections) -> Floats:
    own: Floats = (found.scores if found.mask_scores is None else found.mask_scores).astype(np.float64)
    return own


def _judge_detections(found: Detections, size: tuple[int, ...]) -> str | None:
    if found.image_size != size:
        return f"are in a frame of (height, width) {found.image_size}, the image's is {size}"
    if not (np.isfinite(_mask_scores(found)).all() and np.isfinite(found.scores).all()):
        return "have a score that is not finite"
    if not np.isfinite(found.boxes_xyxy).all():
        return "have a coordinate that is not finite"
    return None
