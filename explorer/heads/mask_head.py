"""The mask head of CenterMask: attention says where in the region to look.

Source: CenterMask (arXiv 1911.06667, Section 3.2, Equation 3); spatial attention is CBAM's (arXiv 1807.06521).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import configurable
from detectron2.modeling.roi_heads.mask_head import ROI_MASK_HEAD_REGISTRY, MaskRCNNConvUpsampleHead
from detectron2.structures import Instances
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """Weighs the cells of a map by what a 3x3 convolution says of their mean and largest channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Weighs a `(batch, channels, h, w)` map, shape kept."""
        summary = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        weighed: Tensor = x * self.conv(summary).sigmoid()
        return weighed


@ROI_MASK_HEAD_REGISTRY.register()
class SpatialAttentionMaskHead(MaskRCNNConvUpsampleHead):
    """Mask R-CNN's head with spatial attention before its masks are enlarged."""

    @configurable
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spatialAtt = SpatialAttention()

    def layers(self, x: Tensor) -> Tensor:
        """Maps pooled features `(boxes, channels, s, s)` to mask logits `(boxes, classes, 2s, 2s)`."""
        for conv in self.conv_norm_relus:
            x = conv(x)
        logits: Tensor = self.predictor(self.deconv_relu(self.deconv(self.spatialAtt(x))))
        return logits


def mask_targets(instances: Sequence[Instances], side: int) -> Tensor:
    """Returns the objects' masks in the regions that learn them.

    Args:
        instances: by image, with `proposal_boxes` and `gt_masks`: polygons or bitmasks, as each image has them.
        side: of the masks wanted.

    Returns:
        `(boxes, side, side)` bool.
    """
    masks = [one.gt_masks.crop_and_resize(one.proposal_boxes.tensor, side) for one in instances if len(one)]
    if not masks:
        return torch.zeros(0, side, side, dtype=torch.bool)
    return torch.cat([mask.to(instances[0].proposal_boxes.device) > 0.5 for mask in masks])
