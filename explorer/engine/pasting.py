"""Masks pasted into their boxes alone: as detectron2 pastes them, without a picture of the whole photo for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import torch
from detectron2.layers.mask_ops import _do_paste_mask
from detectron2.modeling.meta_arch import GeneralizedRCNN, PanopticFPN
from detectron2.modeling.postprocessing import detector_postprocess, sem_seg_postprocess
from detectron2.structures import Boxes, Instances, ROIMasks
from torch import Tensor, nn

from explorer.data.masks import encode_crop


@dataclass(frozen=True, eq=False)
class PastedMasks:
    """Binary masks of one image, each kept where its box is; stands where detectron2 has `(N, height, width)` masks.

    Attributes:
        crops: boolean `(h, w)` tensors, on the CPU.
        corners: column and row of each crop's upper left pixel.
        size: the image's `(height, width)`.
    """

    crops: tuple[Tensor, ...]
    corners: tuple[tuple[int, int], ...]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, item: Any) -> Self:
        """Picks masks by a slice, indices or truth values, as `Instances` does."""
        rows = torch.arange(len(self))[item].tolist()
        return type(self)(tuple(self.crops[row] for row in rows), tuple(self.corners[row] for row in rows), self.size)

    def encoded(self) -> tuple[dict[str, Any], ...]:
        """Returns the masks as compressed COCO RLEs of the whole image."""
        return tuple(
            encode_crop(crop.numpy(), *corner, self.size) for crop, corner in zip(self.crops, self.corners, strict=True)
        )


class BoxMasks(ROIMasks):
    """Masks within boxes, `(N, M, M)` probabilities, which `detector_postprocess` pastes into their boxes alone."""

    def __getitem__(self, item: Any) -> Self:
        return type(self)(self.tensor[item])

    def to_bitmasks(self, boxes: Boxes, height: int, width: int, threshold: float = 0.5) -> SimpleNamespace:
        """Pastes masks into boxes of an image; `tensor` of what comes back is a `PastedMasks`."""
        masks, crops, corners = self.tensor[:, None], [], []
        for row in range(len(masks)):
            here = slice(row, row + 1)
            pasted, (rows, columns) = _do_paste_mask(masks[here], boxes.tensor[here], height, width, skip_empty=True)
            crops.append(pasted[0] >= threshold)
            corners.append((int(columns.start), int(rows.start)))
        return SimpleNamespace(tensor=PastedMasks(tuple(crops), tuple(corners), (height, width)))


def infer(model: nn.Module, batched_inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Runs detectron2's inference, where masks of instances come as `PastedMasks` if the model is on the CPU.

    Panoptic segments are put together from these, with the result of detectron2's merging.

    Args:
        model: a detectron2 model in evaluation mode.
        batched_inputs: detectron2's.
    """
    known: Any = model
    found: list[dict[str, Any]]
    kind = getattr(type(model), "inference", None) if known.device.type == "cpu" else None
    if kind is GeneralizedRCNN.inference:
        instances: list[Instances] = known.inference(batched_inputs, do_postprocess=False)
        for one in instances:
            if one.has("pred_masks"):
                one.pred_masks = BoxMasks(one.pred_masks[:, 0])
        found = GeneralizedRCNN._postprocess(instances, batched_inputs, [one.image_size for one in instances])
    elif kind is PanopticFPN.inference:
        instances, logits = known.inference(batched_inputs, do_postprocess=False)
        found = [_panoptic(known, *own) for own in zip(instances, logits, batched_inputs, strict=True)]
    else:
        found = model(batched_inputs)
    return found


def _panoptic(model: PanopticFPN, instances: Instances, logits: Tensor, given: Mapping[str, Any]) -> dict[str, Any]:
    """Puts one image's outputs together; `logits` are `(classes, height, width)` of the padded input."""
    size = given.get("height", instances.image_size[0]), given.get("width", instances.image_size[1])
    semantic = logits[:, : instances.image_size[0], : instances.image_size[1]]
    if size != tuple(instances.image_size):  # at its own size, interpolation gives what it is given
        semantic = sem_seg_postprocess(logits, instances.image_size, *size)
    instances.pred_masks = BoxMasks(instances.pred_masks[:, 0])
    found = detector_postprocess(instances, *size)
    merged = merge_segments(
        found,
        semantic.argmax(dim=0),
        model.combine_overlap_thresh,
        model.combine_stuff_area_thresh,
        model.combine_instances_score_thresh,
    )
    return {"sem_seg": semantic, "instances": found, "panoptic_seg": merged}


def merge_segments(
    instances: Instances, classes: Tensor, most_overlap: float, least_area_px: float, least_score: float
) -> tuple[Tensor, list[dict[str, Any]]]:
    """Merges instances and semantic classes into segments, and looks only where an instance is.

    Args:
        instances: of one image, in its original frame; their masks are `PastedMasks`.
        classes: `(height, width)` semantic class of each pixel; 0 stands for all objects.
        most_overlap: an instance of which a larger share is taken already is left out.
        least_area_px: stuff that covers fewer pixels is left out.
        least_score: instances with lower scores are left out.

    Returns:
        `(height, width)` int32, the segment of each pixel, 0 for none; and what each segment is, as detectron2 has it.
        Source: detectron2's `combine_semantic_and_instance_outputs`, whose result it equals.
    """
    merged, segments = torch.zeros_like(classes, dtype=torch.int32), list[dict[str, Any]]()
    masks: PastedMasks = instances.pred_masks
    for row in torch.argsort(-instances.scores).tolist():
        score, mask = instances.scores[row].item(), masks.crops[row]
        if score < least_score:
            break
        (left, top), (height, width) = masks.corners[row], mask.shape
        here = merged[top : top + height, left : left + width]
        free = mask & (here == 0)
        area = int(mask.sum())
        if not area or (area - int(free.sum())) / area > most_overlap:
            continue
        here[free] = len(segments) + 1
        kind = {"isthing": True, "score": score, "category_id": instances.pred_classes[row].item()}
        segments.append({"id": len(segments) + 1, **kind, "instance_id": row})
    free, pixels = merged == 0, torch.bincount(classes.flatten())
    areas, numbers = torch.bincount(classes[free], minlength=len(pixels)).tolist(), torch.zeros_like(pixels)
    for label in pixels.nonzero().flatten().tolist():
        if label and (area := areas[label]) >= least_area_px:
            numbers[label] = len(segments) + 1
            segments.append({"id": len(segments) + 1, "isthing": False, "category_id": label, "area": area})
    merged[free] = numbers[classes[free]].int()
    return merged, segments
