"""Detections turned into COCO's format and into runs: ids, boxes and masks change form here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as mask_api

from explorer.data.masks import encode_masks
from explorer.scoring.columns import Run, Truth, in_order
from explorer.types import Detections

if TYPE_CHECKING:
    from detectron2.structures import Instances

CocoResult = dict[str, Any]
"""One detection in COCO's results format: `image_id`, `category_id`, `bbox` (XYWH, pixels), `score` and, for masks,
`segmentation` (RLE)."""


def coco_results(instances: Instances, image_id: int, category_ids: Mapping[int, int]) -> list[CocoResult]:
    """Returns one image's detections in COCO's results format.

    Args:
        instances: on the CPU, in the frame of the original image.
        image_id: COCO's number of the image.
        category_ids: COCO's category id by class index.

    Raises:
        ValueError: if a predicted class is unknown to the data set.
    """
    boxes = instances.pred_boxes.tensor.double().numpy()
    boxes_xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    classes = instances.pred_classes.tolist()
    if unknown := set(classes) - set(category_ids):
        raise ValueError(
            f"The model predicts class {min(unknown)}, but the data set has {len(category_ids)} classes. "
            "Evaluate on data with the classes that the model was trained on."
        )
    results: list[CocoResult] = [
        {"image_id": image_id, "category_id": category_ids[index], "bbox": box, "score": score}
        for index, box, score in zip(classes, boxes_xywh.tolist(), instances.scores.tolist(), strict=True)
    ]
    if instances.has("pred_masks"):
        for result, rle in zip(results, encode_masks(instances.pred_masks.numpy()), strict=True):
            result["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode("ascii")}
    return results


def coco_annotations(detections: Detections, image_id: int, ids: dict[int, int]) -> list[dict[str, Any]]:
    """Returns one image's detections as COCO annotations that also are COCO results (they have a `score`).

    Args:
        detections: in the frame of the original image.
        image_id: the image's number.
        ids: category id by class index.
    """
    boxes = detections.boxes_xyxy.astype(np.float64)
    annotations: list[dict[str, Any]] = [
        {
            "image_id": image_id,
            "category_id": ids[int(index)],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
            "score": float(score),
        }
        for (x1, y1, x2, y2), score, index in zip(boxes.tolist(), detections.scores, detections.classes, strict=True)
    ]
    for annotation, mask in zip(annotations, detections.masks or (), strict=detections.masks is not None):
        annotation["segmentation"] = {"size": list(mask["size"]), "counts": mask["counts"].decode("ascii")}
        annotation["area"] = float(mask_api.area(mask))
    return annotations


def run_from_detections(
    truth: Truth, detections: Sequence[Detections], name: str, facts: Mapping[str, Any] | None = None
) -> Run:
    """Makes a run of what a detector at hand found, without files.

    Args:
        truth: what is there; see `Truth.of_images` for a part of a data set.
        detections: one per image of `truth`, in its order. Classes are matched by name.
        name: what to call the run.
        facts: where it comes from.

    Raises:
        ValueError: the detections are not on these images or classes, or have scores or boxes that are not finite.
    """
    if len(detections) != len(truth.image_ids):
        raise ValueError(
            f"there are detections for {len(detections)} images, the truth has {len(truth.image_ids)}: "
            "give one Detections per image, in the order of image_ids"
        )
    for image_id, size, found in zip(truth.image_ids.tolist(), truth.image_sizes.tolist(), detections, strict=True):
        if fault := _judge_detections(found, tuple(size), truth.class_names):
            raise ValueError(f"the detections on image {image_id} {fault}")
    if len({found.masks is None for found in detections if len(found)}) > 1:
        raise ValueError("some images have detections with masks and others without; give all or none")
    row_of = {class_name: row for row, class_name in enumerate(truth.class_names)}
    boxes = np.concatenate([found.boxes_xyxy.astype(np.float64) for found in detections] or [np.zeros((0, 4))])
    classes = [row_of[found.class_names[index]] for found in detections for index in found.classes]
    columns = in_order(
        np.repeat(np.arange(len(detections)), [len(found) for found in detections]),
        np.array(classes, dtype=np.int64),
        np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1),
        np.concatenate([found.scores.astype(np.float64) for found in detections] or [np.zeros(0)]),
        tuple(mask for found in detections for mask in found.masks or ()) or None,
    )
    return Run(name, truth, columns, dict(facts or {}))


def _judge_detections(found: Detections, size: tuple[int, ...], class_names: Sequence[str]) -> str | None:
    if found.image_size != size:
        return f"are in a frame of (height, width) {found.image_size}, the image's is {size}"
    used = {found.class_names[index] for index in set(found.classes.tolist())}
    if unknown := sorted(used - set(class_names)):
        return f"have class {unknown[0]!r}, which the data set does not have; it has {', '.join(class_names[:8])}, …"
    if not (np.isfinite(found.scores).all() and np.isfinite(found.boxes_xyxy).all()):
        return "have a score or a coordinate that is not finite"
    return None
