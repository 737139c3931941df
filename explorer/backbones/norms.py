"""Normalisation layers by the name a config gives them."""

from __future__ import annotations

import math

from detectron2.layers import FrozenBatchNorm2d, get_norm
from torch import nn

NORMS = ("FrozenBN", "BN", "SyncBN", "GN")


def make_norm(norm: str, channels: int) -> nn.Module:
    """Builds a normalisation layer over `channels`.

    `GN` takes 32 groups where 32 divides `channels`, otherwise the largest number of groups that divides both
    (the slim variants and MobileNetV2 have widths such as 80, 112 and 24).

    Raises:
        ValueError: `norm` is not one of `NORMS`.
    """
    if norm not in NORMS:
        raise ValueError(f"Normalisation {norm!r} is not known. Choose one of {', '.join(NORMS)}.")
    if norm == "GN":
        return nn.GroupNorm(math.gcd(32, channels), channels)
    layer: nn.Module = get_norm(norm, channels)
    return layer


def freeze(module: nn.Module) -> None:
    """Stops training of `module` in place: no gradients, and batch statistics fixed for good.

    Batch normalisations inside become `FrozenBatchNorm2d`, so that a later `train()` cannot wake them. The module's
    own name in its parent stays, hence also every state-dict key but `num_batches_tracked`.
    """
    for parameter in module.parameters():
        parameter.requires_grad = False
    FrozenBatchNorm2d.convert_frozen_batchnorm(module)
