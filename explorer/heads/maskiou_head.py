"""The head that predicts how well a mask covers its object, by which masks are ranked.

Source: Mask Scoring R-CNN (arXiv 1903.00241), as CenterMask has it (arXiv 1911.06667, Section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fvcore.nn.weight_init as weight_init
import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.structures import BitMasks, Instances, PolygonMasks
from detectron2.utils.registry import Registry
from pycocotools import mask as mask_api
from torch import Tensor, nn

ROI_MASKIOU_HEAD_REGISTRY = Registry("ROI_MASKIOU_HEAD")
ROI_MASKIOU_HEAD_REGISTRY.__doc__ = "Heads that predict the IoU of a mask, called with `(cfg, input_shape)`."


@ROI_MASKIOU_HEAD_REGISTRY.register()
class MaskIoUHead(nn.Module):
    """Predicts, for each class, the IoU of a mask of that class with the whole object."""

    @configurable
    def __init__(self, input_shape: ShapeSpec, *, classes: int, conv_dims: Sequence[int], fc_dim: int = 1024) -> None:
        """Builds the head with random weights.

        Args:
            input_shape: of the pooled features.
            classes: number of object classes.
            conv_dims: channels of the 3x3 convolutions, the last of which has stride 2.
            fc_dim: width of the two fully connected layers.
        """
        super().__init__()
        channels = input_shape.channels + 1
        self.convs = len(conv_dims)
        for i, out_channels in enumerate(conv_dims, 1):
            conv = nn.Conv2d(channels, out_channels, 3, stride=2 if i == self.convs else 1, padding=1)
            weight_init.c2_msra_fill(conv)
            self.add_module(f"maskiou_fcn{i}", conv)
            channels = out_channels
        cells = (-(-input_shape.height // 2)) * (-(-input_shape.width // 2))
        self.maskiou_fc1 = nn.Linear(channels * cells, fc_dim)
        self.maskiou_fc2 = nn.Linear(fc_dim, fc_dim)
        self.maskiou = nn.Linear(fc_dim, classes)
        for layer in (self.maskiou_fc1, self.maskiou_fc2):
            weight_init.c2_xavier_fill(layer)
        nn.init.normal_(self.maskiou.weight, std=0.01)
        nn.init.zeros_(self.maskiou.bias)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Reads the arguments from `MODEL.ROI_MASKIOU_HEAD` and `MODEL.ROI_HEADS.NUM_CLASSES`."""
        node = cfg.MODEL.ROI_MASKIOU_HEAD
        return {
            "input_shape": input_shape,
            "classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "conv_dims": [node.CONV_DIM] * node.NUM_CONV,
            "fc_dim": node.FC_DIM,
        }

    def forward(self, pooled: Tensor, masks: Tensor) -> Tensor:
        """Predicts the IoU of masks.

        Args:
            pooled: features of the regions, `(boxes, channels, s, s)`.
            masks: probabilities, each of the region's own class, `(boxes, 1, 2s, 2s)`.

        Returns:
            `(boxes, classes)`; not bounded.
        """
        return self.layers(self.seen(pooled, masks))

    @staticmethod
    def seen(pooled: Tensor, masks: Tensor) -> Tensor:
        """Puts the masks beside the features, as the layers take them: `(boxes, channels + 1, s, s)`."""
        return torch.cat((pooled, F.max_pool2d(masks, 2).to(pooled.dtype)), dim=1)

    def layers(self, x: Tensor) -> Tensor:
        """Maps features with masks, `(boxes, channels + 1, s, s)`, to IoUs, `(boxes, classes)`."""
        for i in range(1, self.convs + 1):
            x = F.relu(self.get_submodule(f"maskiou_fcn{i}")(x))
        x = F.relu(self.maskiou_fc1(x.flatten(1)))
        found: Tensor = self.maskiou(F.relu(self.maskiou_fc2(x)))
        return found


def maskiou_loss(found: Tensor, wanted: Tensor, classes: Tensor) -> Tensor:
    """Computes half the mean squared error of masks that cover something of their object.

    Args:
        found: `(boxes, classes)`, of the head.
        wanted: `(boxes,)`; see `maskiou_targets`.
        classes: `(boxes,)`, the objects' classes.
    """
    covering = wanted > 0
    if not covering.any():
        return found.sum() * 0
    own = found[covering, classes[covering]].float()
    return 0.5 * F.mse_loss(own, wanted[covering])


@torch.no_grad()
def maskiou_targets(logits: Tensor, targets: Tensor, instances: Sequence[Instances]) -> Tensor:
    """Returns the IoU of masks with the whole objects, of which a region may hold but a part.

    Args:
        logits: of masks, each of its object's class, `(boxes, side, side)`.
        targets: the objects' masks in the regions, `(boxes, side, side)` bool.
        instances: by image, with `proposal_boxes` and `gt_masks`.

    Returns:
        `(boxes,)` in [0, 1].
    """
    masks = logits > 0
    shares = [share_inside(one.gt_masks, one.proposal_boxes.tensor) for one in instances if len(one)]
    share = torch.cat([torch.zeros(0), *shares]).to(logits.device).clamp(min=1e-6)
    overlap, mask, inside = (one.sum((1, 2)).float() for one in (masks & targets, masks, targets))
    return overlap / (mask + inside / share - overlap).clamp(min=1)


def share_inside(masks: PolygonMasks | BitMasks, boxes: Tensor) -> Tensor:
    """Returns the share of each object's area that lies in its box, `(n,)` on the CPU.

    Args:
        masks: of n objects, in pixels of the network's input.
        boxes: `(n, 4)`, `(x1, y1, x2, y2)` in the same pixels.
    """
    if isinstance(masks, BitMasks):
        return _share_of_bitmasks(masks.tensor, boxes).cpu()
    shares = [_share_of_polygons(parts, box) for parts, box in zip(masks, boxes.cpu().numpy(), strict=True)]
    return torch.tensor(shares, dtype=torch.float32)


def _share_of_bitmasks(masks: Tensor, boxes: Tensor) -> Tensor:
    """Counts pixels that a side of the box cuts by the part that is inside."""
    columns, rows = (
        (torch.minimum(pixels + 1, ends[:, None]) - torch.maximum(pixels, starts[:, None])).clamp(0, 1)
        for pixels, starts, ends in (
            (torch.arange(masks.shape[2], device=boxes.device), boxes[:, 0], boxes[:, 2]),
            (torch.arange(masks.shape[1], device=boxes.device), boxes[:, 1], boxes[:, 3]),
        )
    )
    inside = torch.einsum("nh,nhw,nw->n", rows, masks.to(rows), columns)
    return inside / masks.sum((1, 2)).clamp(min=1)


def _share_of_polygons(parts: Sequence[np.ndarray[Any, Any]], box: np.ndarray[Any, Any]) -> float:
    """Compares the pixels of the parts inside the box with the parts' exact areas; both count overlaps twice."""
    width, height = np.ceil(box[2:] - box[:2]).astype(int).clip(min=1).tolist()
    moved = [(part.reshape(-1, 2) - box[:2]).ravel().tolist() for part in parts]
    inside = mask_api.area(mask_api.frPyObjects(moved, height, width)).sum()
    whole = sum(_area(part.reshape(-1, 2)) for part in parts)
    return float(inside) / max(whole, 1.0)


def _area(points: np.ndarray[Any, Any]) -> float:
    """The area of a polygon by the shoelace formula."""
    x, y = points.T
    return 0.5 * abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))
