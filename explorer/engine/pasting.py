"""Masks pasted into their boxes alone: as detectron2 pastes them, without a picture of the whole photo for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import torch
from detectron2.layers.mask_ops import _do_paste_mask
from detectron2.modeling.meta_arch import GeneralizedRCNN
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

    Panoptic models need masks of the whole image, and theirs stay so.

    Args:
        model: a detectron2 model in evaluation mode.
        batched_inputs: detectron2's.
    """
    known: Any = model
    found: list[dict[str, Any]]
    if getattr(type(model), "inference", None) is not GeneralizedRCNN.inference or known.device.type != "cpu":
        found = model(batched_inputs)
        return found
    instances: list[Instances] = known.inference(batched_inputs, do_postprocess=False)
    for one in instances:
        if one.has("pred_masks"):
            one.pred_masks = BoxMasks(one.pred_masks[:, 0])
    found = GeneralizedRCNN._postprocess(instances, batched_inputs, [one.image_size for one in instances])
    return found
