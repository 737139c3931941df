"""Norms with fixed statistics folded into the convolutions before them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn

from explorer.backbones.timm_backbone import TimmBackbone

_FIXED = (FrozenBatchNorm2d, nn.BatchNorm2d, nn.SyncBatchNorm)


def fold_norms(module: nn.Module) -> int:
    """Folds batch norms into convolutions in place, and returns how many; merges the branches of timm's networks.

    Folded are norms that follow a convolution in a sequence (as in our backbones), and those that detectron2's
    convolutions carry. The network must be in evaluation mode, and cannot be trained afterwards. Results change by
    rounding alone.
    """
    folded = 0
    for part in list(module.modules()):
        if isinstance(part, TimmBackbone):
            part.merge_branches()
        elif isinstance(part, nn.Sequential):
            for before, after in pairwise(list(part._modules)):
                conv, norm = part._modules[before], part._modules[after]
                if isinstance(conv, nn.Conv2d) and getattr(conv, "activation", None) is None and _is_fixed(norm):
                    _fold(conv, norm)
                    part._modules[after] = nn.Identity()
                    folded += 1
        elif isinstance(part, Conv2d) and _is_fixed(part.norm):
            _fold(part, part.norm)
            part.norm = None
            folded += 1
    return folded


def _is_fixed(norm: nn.Module | None) -> bool:
    """Says whether a layer scales and shifts each channel by numbers that do not depend on its input."""
    return isinstance(norm, _FIXED) and not norm.training and norm.running_var is not None


def _fold(conv: nn.Conv2d, norm: Any) -> None:
    variance = norm.running_var.double() + norm.eps
    scale = variance.rsqrt() if norm.weight is None else norm.weight.double() * variance.rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift += norm.bias.double()
    if conv.bias is not None:
        shift += conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]
    with torch.no_grad():
        conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
        conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
