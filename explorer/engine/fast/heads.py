"""The heads that look at boxes, run by the engine that runs the trunk."""

from __future__ import annotations

import copy
from typing import Any

import torch
from detectron2.modeling.roi_heads.box_head import FastRCNNConvFCHead
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead, mask_rcnn_inference
from detectron2.structures import Instances
from torch import Tensor, nn

from explorer.engine.fast.hardware import Plan
from explorer.engine.fast.networks import Network, prepare
from explorer.heads.mask_head import SpatialAttentionMaskHead
from explorer.heads.maskiou_head import MaskIoUHead


class FastBoxHead(nn.Module):
    """Stands where the box head stood."""

    def __init__(self, network: Network, *, flat: bool) -> None:
        super().__init__()
        self._network, self._flat = network, flat

    def forward(self, pooled: Tensor) -> Tensor:
        """Maps `(boxes, channels, h, w)` to `(boxes, features)`."""
        x = pooled.permute(0, 2, 3, 1).flatten(1) if self._flat else pooled
        return run(self._network, x)


class FastMaskHead(nn.Module):
    """Stands where the mask head stood."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def forward(self, pooled: Tensor, instances: list[Instances]) -> list[Instances]:
        """Gives each instance its mask, `pred_masks`."""
        mask_rcnn_inference(run(self._network, pooled), instances)
        return instances


class FastMaskIoUHead(nn.Module):
    """Stands where the head stood that predicts the IoU of masks."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def forward(self, pooled: Tensor, masks: Tensor) -> Tensor:
        """As `MaskIoUHead.forward`."""
        return run(self._network, MaskIoUHead.seen(pooled, masks))


class _Outputs(nn.Module):
    """Makes a network that gives one tensor, or that method of it, give a tuple of one."""

    def __init__(self, network: nn.Module, method: str = "forward") -> None:
        super().__init__()
        self.network, self._method = network, method

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (getattr(self.network, self._method)(x),)


def fast_box_head(roi_heads: Any, plan: Plan) -> FastBoxHead | None:
    """Makes the box head ready, or returns None for one that is not detectron2's."""
    head = roi_heads.box_head
    if type(head) is not FastRCNNConvFCHead:
        return None
    own, (height, width) = (
        copy.deepcopy(head).requires_grad_(requires_grad=False).eval(),
        roi_heads.box_pooler.output_size,
    )
    flat = not own.conv_norm_relus and bool(own.fcs)
    channels = _channels(own, height * width)
    sample = torch.zeros(2, channels, height, width)
    if flat:
        _read_channels_last(own.fcs[0], channels, height, width)
        sample = sample.flatten(1)
    return FastBoxHead(prepare(_Outputs(own), sample, plan), flat=flat)


def fast_mask_head(roi_heads: Any, plan: Plan) -> FastMaskHead | None:
    """Makes the mask head ready, or returns None for one that is not detectron2's or CenterMask's."""
    head = roi_heads.mask_head
    if type(head) not in (MaskRCNNConvUpsampleHead, SpatialAttentionMaskHead):
        return None
    own = copy.deepcopy(head).requires_grad_(requires_grad=False).eval()
    first: Any = next(layer for layer in own.children() if hasattr(layer, "in_channels"))
    sample = torch.zeros(2, first.in_channels, *roi_heads.mask_pooler.output_size)
    return FastMaskHead(prepare(_Outputs(own, "layers"), sample, plan))


def fast_maskiou_head(roi_heads: Any, plan: Plan) -> FastMaskIoUHead | None:
    """Makes the head ready that predicts the IoU of masks, or returns None for another or none."""
    head = roi_heads.maskiou_head
    if type(head) is not MaskIoUHead:
        return None
    own = copy.deepcopy(head).requires_grad_(requires_grad=False).eval()
    sample = torch.zeros(2, own.maskiou_fcn1.in_channels, *roi_heads.mask_pooler.output_size)
    return FastMaskIoUHead(prepare(_Outputs(own, "layers"), sample, plan))


def run(network: Network, x: Tensor) -> Tensor:
    """Runs a network on any number of boxes, none included, which not every engine takes."""
    if len(x):
        return network(x)[0]
    return network(x.new_zeros(1, *x.shape[1:]))[0][:0]


def _channels(head: Any, cells: int) -> int:
    first = head.conv_norm_relus[0] if head.conv_norm_relus else None
    return int(first.in_channels if first is not None else head.fcs[0].in_features // cells)


def _read_channels_last(layer: nn.Linear, channels: int, height: int, width: int) -> None:
    """Reorders a layer's weights for boxes flattened with their channels last, which spares turning each box around."""
    weight = layer.weight.view(-1, channels, height, width).permute(0, 2, 3, 1).flatten(1).contiguous()
    layer.weight = nn.Parameter(weight, requires_grad=False)
